// The money of a submission moves once, whatever the wallet, the tabs, the chain and the scheduler do meanwhile.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { parseEther } from "viem";
import { assertAccessible, inBrowser, skip, startStack, until } from "./stack.mjs";
import {
  arrived,
  BOUNTY,
  confirm,
  DOWN,
  escrowState,
  fill,
  limit,
  openForm,
  records,
  review,
  submit,
  toReview,
} from "./submit-form.mjs";

let stack;

describe("paying for a job", () => {
  before(async () => {
    if (!skip) stack = await startStack();
  });
  after(() => stack?.close());

  test("the wallet refuses: nothing is sent, the draft and the id are kept", limit, () =>
    inBrowser(stack, { wallet: { declineTransaction: true } }, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      await confirm(page).click();
      await page.getByText("You declined in the wallet. Your draft is kept.").waitFor();
      const [{ jobId, step }] = await records(page);
      assert.equal(step, "prepared");
      assert.equal(await escrowState(stack, jobId), 0);
      assert.equal(await page.getByLabel("Bounty", { exact: true }).inputValue(), BOUNTY);
      browser.wallet.faults.declineTransaction = false;
      await submit(page);
      await confirm(page).click();
      assert.equal(await arrived(page), jobId);
    }),
  );

  test("declining to sign in sends nothing", limit, () =>
    inBrowser(stack, { wallet: { declineSign: true } }, async (browser) => {
      const page = await openForm(browser);
      await fill(page);
      await submit(page);
      await page.getByText("You declined to sign in.").waitFor();
      assert.deepEqual(await records(page), []);
    }),
  );

  test("a double click pays once", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      await confirm(page).dblclick();
      const id = await arrived(page);
      assert.equal(browser.wallet.sent(), 1);
      assert.notEqual(await escrowState(stack, id), 0);
    }),
  );

  test("the tab is closed in the prompt, and the wallet sends: found paid on return", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      browser.wallet.faults.hold = true;
      await confirm(page).click();
      await page.getByText("Confirm in your wallet…").waitFor();
      const [{ jobId, step }] = await records(page);
      assert.equal(step, "asked", "written before the wallet opened");
      await page.close();
      browser.wallet.faults.hold = false;
      await until("the payment", async () => (await escrowState(stack, jobId)) !== 0);
      const back = await browser.page("/submit/");
      const notice = back.getByRole("region", { name: "1 unfinished submission" });
      await notice.getByText("It was paid").waitFor();
      await assertAccessible(back);
      await notice.getByRole("link", { name: "See the job" }).click();
      assert.equal(await arrived(back), jobId);
      assert.equal(browser.wallet.sent(), 1);
    }),
  );

  test("the tab is closed in the prompt, and the wallet refuses: continued with the same id", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      browser.wallet.faults.hold = true;
      await confirm(page).click();
      await page.getByText("Confirm in your wallet…").waitFor();
      const [{ jobId }] = await records(page);
      await page.close();
      browser.wallet.faults.declineTransaction = true;
      browser.wallet.faults.hold = false;
      const back = await browser.page("/submit/");
      const notice = back.getByRole("region", { name: "1 unfinished submission" });
      await notice.getByText("The chain has not seen the payment").waitFor();
      // Another job waits until this one is decided.
      await back.getByLabel("Bounty", { exact: true }).fill("0.5");
      await submit(back);
      await back.getByText("An earlier submission may have been paid").waitFor();
      await back.getByRole("button", { name: "Close" }).click();
      browser.wallet.faults.declineTransaction = false;
      await notice.getByRole("button", { name: "Continue" }).click();
      await confirm(back).click();
      assert.equal(await arrived(back), jobId);
      assert.equal(browser.wallet.sent(), 2);
    }),
  );

  test("an unfinished submission that is cancelled for good can never be paid", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      browser.wallet.faults.hold = true;
      await confirm(page).click();
      await page.getByText("Confirm in your wallet…").waitFor();
      const [{ jobId }] = await records(page);
      await page.close();
      browser.wallet.faults.declineTransaction = true;
      browser.wallet.faults.hold = false;
      const back = await browser.page("/submit/");
      const cancel = back.getByRole("button", { name: "Cancel for good" });
      await cancel.waitFor();
      browser.wallet.faults.declineTransaction = false;
      await cancel.click();
      await cancel.waitFor({ state: "hidden" });
      assert.equal(await escrowState(stack, jobId), 8, "a tombstone");
    }),
  );

  test("of two tabs the second is refused, and has the same id", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const first = await openForm(browser);
      await toReview(first);
      const second = await browser.page("/submit/");
      await second.getByRole("banner").getByRole("button", { name: /^0x/ }).waitFor();
      await second.getByText("mill.wasm", { exact: true }).waitFor();
      await submit(second);
      await review(second).waitFor();
      assert.equal((await records(first)).length, 1);
      browser.wallet.faults.hold = true;
      await confirm(first).click();
      await first.getByText("Confirm in your wallet…").waitFor();
      await confirm(second).click();
      await second.getByText("Another tab waits for your wallet.").waitFor();
      browser.wallet.faults.hold = false;
      await arrived(first);
      assert.equal(browser.wallet.sent(), 1);
      // Once more from the second tab is another job, and says so before it is paid.
      await submit(second);
      await review(second).getByText("You have paid for this same job already").waitFor();
    }),
  );

  test("a wallet on another chain is switched", limit, () =>
    inBrowser(stack, { wallet: { chainId: 1 } }, async (browser) => {
      const page = await openForm(browser);
      await page.getByText("Your wallet is on another chain.").first().waitFor();
      await toReview(page);
      await confirm(page).click();
      await arrived(page);
      assert.ok(browser.wallet.requests.some(({ method }) => method === "wallet_switchEthereumChain"));
    }),
  );

  test("a wallet that does not know the chain is told of it; one that declines sends nothing", limit, () =>
    inBrowser(stack, { wallet: { chainId: 1, unknownChain: true, declineSwitch: true } }, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      await confirm(page).click();
      await page.getByText("you declined to switch").waitFor();
      assert.equal(browser.wallet.sent(), 0);
      browser.wallet.faults.declineSwitch = false;
      await submit(page);
      await confirm(page).click();
      await arrived(page);
      const added = browser.wallet.requests.find(({ method }) => method === "wallet_addEthereumChain");
      assert.equal(Number(added.params[0].chainId), stack.chain_id);
    }),
  );

  test("the wallet crashes after it has sent: the chain is asked, and nobody pays again", limit, () =>
    inBrowser(stack, { wallet: { loseAnswer: true } }, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      await confirm(page).click();
      const id = await arrived(page);
      assert.notEqual(await escrowState(stack, id), 0);
      assert.equal(browser.wallet.sent(), 1);
    }),
  );

  test("the endpoint is down: no wallet is opened", limit, () =>
    inBrowser(stack, { expected: DOWN }, async (browser) => {
      const page = await openForm(browser);
      await fill(page);
      await page.route(`${stack.rpc_url}/**`, (route) => route.abort());
      await submit(page);
      await page.getByText("The chain's endpoint does not answer, so no wallet was opened.").waitFor({
        timeout: 40_000,
      });
      assert.equal(browser.wallet.sent(), 0);
      await page.unroute(`${stack.rpc_url}/**`);
      await submit(page);
      await confirm(page).click();
      await arrived(page);
    }),
  );

  test("the scheduler is down before paying: nothing is sent", limit, () =>
    inBrowser(stack, { expected: DOWN }, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      await review(page).getByRole("button", { name: "Back to the form" }).click();
      await stack.command("scheduler kill");
      await submit(page);
      await page.getByText("The scheduler cannot be reached. Nothing was paid").waitFor();
      assert.equal(browser.wallet.sent(), 0);
      await stack.command("scheduler start");
      await submit(page);
      await confirm(page).click();
      await arrived(page);
    }),
  );

  test(
    "the scheduler is down after paying: the page says where the money is, and goes on when it is back",
    limit,
    () =>
      inBrowser(stack, { expected: DOWN }, async (browser) => {
        const page = await openForm(browser);
        await toReview(page);
        await stack.command("scheduler kill");
        await confirm(page).click();
        await page
          .getByText(/Locked on chain at block \d+\. Waiting for the scheduler\. Refundable from/)
          .waitFor();
        const [{ jobId }] = await records(page);
        assert.equal(await escrowState(stack, jobId), 1);
        await stack.command("scheduler start");
        assert.equal(await arrived(page), jobId);
      }),
  );
});

describe("a chain without nodes", () => {
  let quiet;
  before(async () => {
    if (!skip) quiet = await startStack({ nodes: 0 });
  });
  after(() => quiet?.close());
  const request = (method, ...params) => quiet.rpc.request({ method, params });

  test("nobody takes the job: after the deadline the bounty comes back", limit, () =>
    inBrowser(quiet, {}, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      await confirm(page).click();
      const id = await arrived(page);
      const locked = await quiet.rpc.getBalance({ address: browser.wallet.address });
      await request("evm_increaseTime", 86_401);
      await until("the refund", async () => (await escrowState(quiet, id)) === 7);
      const back = (await quiet.rpc.getBalance({ address: browser.wallet.address })) - locked;
      assert.equal(back, parseEther(BOUNTY), "the wallet did not even pay for the refund");
    }),
  );

  test("the wallet sends it again with another fee: followed", limit, () =>
    inBrowser(quiet, {}, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      await request("evm_setIntervalMining", 0);
      await confirm(page).click();
      await page.getByText("Sent; waiting for a block…").waitFor();
      const replacement = await replace(quiet, browser.wallet, (sent) => sent);
      await request("evm_setIntervalMining", 1);
      const id = await arrived(page);
      assert.equal(await escrowState(quiet, id), 1);
      assert.equal((await records(page))[0].tx, replacement);
    }),
  );

  test("the wallet cancels it by another transaction: not seen, and safe to try again", limit, () =>
    inBrowser(quiet, {}, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      await request("evm_setIntervalMining", 0);
      await confirm(page).click();
      await page.getByText("Sent; waiting for a block…").waitFor();
      await replace(quiet, browser.wallet, () => ({ to: browser.wallet.address, input: "0x", value: 0n }));
      await request("evm_setIntervalMining", 1);
      await page.getByText("Asking the chain what happened").waitFor();
      await page.getByText("Not seen on chain").waitFor({ timeout: 60_000 });
      const [{ jobId }] = await records(page);
      await page.getByRole("button", { name: "Try again" }).click();
      await confirm(page).click();
      assert.equal(await arrived(page), jobId);
      assert.equal(await escrowState(quiet, jobId), 1);
    }),
  );

  test("the chain takes the block back: the page says so, and the same id is paid again", limit, () =>
    inBrowser(quiet, {}, async (browser) => {
      const page = await openForm(browser);
      await toReview(page);
      const before = await request("evm_snapshot");
      await confirm(page).click();
      const id = await arrived(page);
      await request("evm_revert", before);
      assert.equal(await escrowState(quiet, id), 0);
      const back = await browser.page("/submit/");
      const notice = back.getByRole("region", { name: "1 unfinished submission" });
      await notice.getByText("the chain has taken that block back").waitFor();
      await notice.getByRole("button", { name: "Continue" }).click();
      await confirm(back).click();
      assert.equal(await arrived(back), id);
      assert.equal(await escrowState(quiet, id), 1);
    }),
  );
});

/** Sends a transaction in the place of the one that the wallet has sent last, and answers its hash. */
async function replace(on, wallet, change) {
  const pool = await on.rpc.request({ method: "eth_getBlockByNumber", params: ["pending", true] });
  const sent = pool.transactions.find(({ from }) => from === wallet.address.toLowerCase());
  assert.ok(sent, "nothing waits for a block");
  const { to, input, value } = change({ to: sent.to, input: sent.input, value: BigInt(sent.value) });
  const signed = await wallet.account.signTransaction({
    chainId: on.chain_id,
    type: "eip1559",
    nonce: Number(sent.nonce),
    gas: BigInt(sent.gas),
    maxFeePerGas: BigInt(sent.maxFeePerGas ?? sent.gasPrice) * 2n,
    maxPriorityFeePerGas: BigInt(sent.maxPriorityFeePerGas ?? sent.gasPrice) * 2n,
    to,
    data: input,
    value,
  });
  return on.rpc.sendRawTransaction({ serializedTransaction: signed });
}
