// A whole market for browser tests: a real chain, scheduler and nodes (`cargo xtask stack`), and a real browser.
// Every page is watched: an error on the console, or a request that leaves loopback, fails the test that made it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { chromium } from "playwright-core";
import { createPublicClient, defineChain, http } from "viem";
import { installWallet } from "./wallet.mjs";

const web = path.resolve(import.meta.dirname, "../..");
const root = path.resolve(web, "..");

const browserProgram = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Why no browser test can run here, or false. Given to `test` as its option `skip`. */
export const skip = fs.existsSync(browserProgram) ? false : `${browserProgram} is not installed`;
if (skip && process.env.GRISTMILL_SKIPS_FILE) {
  fs.appendFileSync(process.env.GRISTMILL_SKIPS_FILE, `browser tests of the web: ${skip}\n`);
}

/** Where cargo builds, as in the Makefile. */
export const buildFolder =
  process.env.CARGO_TARGET_DIR ??
  path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), ".cache"), "gristmill/target");

function stackProgram() {
  const folder = process.env.GRISTMILL_PROGRAMS ?? path.join(buildFolder, "debug");
  const program = path.join(folder, "gristmill-xtask");
  assert.ok(fs.existsSync(program), `${program} is missing: run \`cargo build --workspace --bins\``);
  return program;
}

/**
 * Starts a market. `command("scheduler kill")` and the like drive it; `close()` ends it.
 * @param {{ nodes?: number, engine?: boolean }} options
 */
export async function startStack({ nodes = 2, engine = false } = {}) {
  const out = path.join(web, "out");
  assert.ok(fs.existsSync(path.join(out, "csp.json")), "the web is not built: run `npm run build` in web/");
  const arguments_ = ["stack", "--web", out, "--nodes", String(nodes), ...(engine ? ["--engine"] : [])];
  const child = spawn(stackProgram(), arguments_, { cwd: root, stdio: ["pipe", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the stack ended: ${stderr}`);
    return JSON.parse(value);
  };
  const stack = await next();
  const chain = defineChain({
    id: stack.chain_id,
    name: "Local market",
    nativeCurrency: { name: "U2U", symbol: "U2U", decimals: 18 },
    rpcUrls: { default: { http: [stack.rpc_url] } },
  });
  const rpc = createPublicClient({ chain, transport: http(stack.rpc_url), pollingInterval: 200 });
  // Commands are answered in order, so they take turns.
  let turn = Promise.resolve();
  const command = (line) => {
    turn = turn.then(async () => {
      child.stdin.write(`${line}\n`);
      const answer = await next();
      assert.ok(answer.ok, answer.error);
    });
    return turn;
  };
  const close = () =>
    new Promise((resolve) => {
      child.once("exit", resolve);
      child.stdin.end();
    });
  return { ...stack, url: stack.scheduler_url, chain, rpc, command, close };
}

/** Runs the command line as the submitter, and gives back what it printed. */
export function runCli(stack, ...args) {
  return new Promise((resolve, reject) => {
    const { program, environment } = stack.cli;
    const child = spawn(program, args, {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = { stdout: "", stderr: "", code: 0 };
    child.stdout.on("data", (chunk) => {
      output.stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      output.stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...output, code }));
  });
}

/** Console messages that are no fault: the browser's own words for an answer that the page deals with. */
const EXPECTED = [/^Failed to load resource: the server responded with a status of 4\d\d/];

/**
 * A fresh browser with a test wallet of `party`. `faults` of the wallet can be changed at any time; `page()` opens pages
 * that are watched; `verify()` fails if one misbehaved.
 */
export async function openBrowser(
  stack,
  { party = "submitter", width = 1440, height = 900, theme = "light", wallet = {}, expected = [] } = {},
) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "gristmill-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: browserProgram,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat([
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ]),
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: "reduce",
    acceptDownloads: true,
    permissions: ["clipboard-read", "clipboard-write"],
    locale: "en-GB",
  });
  context.setDefaultTimeout(20_000);
  const key = party && stack.parties[party].key;
  const account = key && (await installWallet(context, { stack, key, faults: wallet }));
  const problems = [];
  const ignored = [...EXPECTED, ...expected];
  const watch = (page) => {
    page.on("console", (message) => {
      if (message.type() !== "error" || ignored.some((pattern) => pattern.test(message.text()))) return;
      problems.push(`console: ${message.text()} (${page.url()})`);
    });
    page.on("pageerror", (error) => problems.push(`error: ${error.stack ?? error.message} (${page.url()})`));
    return page;
  };
  context.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (/^(data|blob|chrome-error|about):$/.test(protocol)) return;
    if (hostname !== "127.0.0.1") problems.push(`request to ${request.url()}`);
  });
  return {
    context,
    wallet: account,
    async page(where = "/") {
      const page = watch(await context.newPage());
      await page.goto(new URL(where, stack.url).href);
      return page;
    },
    watch,
    problems,
    verify() {
      assert.deepEqual(problems, []);
    },
    async close() {
      await context.close();
      fs.rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Runs a test in a browser of its own, and fails it if a page misbehaved. */
export async function inBrowser(stack, options, work) {
  const browser = await openBrowser(stack, options);
  try {
    await work(browser);
    browser.verify();
  } catch (error) {
    const [page] = browser.context.pages().slice(-1);
    const text = await page?.innerText("body").catch(() => "");
    throw new Error(
      `${error.stack}\n\nproblems: ${browser.problems.join("\n")}\n\nthe page at ${page?.url()}:\n${text}`,
      {
        cause: error,
      },
    );
  } finally {
    await browser.close();
  }
}

/** Connects the test wallet through the page, as a person does. */
export async function connect(page) {
  await page.getByRole("banner").getByRole("button", { name: "Connect wallet" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Test wallet" }).click();
  await page.getByRole("banner").getByRole("button", { name: /^0x/ }).waitFor();
}

const axeSource = fs.readFileSync(path.join(web, "node_modules/axe-core/axe.min.js"), "utf8");

/** Fails with what axe finds against WCAG 2.2 AA on the page as it is now. */
export async function assertAccessible(page) {
  await page.evaluate(axeSource);
  const findings = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await globalThis.axe.run(document, { runOnly: { type: "tag", values: tags } });
    return violations.map(({ id, help, nodes }) => ({
      id,
      help,
      nodes: nodes.slice(0, 4).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`),
    }));
  });
  assert.deepEqual(findings, [], `axe on ${page.url()}`);
}

/** Waits until `probe` answers something, as the real parts get there. */
export async function until(what, probe, limitMs = 60_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${limitMs / 1000} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
