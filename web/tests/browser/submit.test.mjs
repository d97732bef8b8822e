// Submitting a job over a real scheduler, chain and nodes: the money moves once, whatever the wallet, the tabs, the chain
// and the scheduler do meanwhile.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { parseAbi, parseEther } from "viem";
import { parseShell } from "./shell-words.mjs";
import { assertAccessible, connect, inBrowser, runCli, skip, startStack, until } from "./stack.mjs";

/** A module that does nothing, and succeeds. */
const MODULE = Buffer.from(
  "0061736d0100000001040160000003020100050301000107130206" + "6d656d6f72790200065f737461727400000a040102000b",
  "hex",
);
const BOUNTY = "0.25";
const ABI = parseAbi([
  "function job(bytes32 id) view returns (uint8 state, address node, uint32 at, uint32 assignedAt, uint16 attempt, uint8 forfeits, uint8 flags)",
]);
const limit = { timeout: 120_000, skip };
/** What the browser itself says of endpoints that are down. */
const DOWN = [
  /net::ERR_(CONNECTION_REFUSED|FAILED|EMPTY_RESPONSE|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING)/,
];

let stack;

async function openForm(browser, { connected = true } = {}) {
  const page = await browser.page("/submit/");
  await page.getByRole("heading", { name: "Submit a job" }).waitFor();
  if (connected) await connect(page);
  return page;
}

async function fill(page, { bounty = BOUNTY, name = "mill" } = {}) {
  await page.getByText("WASM module").click();
  const module = { name: "mill.wasm", mimeType: "application/wasm", buffer: MODULE };
  await page.getByLabel("Choose a .wasm file").setInputFiles(module);
  await page.getByText("mill.wasm", { exact: true }).waitFor();
  await page.getByLabel("Name", { exact: false }).first().fill(name);
  await page.getByLabel("Bounty", { exact: true }).fill(bounty);
}

const submit = (page) => page.getByRole("button", { name: "Review and submit" }).click();
const review = (page) => page.getByRole("dialog", { name: /^Lock / });
const confirm = (page) => review(page).getByRole("button", { name: `Lock ${BOUNTY} U2U` });

async function toReview(page, options) {
  await fill(page, options);
  await submit(page);
  await review(page).waitFor();
}

/** The page of the job, and its id. */
async function arrived(page) {
  await page.waitForURL(/\/job\/\?id=0x[0-9a-f]{64}/);
  return new URL(page.url()).searchParams.get("id");
}

async function escrowState(on, id) {
  const call = { address: on.contract, abi: ABI, functionName: "job", args: [id] };
  return (await on.rpc.readContract(call))[0];
}

/** The records that the page has written, as it wrote them. */
function records(page) {
  return page.evaluate(() =>
    Object.entries(localStorage)
      .filter(([key]) => key.startsWith("gristmill:submission:"))
      .map(([, value]) => JSON.parse(value)),
  );
}

describe("submit", () => {
  before(async () => {
    if (!skip) stack = await startStack();
  });
  after(() => stack?.close());

  test("files are dropped, the job is paid once, and the node runs it", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const page = await openForm(browser);
      await fill(page, { name: "count grains" });
      await page.getByRole("button", { name: "Add a dataset" }).click();
      await page.getByText("Files from this device").click();
      await page
        .getByLabel("Choose files")
        .setInputFiles({ name: "grains.txt", mimeType: "text/plain", buffer: Buffer.from("grist") });
      await page.getByText("grains.txt (5 B)").waitFor();
      const before = await stack.rpc.getBalance({ address: browser.wallet.address });
      await submit(page);
      const dialog = review(page);
      await dialog.getByText("0.0125 U2U").waitFor();
      // Money at stake: neither Escape nor a stray click closes it.
      for (let press = 0; press < 3; press++) await page.keyboard.press("Escape");
      await page.mouse.click(5, 5);
      assert.ok(await confirm(page).isVisible());
      assert.equal(browser.wallet.sent(), 0);
      const [record] = await records(page);
      assert.equal(record.step, "prepared");
      await confirm(page).click();
      const id = await arrived(page);
      assert.equal(id, record.jobId, "the page computed the id before the wallet was asked");
      assert.equal(browser.wallet.sent(), 1);
      const spent = before - (await stack.rpc.getBalance({ address: browser.wallet.address }));
      assert.ok(spent >= parseEther(BOUNTY) && spent < parseEther("0.26"), `${spent} left the wallet`);
      const job = await until("the job to end", async () => {
        const answer = await (await fetch(`${stack.url}/v1/jobs/${id}`)).json();
        return ["settling", "settled"].includes(answer.state) && answer;
      });
      assert.equal(job.spec.name, "count grains");
      assert.match(job.spec.inputs[0].uri, /^ipfs:\/\/bafkrei/);
    }),
  );

  test("the shown command is the same job to the real command line", limit, () =>
    inBrowser(stack, { party: null }, async (browser) => {
      const page = await openForm(browser, { connected: false });
      await page.getByText("WASM module").click();
      await page.getByLabel("Module CID").fill("bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni");
      await page.getByText("Shell line").click();
      await page.getByRole("textbox", { name: "Arguments" }).fill("--epochs=3 'it is' \"a\\\"b\" ''");
      await page.getByRole("button", { name: "Add a variable" }).click();
      await page.getByLabel("Variable 1", { exact: true }).fill("SEED");
      await page.getByLabel("Value of variable 1").fill("-1=$x 'y'");
      await page.getByLabel("Bounty", { exact: true }).fill("1.5");
      await page.getByLabel("Run time at most").fill("1h30m");
      const command = await page.locator("pre", { hasText: "gristmill submit" }).innerText();
      await page.getByRole("tab", { name: "Spec" }).click();
      const spec = JSON.parse(await page.locator("pre", { hasText: '"version"' }).innerText());
      const [, ...words] = parseShell(command);
      const program = words.indexOf("--");
      const dry = [...words.slice(0, program), "--dry-run", "--json", ...words.slice(program)];
      const { stdout, stderr, code } = await runCli(stack, ...dry);
      assert.equal(code, 0, stderr);
      const plan = JSON.parse(stdout);
      assert.deepEqual(plan.spec, spec);
      assert.equal(plan.bounty_wei, parseEther("1.5").toString());
    }),
  );

  test("a draft survives a reload; starting over clears it", limit, () =>
    inBrowser(stack, { party: null }, async (browser) => {
      const page = await openForm(browser, { connected: false });
      await fill(page, { bounty: "3.5", name: "kept" });
      await page.waitForFunction(() => localStorage.getItem("gristmill:draft")?.includes("kept"));
      await page.reload();
      const bounty = page.getByLabel("Bounty", { exact: true });
      await until("the draft", async () => (await bounty.inputValue()) === "3.5");
      await page.getByText("mill.wasm", { exact: true }).waitFor();
      page.once("dialog", (dialog) => dialog.accept());
      await page.getByRole("button", { name: "Start over" }).click();
      assert.equal(await bounty.inputValue(), "");
    }),
  );

  test("files are forgotten by a reload: they are dropped again, unless the scheduler has them", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const page = await openForm(browser);
      await fill(page);
      const grains = {
        name: "fresh.txt",
        mimeType: "text/plain",
        buffer: Buffer.from(`grist ${Date.now()}`),
      };
      await page.getByRole("button", { name: "Add a dataset" }).click();
      await page.getByLabel("Choose files").setInputFiles(grains);
      await page.getByText("fresh.txt (").waitFor();
      await page.reload();
      await page.getByText("fresh.txt (").waitFor();
      await page.getByRole("banner").getByRole("button", { name: /^0x/ }).waitFor();
      await submit(page);
      await page
        .getByText(/is not on this page any more and not with the scheduler: drop it again/)
        .waitFor();
      assert.deepEqual(await records(page), []);
      await page.getByRole("button", { name: "Close" }).click();
      await page.getByLabel("Choose files").setInputFiles(grains);
      await page.getByLabel("Choose a .wasm file").setInputFiles({
        name: "mill.wasm",
        mimeType: "application/wasm",
        buffer: MODULE,
      });
      await submit(page);
      await review(page).waitFor();
      await review(page).getByRole("button", { name: "Back to the form" }).click();
      await page.reload();
      await page.getByRole("banner").getByRole("button", { name: /^0x/ }).waitFor();
      await page.getByText("fresh.txt (").waitFor();
      await submit(page);
      await review(page).waitFor();
    }),
  );

  test("a form that is not right says what to do, and asks no wallet", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const page = await openForm(browser);
      await submit(page);
      await page.getByText("Name the image to run").waitFor();
      await page.getByText("Say what the job pays").waitFor();
      assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "image");
      await assertAccessible(page);
      assert.deepEqual(browser.wallet.sent(), 0);
      assert.equal(browser.wallet.requests.filter(({ method }) => method === "personal_sign").length, 0);
    }),
  );

  test("a folder and a dropped file have the CIDs that the command line computes", limit, async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "gristmill-data-"));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    fs.mkdirSync(path.join(folder, "set/deep"), { recursive: true });
    fs.writeFileSync(path.join(folder, "set/B.txt"), "grist");
    fs.writeFileSync(path.join(folder, "set/größe ☃"), "");
    fs.writeFileSync(path.join(folder, "set/deep/large"), Buffer.alloc(3_000_000, "flour"));
    fs.writeFileSync(path.join(folder, "one.csv"), "a,b\n1,2\n");
    const paths = ["set", "one.csv"].map((name) => path.join(folder, name));
    const { stdout, stderr } = await runCli(stack, "upload", "--dry-run", "--json", ...paths);
    const [set, one] = JSON.parse(stdout || `[${stderr}]`).map(({ cid }) => `ipfs://${cid}`);
    await inBrowser(stack, { party: null }, async (browser) => {
      const page = await openForm(browser, { connected: false });
      const draft = () => page.evaluate(() => JSON.parse(localStorage.getItem("gristmill:draft") ?? "{}"));
      const uri = (at) => until("the CID", async () => (await draft()).inputs?.[at]?.uri);
      await page.getByRole("button", { name: "Add a dataset" }).click();
      await page.getByLabel("Choose a folder").setInputFiles(paths[0]);
      assert.equal(await uri(0), set);
      await page.getByRole("button", { name: "Add a dataset" }).click();
      const dropped = await page.evaluateHandle(() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(["a,b\n1,2\n"], "one.csv"));
        return transfer;
      });
      await page.locator("[data-drop]").nth(1).dispatchEvent("drop", { dataTransfer: dropped });
      assert.equal(await uri(1), one);
      const inputs = (await draft()).inputs.map((input) => input.path);
      assert.deepEqual(inputs, ["data", "data-2"]);
    });
  });

  test("as one types, the page says which nodes match, and why the others do not", limit, () =>
    inBrowser(stack, { party: null }, async (browser) => {
      const page = await openForm(browser, { connected: false });
      await page.getByText("WASM module").click();
      await page.getByText("2 of 2 nodes match").waitFor();
      await page.getByText("Advanced").first().click();
      await page.getByLabel("CPUs").fill("64");
      await page.getByText("0 of 2 nodes match").waitFor();
      await page.getByText("Left out by CPUs").waitFor();
      await page.getByText("What would help").waitFor();
      await page.getByText("Any GPU").click();
      await page.getByText("Left out by the number of GPUs").waitFor();
      assert.equal(await page.getByLabel("GPUs").inputValue(), "1");
      await page.getByLabel("Bounty", { exact: true }).fill("2");
      await page.getByText("1.9 U2U").waitFor();
    }),
  );

  test("a tag that cannot be resolved says why, and is not submitted", limit, () =>
    inBrowser(stack, {}, async (browser) => {
      const page = await openForm(browser);
      // A stranger's reference must not make the scheduler ask its own network.
      await page.getByLabel("Image", { exact: true }).fill("127.0.0.1:9/tools/digits:latest");
      await page.getByLabel("Bounty", { exact: true }).fill(BOUNTY);
      await page.getByRole("button", { name: "Resolve tag" }).click();
      await page
        .getByText(/127\.0\.0\.1/)
        .first()
        .waitFor();
      await submit(page);
      await page.getByText("This names no exact image yet").waitFor();
      assert.deepEqual(await records(page), []);
    }),
  );

  test("a pasted spec fills the form; unknown fields are refused by name", limit, () =>
    inBrowser(stack, { party: null }, async (browser) => {
      const page = await openForm(browser, { connected: false });
      await page.getByRole("button", { name: "Paste a spec" }).click();
      const dialog = page.getByRole("dialog", { name: "Paste a spec" });
      const module = "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni";
      const spec = { version: 1, name: "pasted", runtime: { kind: "wasm", module }, max_run_seconds: 90 };
      const box = dialog.getByLabel("Job spec");
      await box.fill(JSON.stringify({ ...spec, resources: { gpuz: 1 } }));
      await dialog.getByRole("button", { name: "Use this spec" }).click();
      await dialog.getByText("resources.gpuz: There is no such field").waitFor();
      await assertAccessible(page);
      await box.fill(JSON.stringify(spec));
      await dialog.getByRole("button", { name: "Use this spec" }).click();
      await dialog.waitFor({ state: "hidden" });
      assert.equal(await page.getByLabel("Module CID").inputValue(), module);
      assert.equal(await page.getByLabel("Run time at most").inputValue(), "1m30s");
    }),
  );

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
