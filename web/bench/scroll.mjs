// Measures how smoothly the longest views scroll: a list of 10,000 jobs and a log of 1,000,000 lines.
//   node bench/scroll.mjs        (after `npm run build`)
// It prints a table of frame times. The jobs and the log are made up here, since what is measured is the drawing.
import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { chromium } from "playwright-core";

const JOBS = 10_000;
const PAGE_ITEMS = 200;
const LINES = 1_000_000;
const LINES_PER_CHUNK = 5_000;
/** Frames of one measurement. Each scrolls by a quarter of a screen, which is faster than anybody reads. */
const FRAMES = 300;
const STEP_PX = 240;
const out = path.resolve(import.meta.dirname, "../out");
const id = (number) => `0x${number.toString(16).padStart(64, "0")}`;
const address = (digit) => `0x${digit.repeat(40)}`;
const STATES = ["queued", "assigned", "settled", "refunded", "verifying"];
const CREATED_MS = 1_790_000_000_000;

function summary(number) {
  return {
    id: id(number),
    name: `job ${number}`,
    state: STATES[number % STATES.length],
    runtime: "wasm",
    bounty: "50000000000000000",
    token: address("0"),
    submitter: address("a"),
    attempts: 1,
    created_at_ms: CREATED_MS - number * 1000,
    deadline: CREATED_MS / 1000,
  };
}

const terms = {
  ...{ submitter: address("a"), scheduler: address("b"), arbiter: address("b"), token: address("0") },
  ...{ bounty: "50000000000000000", fee: "0", bond: "0", dispute_bond: "0", deadline: CREATED_MS / 1000 },
  ...{
    lease_seconds: 600,
    grace_seconds: 60,
    attempt_seconds: 3600,
    hold_seconds: 0,
    challenge_window: 3600,
  },
  ...{ ruling_seconds: 3600, spec_hash: id(1), salt: id(2) },
};
const attempt = {
  ...{ number: 1, node: address("c"), provider: address("d"), state: "accepted", log_bytes: 0 },
  ...{ assigned_at_ms: CREATED_MS, ended_at_ms: CREATED_MS + 1000 },
};
const job = {
  ...{
    id: id(1),
    state: "settled",
    summary: "The provider is paid.",
    version: 1,
    escrow: "paid",
    attempts_max: 3,
  },
  ...{ created_at_ms: CREATED_MS, attempts: [attempt], transactions: [], terms },
};

function answerApi(url, response) {
  const json = (value) =>
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
  if (url.pathname === "/v1/jobs") {
    const first = Number(url.searchParams.get("cursor") ?? 0);
    const items = Array.from({ length: PAGE_ITEMS }, (_, at) => summary(first + at));
    return json({ items, next: first + PAGE_ITEMS < JOBS ? String(first + PAGE_ITEMS) : null });
  }
  if (url.pathname === `/v1/jobs/${job.id}`) return json(job);
  if (url.pathname === `/v1/jobs/${job.id}/logs`) return sendLog(response);
  response.writeHead(404, { "content-type": "application/json" }).end("{}");
}

async function sendLog(response) {
  response.writeHead(200, { "content-type": "text/plain" });
  for (let first = 1; first <= LINES; first += LINES_PER_CHUNK) {
    const lines = Array.from(
      { length: LINES_PER_CHUNK },
      (_, at) => `line ${first + at}: loss \u001b[32m0.25\u001b[0m\n`,
    );
    if (!response.write(lines.join(""))) await new Promise((resolve) => response.once("drain", resolve));
  }
  response.end();
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://bench");
  if (url.pathname.startsWith("/v1/")) return answerApi(url, response);
  const file = path.join(out, url.pathname.endsWith("/") ? `${url.pathname}index.html` : url.pathname);
  if (!file.startsWith(out) || !fs.existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" });
  fs.createReadStream(file).pipe(response);
});

/** Scrolls frame by frame and says how long each frame took. `selector` names what scrolls; the page where it is absent. */
async function frameTimes(page, selector) {
  return page.evaluate(
    async ({ selector, frames, step }) => {
      const scroller = selector ? document.querySelector(selector) : document.scrollingElement;
      scroller.scrollTop = 0;
      const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      await nextFrame();
      const times = [];
      let last = await nextFrame();
      for (let frame = 0; frame < frames; frame++) {
        scroller.scrollTop += step;
        const now = await nextFrame();
        times.push(now - last);
        last = now;
      }
      return times;
    },
    { selector, frames: FRAMES, step: STEP_PX },
  );
}

function row(name, times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const cells = [at(0.5), at(0.95), at(0.99), sorted.at(-1)].map((ms) => ms.toFixed(1).padStart(8));
  const late = times.filter((ms) => ms > 1000 / 30).length;
  print(`${name.padEnd(24)}${cells.join("")}${String(late).padStart(12)}`);
}

function print(line) {
  process.stdout.write(`${line}\n`);
}

assert.ok(fs.existsSync(path.join(out, "csp.json")), "the web is not built: run `npm run build`");
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  print(`${"ms a frame".padEnd(24)}${"   median     p95     p99     max"}   > 33 ms of ${FRAMES}`);
  await page.goto(`${origin}/jobs/?role=all`);
  await page.getByText("200 jobs, and more").waitFor();
  // All pages are loaded first, as they are for somebody who has scrolled down once.
  for (let loaded = 0; loaded < JOBS; ) {
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await page.waitForFunction(
      (before) => document.querySelector("table[aria-rowcount]")?.getAttribute("aria-rowcount") - 1 > before,
      loaded,
    );
    loaded = await page.evaluate(
      () => document.querySelector("table[aria-rowcount]").getAttribute("aria-rowcount") - 1,
    );
  }
  row("10,000 jobs", await frameTimes(page));
  const start = performance.now();
  await page.goto(`${origin}/job/?id=${job.id}&tab=logs`);
  await page.getByText("1,000,000 lines").waitFor({ timeout: 120_000 });
  await page.getByText("complete").waitFor();
  const seconds = (performance.now() - start) / 1000;
  row("1,000,000 lines", await frameTimes(page, '[role="log"]'));
  await page.getByLabel("Wrap lines").check();
  row("1,000,000 lines, wrapped", await frameTimes(page, '[role="log"]'));
  const heap = await page.evaluate(() => performance.memory.usedJSHeapSize / 2 ** 20);
  print(`the log was read and shown in ${seconds.toFixed(1)} s; the page's heap is ${heap.toFixed(0)} MiB`);
} finally {
  await browser.close();
  server.closeAllConnections();
  server.close();
}
