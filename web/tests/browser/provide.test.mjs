// A provider's way in the browser: from a wallet to a node that works, to earnings, to a withdrawal. Real node, real chain.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { parseEther, parseSignature, serializeCompactSignature, signatureToCompactSignature } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { assertAccessible, connect, inBrowser, runCli, skip, startStack, until } from "./stack.mjs";

let stack;
const running = new Set();

before(async () => {
  if (!skip) stack = await startStack({ nodes: 0 });
});
after(async () => {
  for (const child of running) child.kill("SIGKILL");
  await stack?.close();
});

/** A program that does nothing and succeeds: one memory, one empty `_start`. */
const NOTHING_WASM = Buffer.from(
  "0061736d01000000010401600000030201000503010001071302066d656d6f727902000" + "65f737461727400000a040102000b",
  "hex",
);

/** Runs the command that the page shows, word for word, on a machine of its own. */
function runCommand(command, folder) {
  const [program, ...words] = command.split(" ");
  assert.equal(program, "gristmill-node");
  const dir = path.join(stack.folder, folder);
  const child = spawn(stack.node.program, [...words, "--yes", "--dir", dir], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  running.add(child);
  child.once("exit", () => running.delete(child));
  return { child, output: () => output };
}

/** A node that has only a key, and its consent at the scheduler. */
async function leaveConsent(provider, { expiresInSeconds = 3600, offer = {} } = {}) {
  const account = privateKeyToAccount(generatePrivateKey());
  const { timestamp } = await stack.rpc.getBlock();
  const expires = Number(timestamp) + expiresInSeconds;
  const long = await account.signTypedData({
    domain: { name: "Gristmill", version: "1", chainId: stack.chain_id, verifyingContract: stack.contract },
    types: {
      Enroll: [
        { name: "node", type: "address" },
        { name: "provider", type: "address" },
        { name: "expires", type: "uint40" },
      ],
    },
    primaryType: "Enroll",
    message: { node: account.address, provider, expires },
  });
  const signature = serializeCompactSignature(signatureToCompactSignature(parseSignature(long)));
  const answer = await fetch(`${stack.url}/v1/enrollments`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      ...{ node: account.address, provider, expires, signature },
      offer: {
        ...{ cpu_millis: 8000, memory_bytes: 2 ** 34, disk_bytes: 2 ** 36, log_bytes_max: 2 ** 24 },
        ...{ max_run_seconds: 3600, price_floor: "1000000000000000", runtimes: ["wasm"] },
        token: "0x0000000000000000000000000000000000000000",
        ...offer,
      },
    }),
  });
  assert.equal(answer.status, 204, await answer.text());
  return account.address;
}

/** Accessible in both themes at both widths, and never wider than the window. */
async function assertFits(page) {
  for (const width of [360, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    for (const theme of ["dark", "light"]) {
      await page.evaluate(async (wanted) => {
        document.documentElement.dataset.theme = wanted;
        // Colours fade over, and axe must not look at them on their way.
        await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
        await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})));
      }, theme);
      await assertAccessible(page);
    }
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(over <= 0, `${over} px wider than the window of ${width} px`);
  }
}

const step = (page) => page.locator("[aria-current=step]");

test("from a wallet to a node that earns, and the money out", { skip, timeout: 240_000 }, async () => {
  await inBrowser(stack, { party: "provider-a" }, async (browser) => {
    const page = await browser.page("/provide/");
    await step(page).getByText("The contract pays bounties").waitFor();
    await connect(page);

    // The command is ready to paste, and the node that it makes appears by itself.
    const command = await step(page).locator("code", { hasText: "gristmill-node join" }).innerText();
    assert.equal(
      command,
      `gristmill-node join --scheduler ${stack.url} --provider ${browser.wallet.address}`,
    );
    await step(page).getByRole("button", { name: "Copy" }).click();
    await step(page).getByRole("button", { name: "Copied" }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), command);
    await step(page).getByText("Waiting for a node").waitFor();
    const machine = runCommand(command, "machine-a");
    await step(page).getByRole("button", { name: "Go on with this node" }).click();

    // What it reports must be looked at before anything is signed; a reload loses nothing.
    await step(page).getByText("Hardware as the node reports it").waitFor();
    const node = new URL(page.url()).searchParams.get("node");
    assert.ok(
      machine.output().toLowerCase().includes(node.toLowerCase()),
      "the machine shows the same address",
    );
    await step(page).getByText("Measured: not yet").waitFor();
    assert.ok(await step(page).getByRole("button", { name: "Go on" }).isDisabled());
    await assertFits(page);
    await page.reload();
    await step(page).getByRole("checkbox").check();
    await step(page).getByRole("button", { name: "Go on" }).click();

    // The person declines: nothing is sent, and the step stays.
    browser.wallet.faults.declineTransaction = true;
    await step(page).getByRole("button", { name: "Enroll" }).click();
    await step(page).getByText("You declined in the wallet. Nothing was sent.").waitFor();
    browser.wallet.faults.declineTransaction = false;
    await page.reload();
    await step(page).getByRole("button", { name: "Enroll" }).click();
    await step(page).getByText("Done", { exact: true }).waitFor();

    // Approved with a stake, which is deposited first.
    await step(page).getByText("Take jobs with a bond, too (optional)").click();
    await step(page).getByLabel("At stake at most").fill("0.5");
    assert.ok(await step(page).getByRole("button", { name: "Approve" }).isDisabled(), "the stake is missing");
    await step(page).getByRole("button", { name: "Deposit 0.5 U2U" }).click();
    await step(page).getByRole("button", { name: "Approve" }).click();
    await page.getByText("The node is online and takes jobs.").waitFor({ timeout: 60_000 });
    assert.equal(browser.wallet.sent(), 4, "one declined, then enroll, deposit, approve");

    // A job pays into the wallet itself.
    const before = await stack.rpc.getBalance({ address: browser.wallet.address });
    const module = path.join(stack.folder, "nothing.wasm");
    fs.writeFileSync(module, NOTHING_WASM);
    const hostile = "<img src=x onerror=alert(1)>";
    const job = await runCli(
      stack,
      "submit",
      "--wasm",
      module,
      "--name",
      hostile,
      "--bounty",
      "0.05",
      "--yes",
    );
    assert.equal(job.code, 0, job.stderr);
    const paid = parseEther("0.0475");
    await until("the payment", async () => {
      return (await stack.rpc.getBalance({ address: browser.wallet.address })) === before + paid;
    });

    await page.getByRole("link", { name: "See your earnings" }).click();
    const row = page.getByRole("row", { name: hostile });
    await row.getByText("0.0475 U2U").waitFor();
    await row.getByText("Paid", { exact: true }).waitFor();
    await until("the earnings of today", async () => {
      const card = page.locator("main").getByText("Earned today").locator("..");
      return (await card.innerText()).includes("0.0475 U2U");
    });
    await assertFits(page);

    // What is in the market comes out again, all of it.
    const section = page.locator("section", { has: page.getByRole("heading", { name: "Withdrawable now" }) });
    await section.getByText("0.5 U2U").waitFor();
    await section.getByRole("button", { name: "Withdraw all" }).click();
    await section.getByText("Withdrawn to your wallet.").waitFor();
    await section.getByText("0 U2U", { exact: true }).waitFor();
    const end = await stack.rpc.getBalance({ address: browser.wallet.address });
    assert.ok(end > before + paid + parseEther("0.49"), "stake and payment are in the wallet, less gas");

    // The machine goes away: the page says so, and what to do.
    machine.child.kill("SIGKILL");
    await page.goto(`${stack.url}/provide/?node=${node}`);
    await page.getByText("The node is online").waitFor();
    // Time passes for the scheduler as it does on chain.
    await stack.rpc.request({ method: "evm_increaseTime", params: [600] });
    await page.getByText("The scheduler has not heard of the node for a while.").waitFor({ timeout: 60_000 });
    await page.goto(`${stack.url}/provide/dashboard/`);
    await page.getByText("Offline", { exact: true }).waitFor();

    // Taking the approval back, and revoking the node, each ask first.
    await page.getByRole("button", { name: "Take the approval back" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Take the approval back" }).click();
    await page.getByRole("dialog").getByText("Taken back.").waitFor();
    await page
      .getByRole("dialog")
      .locator("footer, div")
      .getByRole("button", { name: "Close" })
      .last()
      .click();
    await page
      .getByRole("row", { name: new RegExp(node.slice(0, 8), "i") })
      .getByRole("button", { name: "Revoke" })
      .click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByText("Revoked on chain.").waitFor();
    await page.goto(`${stack.url}/provide/?node=${node}`);
    await page.getByText("You revoked this node.").waitFor();
  });
});

test("what stands in the way is said, with what to do", { skip, timeout: 120_000 }, async () => {
  const providerA = stack.parties["provider-a"].address;
  await inBrowser(stack, { party: "provider-b" }, async (browser) => {
    const page = await browser.page("/provide/");
    await connect(page);
    const open = (node) => page.goto(`${stack.url}/provide/?node=${node}`);

    // A node that nobody knows.
    await open(privateKeyToAccount(generatePrivateKey()).address);
    await page.getByText("The scheduler has no consent of this node.").waitFor();

    // A node that waits for another wallet.
    await open(await leaveConsent(providerA));
    await page.getByText(`This node waits for the wallet ${providerA.toLowerCase()}`).waitFor();
    assert.equal(await page.getByRole("button", { name: "Enroll" }).count(), 0);

    // A consent that ends while the page is open.
    const model = "<script>alert(1)</script> RTX";
    const gpus = [{ model, vram_bytes: 24 * 2 ** 30 }];
    const short = await leaveConsent(browser.wallet.address, { expiresInSeconds: 8, offer: { gpus } });
    await open(short);
    await step(page).getByText(model).waitFor();
    await page
      .getByText(/The node's consent has expired|The scheduler has no consent/)
      .waitFor({ timeout: 40_000 });

    // A node that another wallet has enrolled meanwhile: the contract says so before the wallet opens.
    const node = await leaveConsent(browser.wallet.address);
    await open(node);
    await step(page).getByRole("checkbox").check();
    await step(page).getByRole("button", { name: "Go on" }).click();
    browser.wallet.faults.hold = true;
    await step(page).getByRole("button", { name: "Enroll" }).click();
    await step(page).getByText("Confirm in your wallet").waitFor();
    browser.wallet.faults.hold = false;
    await step(page).getByRole("button", { name: "Approve" }).waitFor();

    // Its own page, for the wallet that does not own it.
    await inBrowser(stack, { party: "provider-a" }, async (other) => {
      const theirs = await other.page(`/provide/?node=${node}`);
      await connect(theirs);
      await theirs.getByText("has enrolled this node. A node belongs to one wallet for good").waitFor();
    });
  });
});

test("the scheduler may fall silent in the middle", { skip, timeout: 120_000 }, async () => {
  const expected = [/net::ERR_/];
  await inBrowser(stack, { party: "provider-b", expected }, async (browser) => {
    const page = await browser.page("/provide/");
    await connect(page);
    await step(page).getByText("gristmill-node join").waitFor();
    await stack.command("scheduler kill");
    await page.getByRole("alert").getByText("The scheduler cannot be reached").waitFor({ timeout: 40_000 });
    await stack.command("scheduler start");
    await page.getByRole("button", { name: "Try again" }).click();
    await step(page).getByText("Waiting for a node").waitFor();
  });
});
