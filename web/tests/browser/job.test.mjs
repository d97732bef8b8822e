// A job as people watch it: live, its logs, its verified result, its receipt, and what can be done with its money.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
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

const HOSTILE_NAME = "<img src=x onerror=alert(1)>";
const HOSTILE_PAGE = "<!doctype html><script>window.parent.pwned = true; alert(1)</script>";
const HOSTILE_PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40" onload="window.pwned = true"><script>window.pwned = true</script><rect width="80" height="40" fill="teal"/></svg>`;
const TABLE = 'epoch,loss\n1,0.5\n2,"0.25"\n3,=1+1\n';

const PROGRAM = guest([
  { print: "\u001b[31mstarting\u001b[0m <script>alert(1)</script>\n" },
  { print: "a step towards flour\n", times: 3000 },
  { spin: 1 },
  { print: "the needle\n" },
  { file: "report.html", text: HOSTILE_PAGE },
  { file: "plot.svg", text: HOSTILE_PICTURE },
  { file: "loss.csv", text: TABLE },
  { file: "metrics.json", text: '{"loss":0.25}' },
  { file: "weights.bin", text: "\u0000\u0001\u0002" },
]);
const NOTHING = guest([{ print: "nothing to do\n" }, { file: "out.txt", text: "flour" }]);
const ENDLESS = guest([{ print: "before the cut\n" }, { forever: true }]);
const SLOW = guest([{ print: "first\n" }, { spin: 12 }, { print: "last\n" }]);
const FAILING = guest([{ print: "no\n" }, { file: "left.txt", text: "left behind" }, { exit: 3 }]);

let stack;
let done;

before(async () => {
  if (skip) return;
  stack = await startStack({ nodes: 2 });
  done = await post("A whole job", PROGRAM);
});
after(() => stack?.close());

/** Posts a job from the command line and says its id. */
async function post(name, program, ...flags) {
  const module = path.join(stack.folder, `${name.replaceAll(/\W/g, "-")}.wasm`);
  fs.writeFileSync(module, program);
  const posting = ["--wasm", module, "--name", name, "--bounty", "0.05", "--yes", "--json", "--detach"];
  const { stdout, stderr, code } = await runCli(stack, "submit", ...posting, ...flags);
  assert.equal(code, 0, stderr);
  const [id] = /0x[0-9a-f]{64}/.exec(stdout) ?? [];
  assert.ok(id, stdout);
  return id;
}

async function jobOf(id) {
  return (await fetch(`${stack.url}/v1/jobs/${id}`)).json();
}

function reached(id, ...states) {
  return until(`${states} of ${id}`, async () => {
    const job = await jobOf(id);
    return states.includes(job.state) && job;
  });
}

const state = (page, word) => page.locator("h1 + div").getByText(word, { exact: true });

async function assertFits(page) {
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(excess <= 0, `${page.url()} is ${excess} px too wide`);
}

test("a job is watched as it happens, to its payment", { skip, timeout: 90_000 }, async () => {
  const id = await post("Watched live", SLOW);
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page(`/j/${id}`);
    await page.waitForURL(`**/job/?id=${id}`);
    await page.getByRole("heading", { name: "Watched live" }).waitFor();
    await page.getByText("Bounty locked on chain").waitFor();
    await page.getByText("Program started", { exact: true }).waitFor();
    await page.getByText("Time to start").waitFor();
    await page.getByRole("tab", { name: "Logs" }).click();
    const log = page.getByRole("log");
    await log.getByText("first").waitFor();
    // What is written later arrives by itself.
    await log.getByText("last").waitFor({ timeout: 60_000 });
    await page.getByText("complete").waitFor();
    await page.getByRole("tab", { name: "Overview" }).click();
    await page.getByText("Provider paid: 0.0475 U2U").waitFor({ timeout: 60_000 });
    await state(page, "Settled").waitFor();
    await page.getByText("with the provider").waitFor();
    // Nobody is connected, so nothing is offered.
    assert.equal(await page.getByRole("button", { name: "Cancel job" }).count(), 0);
  });
});

test("a log is searched, wrapped, followed and downloaded, and none of it is markup", {
  skip,
  timeout: 60_000,
}, async () => {
  await reached(done, "settled");
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page(`/job/?id=${done}&tab=logs`);
    const log = page.getByRole("log");
    await log.getByText("the needle").waitFor();
    await page.getByText("3,002 lines").waitFor();
    const follow = page.getByLabel("Follow");
    assert.equal(await follow.isChecked(), true);
    // Only what is in sight exists.
    assert.ok((await log.locator("[data-index]").count()) < 200);
    await log.evaluate((element) => element.scrollTo(0, 0));
    await log.getByText("<script>alert(1)</script>").waitFor();
    assert.equal(await log.locator("script").count(), 0);
    assert.match(await log.getByText("starting").getAttribute("class"), /text-bad/);
    assert.equal(await follow.isChecked(), false);
    await page.getByLabel("Search the log").fill("NEEDLE");
    await page.getByText("1 of 1").waitFor();
    await log.getByText("the needle").waitFor();
    await page.getByLabel("Search the log").fill("not in there");
    await page.getByText("not found").waitFor();
    await page.getByLabel("Wrap lines").check();
    await log.getByText("a step towards flour").first().waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download" }).click(),
    ]);
    const text = fs.readFileSync(await download.path(), "utf8");
    assert.equal(text.split("\n").length, 3003);
    assert.match(text, /the needle\n$/);
  });
});

test("a log goes on where the scheduler was cut off", { skip, timeout: 90_000 }, async () => {
  const id = await post("Cut in the middle", SLOW);
  await reached(id, "assigned", "verifying", "settled");
  await inBrowser(stack, { party: null, expected: [/net::ERR_/] }, async (browser) => {
    const page = await browser.page(`/job/?id=${id}&tab=logs`);
    const log = page.getByRole("log");
    await log.getByText("first").waitFor();
    await stack.command("scheduler kill");
    await page.getByText("cut off; reconnecting…").waitFor();
    await stack.command("scheduler start");
    await log.getByText("last").waitFor({ timeout: 60_000 });
    await page.getByText("complete").waitFor({ timeout: 30_000 });
    await page.getByText("2 lines").waitFor();
  });
});

test("a result is verified, looked into and downloaded", { skip, timeout: 60_000 }, async () => {
  await reached(done, "settled");
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page(`/job/?id=${done}&tab=result`);
    await page.getByText("Every block and the manifest are what the node signed.").waitFor();
    const files = page.getByRole("list", { name: "Files" }).getByRole("listitem");
    assert.equal(await files.count(), 5);
    await page.getByRole("button", { name: /^report\.html/ }).click();
    await page.getByText(HOSTILE_PAGE).waitFor();
    await page.getByRole("button", { name: /^plot\.svg/ }).click();
    const picture = page.getByRole("img", { name: "plot.svg" });
    await picture.waitFor();
    await until("the picture", () => picture.evaluate((image) => image.naturalWidth === 80));
    await page.getByRole("button", { name: /^loss\.csv/ }).click();
    await page.getByRole("cell", { name: "=1+1" }).waitFor();
    await page.getByRole("button", { name: /^metrics\.json/ }).click();
    await page.getByText('"loss": 0.25').waitFor();
    await page.getByRole("button", { name: /^weights\.bin/ }).click();
    await page.getByText("no text and no picture").waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator("iframe").count(), 0);
    const [one] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download loss.csv" }).click(),
    ]);
    assert.equal(fs.readFileSync(await one.path(), "utf8"), TABLE);
    const [all] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download all" }).click(),
    ]);
    const listed = execFileSync("tar", ["-tf", await all.path()], { encoding: "utf8" });
    assert.deepEqual(listed.trim().split("\n").sort(), [
      "loss.csv",
      "metrics.json",
      "plot.svg",
      "report.html",
      "weights.bin",
    ]);
  });
});

test("a gateway that lies is found out", { skip, timeout: 60_000 }, async () => {
  await reached(done, "settled");
  await inBrowser(stack, { party: null }, async (browser) => {
    await browser.context.route("**/ipfs/**", async (route) => {
      const answer = await route.fetch();
      const body = await answer.body();
      body[body.length - 1] ^= 1;
      await route.fulfill({ response: answer, body });
    });
    const page = await browser.page(`/job/?id=${done}&tab=result`);
    await page.getByText("sent a block that is not the one of this CID").first().waitFor();
    assert.equal(await page.getByText("are what the node signed").count(), 0);
  });
});

test("a receipt is checked on its job's page, and from its file", { skip, timeout: 60_000 }, async () => {
  await reached(done, "settled");
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page(`/job/?id=${done}&tab=receipt`);
    await page.getByText("Everything that could be checked holds").waitFor();
    await page.getByText("the contract paid for receipt").waitFor();
    const [saved] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save receipt" }).click(),
    ]);
    const file = await saved.path();
    const proof = JSON.parse(fs.readFileSync(file, "utf8"));
    // The command line reads the same file.
    const output = path.join(stack.folder, "verified");
    assert.equal((await runCli(stack, "result", done, "-o", output)).code, 0);
    assert.equal((await runCli(stack, "verify", output, "--receipt", file)).code, 0);

    await page.goto(`${stack.url}/receipt/`);
    const field = page.getByLabel("Receipt file");
    await field.fill("{");
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("This is not JSON").waitFor();
    await field.fill(JSON.stringify({ ...proof, terms: {} }));
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("`terms.submitter` is missing or malformed").waitFor();
    const forged = { ...proof, receipt: { ...proof.receipt, fuel_used: 1 } };
    await field.fill(JSON.stringify(forged));
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("This receipt is not what it should be").waitFor();
    await page.getByText("the contract has accepted another receipt").waitFor();
    await page.getByRole("button", { name: "Verify another" }).click();
    await page.getByLabel("Choose a file").setInputFiles(file);
    await page.getByText("Everything that could be checked holds").waitFor();
  });
});

test("a waiting job says why, and is cancelled for its whole bounty", { skip, timeout: 90_000 }, async () => {
  const id = await post("Needs what nobody has", NOTHING, "--gpus", "8", "--vram", "80GiB");
  await reached(id, "queued");
  await inBrowser(stack, {}, async (browser) => {
    const page = await browser.page(`/job/?id=${id}`);
    await page.getByText("Why it waits").waitFor();
    await page.getByText("0 of 2 nodes match").waitFor();
    await connect(page);
    const { address } = stack.parties.submitter;
    const balance = await stack.rpc.getBalance({ address });
    await page.getByRole("button", { name: "Cancel job" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("0.05 U2U").waitFor();
    await assertAccessible(page);
    browser.wallet.faults.declineTransaction = true;
    await dialog.getByRole("button", { name: "Yes, go on" }).click();
    await dialog.getByText("You declined in the wallet. Nothing was sent.").waitFor();
    assert.equal(browser.wallet.sent(), 1);
    browser.wallet.faults.declineTransaction = false;
    await dialog.getByRole("button", { name: "Yes, go on" }).click();
    await dialog.getByText("Cancelled. The bounty is back with the submitter.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByText("back with the submitter", { exact: true }).waitFor();
    const gained = (await stack.rpc.getBalance({ address })) - balance;
    assert.ok(gained > 49_000_000_000_000_000n && gained <= 50_000_000_000_000_000n, `${gained}`);
  });
});

test("a job that runs is taken back from its node", { skip, timeout: 90_000 }, async () => {
  const id = await post("Runs for ever", ENDLESS, "--max-run", "10m");
  await reached(id, "assigned");
  await inBrowser(stack, {}, async (browser) => {
    const page = await browser.page(`/job/?id=${id}`);
    await connect(page);
    await page.getByRole("button", { name: "Cancel job" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Yes, go on" }).click();
    await page.getByText("Cancelled. The bounty is back with the submitter.").waitFor({ timeout: 60_000 });
  });
});

test("a held result is disputed, and the arbiter rules", { skip, timeout: 120_000 }, async () => {
  const id = await post("Held for a day", NOTHING, "--hold", "1d");
  await until("the hold", async () => (await jobOf(id)).escrow === "held");
  await inBrowser(stack, {}, async (browser) => {
    const page = await browser.page(`/job/?id=${id}`);
    await connect(page);
    await page.getByRole("button", { name: "Dispute the result" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("You pay a dispute bond of 0 U2U now.").waitFor();
    await dialog.getByRole("button", { name: "Yes, go on" }).click();
    await dialog.getByText("Disputed. The arbiter has to rule.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByText("in the escrow, the arbiter rules").waitFor();
    assert.equal(await page.getByRole("button", { name: "Rule" }).count(), 0);
  });
  await inBrowser(stack, { party: "scheduler" }, async (browser) => {
    const page = await browser.page(`/job/?id=${id}`);
    await connect(page);
    await page.getByRole("button", { name: "Rule" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Refund").check();
    await dialog.getByRole("button", { name: "Yes, go on" }).click();
    await dialog.getByText("Ruled.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByText("back with the submitter", { exact: true }).waitFor();
  });
});

test("a failed job shows what it left, and no payment", { skip, timeout: 90_000 }, async () => {
  const id = await post(HOSTILE_NAME, FAILING, "--retries", "0");
  await reached(id, "refunding", "refunded");
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page(`/job/?id=${id}`);
    await page.getByRole("heading", { name: HOSTILE_NAME }).waitFor();
    await page.getByText("Attempt failed").waitFor();
    await page.getByText("Node reported: exit 3").waitFor();
    await page.getByRole("tab", { name: "Result" }).click();
    await page.getByText("No result was accepted.").waitFor();
    await page.getByText("left behind").waitFor();
    await page.getByRole("tab", { name: "Receipt" }).click();
    await page.getByText("This receipt is not what it should be").waitFor();
    assert.equal(await page.getByText("Provider paid").count(), 0);
  });
});

test("an id that nobody knows, and one that is none, are told apart", { skip, timeout: 60_000 }, async () => {
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page(`/job/?id=0x${"ab".repeat(32)}`);
    await page.getByText("Nobody knows this job").waitFor();
    await page.goto(`${stack.url}/job/?id=0x12`);
    await page.getByText("This is no job id").waitFor();
    await page.getByLabel("Job id").fill(done);
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByRole("heading", { name: "A whole job" }).waitFor();
  });
});

test("a spec is submitted again", { skip, timeout: 60_000 }, async () => {
  await inBrowser(stack, { party: null }, async (browser) => {
    const page = await browser.page(`/job/?id=${done}&tab=spec`);
    await page.getByText('"name": "A whole job"').waitFor();
    await page.getByRole("button", { name: "Submit again" }).click();
    await page.waitForURL("**/submit/");
  });
});

test("jobs are filtered by the address, saved, and cancelled together", {
  skip,
  timeout: 120_000,
}, async () => {
  const flags = ["--gpus", "8", "--vram", "80GiB"];
  const ids = [];
  for (const name of ["Bulk one", "Bulk two", "=Bulk three"]) ids.push(await post(name, NOTHING, ...flags));
  for (const id of ids) await reached(id, "queued");
  await inBrowser(stack, {}, async (browser) => {
    const page = await browser.page("/jobs/?state=queued");
    await page.getByText("Your jobs are found by your wallet.").waitFor();
    await connect(page);
    await page.getByRole("row", { name: /Bulk one/ }).waitFor();
    assert.equal(await page.getByRole("row", { name: /A whole job/ }).count(), 0);
    await page.getByLabel("Name or id").fill("bulk t");
    await page.waitForURL("**/jobs/?state=queued&q=bulk+t");
    await page.getByText("2 jobs").waitFor();
    const [saved] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "CSV" }).click(),
    ]);
    const csv = fs.readFileSync(await saved.path(), "utf8");
    assert.match(csv, /,'=Bulk three,queued,/);
    assert.equal(csv.trim().split("\r\n").length, 3);
    await page.getByRole("button", { name: "Clear filters" }).click();
    await page.getByLabel("State").selectOption("queued");
    await page.getByText("3 jobs").waitFor();
    await page.getByLabel("Select all that can be cancelled").check();
    await page.getByText("3 selected").first().waitFor();
    await page.getByRole("button", { name: "Cancel selected" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("0.15 U2U in all").waitFor();
    await dialog.getByRole("button", { name: "Yes, go on" }).click();
    await dialog.getByText("3 of 3 jobs are cancelled.").waitFor({ timeout: 60_000 });
    // One transaction for all of them.
    assert.equal(browser.wallet.sent(), 1);
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByText("No job matches").waitFor();
  });
});

test("every view fits and is accessible, in both themes and widths", { skip, timeout: 180_000 }, async () => {
  await reached(done, "settled");
  const views = [
    [`/job/?id=${done}`, "Provider paid"],
    [`/job/?id=${done}&tab=logs`, "complete"],
    [`/job/?id=${done}&tab=result`, "Every block and the manifest"],
    [`/job/?id=${done}&tab=receipt`, "Everything that could be checked holds"],
    [`/job/?id=${done}&tab=spec`, "Spec hash"],
    ["/job/", "Which job?"],
    ["/jobs/?role=all", "A whole job"],
    ["/receipt/", "Receipt file"],
  ];
  for (const [width, theme] of [
    [1440, "light"],
    [360, "dark"],
    [1440, "dark"],
    [360, "light"],
  ]) {
    const browser = await openBrowser(stack, { party: null, width, theme });
    try {
      const page = await browser.page("/job/");
      for (const [where, text] of views) {
        await page.goto(`${stack.url}${where}`);
        await page.getByText(text).first().waitFor();
        await assertFits(page);
        await assertAccessible(page);
      }
      browser.verify();
    } finally {
      await browser.close();
    }
  }
});
