// Takes the pictures of docs/screenshots: a market of its own, real jobs on it, and every page as a person sees it.
//   npm run build && node scripts/shots.mjs          all of them
//   node scripts/shots.mjs home job                  only those whose name begins so
// Needs the workspace's programs (`cargo build --workspace --bins`) and Debian's chromium.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { connect, openBrowser, runCli, skip, startStack, until } from "../tests/browser/stack.mjs";

const root = path.resolve(import.meta.dirname, "../..");
const folder = path.join(root, "docs/screenshots");
/** Pictures are in the repository, so they must stay small. */
const BYTES_MAX = 150 * 1024;
const WIDE = { width: 1440, height: 810 };
const NARROW = { width: 360, height: 780 };

const wanted = process.argv.slice(2);
const isWanted = (name) => wanted.length === 0 || wanted.some((start) => name.startsWith(start));

/** The digits example as a WASM module, built if it is not there. */
function digits() {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(os.homedir(), ".cache/gristmill/target");
  const built = execFileSync(path.join(root, "examples/digits/build.sh"), {
    env: { ...process.env, CARGO_TARGET_DIR: target },
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  return Object.fromEntries(built.split("\n").map((line) => line.split("=")));
}

/** Posts a job, and gives back its id once its bounty is locked. */
async function submit(stack, name, bounty, ...more) {
  const [flags, command] =
    more[0] === "--" ? [[], more] : [more.slice(0, more.indexOf("--")), more.slice(more.indexOf("--"))];
  const args = [
    "submit",
    "--yes",
    "--detach",
    "--json",
    "--name",
    name,
    "--bounty",
    bounty,
    ...flags,
    ...command,
  ];
  const { code, stdout, stderr } = await runCli(stack, ...args);
  if (code !== 0) throw new Error(`${name} was not posted: ${stderr}`);
  return JSON.parse(stdout).job;
}

async function state(stack, id) {
  return (await (await fetch(`${stack.url}/v1/jobs/${id}`)).json()).state;
}

/** What a market looks like on an afternoon: jobs that are paid, one that failed, and one that waits for a GPU. */
async function populate(stack) {
  const { wasm, data } = digits();
  const train = (name, bounty, ...words) =>
    submit(stack, name, bounty, "--wasm", wasm, "--input", `digits.csv=${data}`, "--", ...words);
  const paid = await train("Handwritten digits", "0.05", "--epochs", "100", "--seed", "1");
  const jobs = [paid];
  for (const seed of [2, 3, 4]) {
    jobs.push(
      await train(`Digits, seed ${seed}`, `0.0${seed + 2}`, "--epochs", "40", "--seed", String(seed)),
    );
  }
  for (const id of jobs)
    await until(`${id} to be settled`, async () => (await state(stack, id)) === "settled", 180_000);
  const waiting = await submit(
    ...[stack, "Fine-tune on reviews", "0.8", "--wasm", wasm, "--gpus", "1", "--vram", "24GiB"],
    ...["--input", `digits.csv=${data}`, "--", "--epochs", "1"],
  );
  await until("the last job to wait", async () => (await state(stack, waiting)) === "queued");
  const { spec } = await (await fetch(`${stack.url}/v1/jobs/${paid}`)).json();
  return { paid, waiting, spec };
}

/** name: address, what is there once the page is complete, whose wallet looks at it, and the spec in its form. */
function pages({ paid, waiting, spec }, node) {
  const job = `/job/?id=${paid}`;
  return {
    home: ["/", "Handwritten digits"],
    submit: ["/submit/", "nodes match", "submitter", JSON.stringify(spec)],
    jobs: ["/jobs/", "Handwritten digits", "submitter"],
    job: [job, "Handwritten digits", "submitter"],
    "job-logs": [`${job}&tab=logs`, "held-out accuracy", "submitter"],
    "job-result": [`${job}&tab=result`, "confusion.svg", "submitter"],
    "job-receipt": [`${job}&tab=receipt`, "Handwritten digits", "submitter"],
    "job-waiting": [`/job/?id=${waiting}`, "Fine-tune on reviews", "submitter"],
    recover: ["/recover/", "Fine-tune on reviews|0.8 U2U", "submitter"],
    receipt: [`/receipt/?id=${paid}`, "Everything that could be checked holds|What was checked holds"],
    provide: ["/provide/", "Go on with this node", "provider-a"],
    dashboard: ["/provide/dashboard/", "Withdrawable now", "provider-a"],
    nodes: ["/nodes/", "2 of 2 nodes"],
    node: [`/node/?id=${node}`, "What it offers"],
    market: ["/market/", "Price and capacity by GPU"],
    status: ["/status/", "Everything answers."],
    settings: ["/settings/", "Own endpoint"],
  };
}

const DARK = ["home", "job", "market"];
const NARROW_ONES = ["home", "submit", "job"];

/** A machine of provider A that waits for its wallet. */
function joinWaiting(stack) {
  const args = ["join", "--yes", "--scheduler", stack.url, "--provider", stack.parties["provider-a"].address];
  return spawn(stack.node.program, [...args, "--dir", path.join(stack.folder, "newcomer")], {
    stdio: "ignore",
  });
}

async function take(stack, name, [where, text, party, draft], { theme = "light", size = WIDE } = {}) {
  const picture = `${name}-${theme}-${size.width}`;
  const file = path.join(folder, `${picture}.png`);
  if (!isWanted(picture)) return;
  const browser = await openBrowser(stack, { party: party ?? null, theme, ...size });
  try {
    if (draft)
      await browser.context.addInitScript((spec) => localStorage.setItem("gristmill:import", spec), draft);
    const page = await browser.page(where);
    if (party) await connect(page);
    await page.getByText(new RegExp(text)).first().waitFor();
    await page.locator("main .animate-pulse").first().waitFor({ state: "detached" });
    const failure = page.locator("main [role=alert]");
    if (await failure.count())
      throw new Error(`${name} shows an error: ${await failure.first().textContent()}`);
    // Two frames, so that plots are drawn.
    await page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
    await page.screenshot({ path: file });
    browser.verify();
  } finally {
    await browser.close();
  }
  const { size: bytes } = fs.statSync(file);
  if (bytes > BYTES_MAX) throw new Error(`${file} has ${bytes} bytes, more than ${BYTES_MAX}`);
  console.log(`${path.relative(root, file).padEnd(44)} ${Math.round(bytes / 1024)} KiB`);
}

if (skip) {
  console.error(skip);
  process.exit(1);
}
fs.mkdirSync(folder, { recursive: true });
const stack = await startStack({ nodes: 2 });
const newcomer = joinWaiting(stack);
try {
  const jobs = await populate(stack);
  const [{ id: node }] = (await (await fetch(`${stack.url}/v1/nodes`)).json()).items;
  for (const [name, page] of Object.entries(pages(jobs, node))) {
    await take(stack, name, page);
    if (DARK.includes(name)) await take(stack, name, page, { theme: "dark" });
    if (NARROW_ONES.includes(name)) await take(stack, name, page, { size: NARROW });
  }
} finally {
  newcomer.kill();
  await stack.close();
}
