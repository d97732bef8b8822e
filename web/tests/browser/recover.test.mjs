// All money of a wallet is found and moved with the chain alone, while the scheduler is gone.
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { guest } from "./guest.mjs";
import {
  assertAccessible,
  connect,
  inBrowser,
  openBrowser,
  runCli,
  skip,
  startStack,
  until,
} from "./stack.mjs";

const NOTHING = guest([{ file: "out.txt", text: "flour" }]);
const out = path.resolve(import.meta.dirname, "../../out");
const BOUNTY = 50_000_000_000_000_000n;

let stack;
before(async () => {
  if (!skip) stack = await startStack({ nodes: 1 });
});
after(() => stack?.close());

async function post(name, ...flags) {
  const module = path.join(stack.folder, "recover.wasm");
  fs.writeFileSync(module, NOTHING);
  const posting = ["--wasm", module, "--name", name, "--bounty", "0.05", "--yes", "--json", "--detach"];
  const { stdout, stderr, code } = await runCli(stack, "submit", ...posting, ...flags);
  assert.equal(code, 0, stderr);
  return /0x[0-9a-f]{64}/.exec(stdout)?.[0];
}

function reached(id, what) {
  return until(`the job ${id}`, async () => {
    const job = await (await fetch(`${stack.url}/v1/jobs/${id}`)).json();
    return job.state === what || job.escrow === what;
  });
}

const row = (page, id) => page.getByRole("listitem").filter({ has: page.locator(`a[href$="${id}"]`) });

/** Presses a button of a job, confirms, and waits for the words of its success. */
async function act(page, id, button, words) {
  await row(page, id).getByRole("button", { name: button }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Yes, go on" }).click();
  await dialog.getByText(words).waitFor();
  await dialog.getByRole("button", { name: "Close" }).last().click();
}

test("without a scheduler a job is cancelled, refunded and paid out", {
  skip,
  timeout: 180_000,
}, async () => {
  const unfit = ["--gpus", "8", "--vram", "80GiB"];
  const open = await post("To be cancelled", ...unfit);
  const late = await post("To be refunded", ...unfit, "--deadline", "2h");
  const held = await post("To be paid", "--hold", "1h");
  await reached(open, "queued");
  await reached(late, "queued");
  await reached(held, "held");
  await inBrowser(stack, { expected: [/net::ERR_/] }, async (browser) => {
    const page = await browser.page("/recover/");
    await page.getByText("Connect a wallet to go on.").waitFor();
    await connect(page);
    await row(page, open).waitFor();
    await stack.command("scheduler kill");
    // A node would claim what is its own.
    await stack.command("node 0 kill");
    await page.getByText("The scheduler does not answer.").waitFor({ timeout: 30_000 });
    await page.getByRole("button", { name: "Look again" }).click();
    await row(page, open).getByText("in the escrow, nobody works on it").waitFor();
    await row(page, held).getByText("in the escrow, on its way to the provider").waitFor();
    // Before its time nothing is offered.
    assert.equal(await row(page, late).getByRole("button", { name: "Take the bounty back" }).count(), 0);
    assert.equal(await row(page, held).getByRole("button", { name: "Pay out" }).count(), 0);

    await act(page, open, "Cancel job", "Cancelled. The bounty is back with the submitter.");
    await row(page, open).waitFor({ state: "detached" });

    await stack.rpc.request({ method: "evm_increaseTime", params: [3 * 3600] });
    await stack.rpc.request({ method: "evm_mine" });
    const { address } = stack.parties.submitter;
    const before = await stack.rpc.getBalance({ address });
    await act(page, late, "Take the bounty back", "Refunded. The bounty is back with the submitter.");
    const gained = (await stack.rpc.getBalance({ address })) - before;
    assert.ok(gained > BOUNTY - 10n ** 15n && gained <= BOUNTY, `${gained}`);

    const provider = stack.parties["provider-a"].address;
    const earned = await stack.rpc.getBalance({ address: provider });
    await act(page, held, "Pay out", "Paid to the provider.");
    assert.ok((await stack.rpc.getBalance({ address: provider })) > earned);

    await page.getByText("No money of this wallet is in a job").waitFor();
    await page.getByLabel("Show ended jobs").check();
    await row(page, open).getByText("Cancelled").waitFor();
    await row(page, late).getByText("Refunded").waitFor();
    await row(page, held).getByText("Paid").waitFor();
  });
});
afterEach(async () => {
  // A test may have ended while the scheduler was gone.
  if (!skip) await stack.command("scheduler start");
});

test("a job's page speaks for the contract while the scheduler is gone", {
  skip,
  timeout: 90_000,
}, async () => {
  const id = await post("Seen on chain", "--gpus", "8", "--vram", "80GiB");
  await reached(id, "queued");
  await inBrowser(stack, { expected: [/Failed to load resource/, /net::ERR_/] }, async (browser) => {
    // The API is gone, the page's files are not: as where another server has them.
    await browser.context.route("**/v1/**", (route) => route.abort("connectionrefused"));
    const page = await browser.page(`/job/?id=${id}`);
    await page.getByText("This is what the contract says; the money does not need the scheduler.").waitFor();
    await page.getByText("in the escrow, nobody works on it").waitFor();
    await connect(page);
    await page.getByRole("button", { name: "Cancel job" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Yes, go on" }).click();
    await dialog.getByText("Cancelled. The bounty is back with the submitter.").waitFor();
  });
});

test("a job that only the contract knows is shown", { skip, timeout: 90_000 }, async () => {
  const id = await post("Forgotten", "--gpus", "8", "--vram", "80GiB");
  await reached(id, "queued");
  await inBrowser(stack, {}, async (browser) => {
    await browser.context.route(`**/v1/jobs/${id}**`, (route) =>
      route.fulfill({ status: 404, contentType: "application/problem+json", body: NOT_FOUND }),
    );
    const page = await browser.page(`/job/?id=${id}`);
    await page.getByText("The scheduler does not know this job.").waitFor();
    await page.getByText("in the escrow, nobody works on it").waitFor();
  });
});
const NOT_FOUND = JSON.stringify({
  code: "not_found",
  title: "Not found",
  detail: "no job",
  status: 404,
  type: "",
});

test("a stake is taken out of the market", { skip, timeout: 90_000 }, async () => {
  await inBrowser(stack, { party: "stranger" }, async (browser) => {
    const page = await browser.page("/recover/");
    await connect(page);
    await page.getByText("Nothing of this wallet is in the market.").waitFor();
    const amount = 3n * 10n ** 17n;
    await deposit(stack.parties.stranger.key, amount);
    await page.reload();
    await page.getByText("0.3 U2U").waitFor();
    await page.getByRole("button", { name: "Withdraw" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("0.3 U2U goes to your wallet").waitFor();
    await dialog.getByRole("button", { name: "Yes, go on" }).click();
    await dialog.getByText("It is in your wallet.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByText("Nothing of this wallet is in the market.").waitFor();
  });
});

/** Puts coins into the market from a party's wallet. */
async function deposit(key, value) {
  const { createWalletClient, http: transport, parseAbi } = await import("viem");
  const { privateKeyToAccount } = await import("viem/accounts");
  const account = privateKeyToAccount(key);
  const wallet = createWalletClient({ account, chain: stack.chain, transport: transport(stack.rpc_url) });
  const hash = await wallet.writeContract({
    address: stack.contract,
    abi: parseAbi(["function deposit(address token, uint256 amount) payable"]),
    functionName: "deposit",
    args: [`0x${"0".repeat(40)}`, value],
    value,
  });
  await stack.rpc.waitForTransactionReceipt({ hash });
}

test("with nothing but the files, an RPC endpoint and a contract can be typed in", {
  skip,
  timeout: 90_000,
}, async () => {
  const files = http.createServer((request, response) => {
    const where = new URL(request.url, "http://files").pathname;
    const file = path.join(out, where.endsWith("/") ? `${where}index.html` : where);
    const types = {
      ".html": "text/html",
      ".js": "text/javascript",
      ".css": "text/css",
      ".svg": "image/svg+xml",
    };
    if (!file.startsWith(out) || !fs.existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[path.extname(file)] ?? "application/octet-stream" });
    fs.createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  try {
    await inBrowser({ ...stack, url: `http://127.0.0.1:${files.address().port}` }, {}, async (browser) => {
      const page = await browser.page("/recover/");
      await page.getByText("Which market?").waitFor();
      await assertAccessible(page);
      await page.getByLabel("RPC endpoint").fill("nowhere");
      await page.getByLabel("Contract").fill("0x12");
      await page.getByRole("button", { name: "Use these" }).click();
      await page.getByText("This must be an http or https address.").waitFor();
      await page.getByText("This must be an address").waitFor();
      await page.getByLabel("RPC endpoint").fill(stack.rpc_url);
      await page.getByLabel("Contract").fill(stack.parties.stranger.address);
      await page.getByRole("button", { name: "Use these" }).click();
      await page.getByText(`There is no contract at this address on chain ${stack.chain_id}.`).waitFor();
      await page.getByLabel("Contract").fill(stack.contract);
      await page.getByRole("button", { name: "Use these" }).click();
      await page.getByText("Connect a wallet to go on.").waitFor();
      await connect(page);
      await page.getByText("Balance in the market").waitFor();
    });
  } finally {
    files.closeAllConnections();
    files.close();
  }
});

test("the page fits and is accessible, in both themes and widths", { skip, timeout: 120_000 }, async () => {
  await post("To be looked at", "--gpus", "8", "--vram", "80GiB");
  for (const [width, theme] of [
    [1440, "light"],
    [360, "dark"],
    [1440, "dark"],
    [360, "light"],
  ]) {
    const browser = await openBrowser(stack, { width, theme });
    try {
      const page = await browser.page("/recover/");
      await connect(page);
      await page.getByText("What can be done").first().waitFor();
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(excess <= 0, `${excess} px too wide`);
      await assertAccessible(page);
      browser.verify();
    } finally {
      await browser.close();
    }
  }
});
