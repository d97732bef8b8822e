// The form over a real scheduler, chain and nodes: what it takes, what it says, and a job that is run.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { parseEther } from "viem";
import { parseShell } from "./shell-words.mjs";
import { assertAccessible, inBrowser, runCli, skip, startStack, until } from "./stack.mjs";
import {
  arrived,
  BOUNTY,
  confirm,
  fill,
  limit,
  MODULE,
  openForm,
  records,
  review,
  submit,
} from "./submit-form.mjs";

let stack;

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
      assert.deepEqual(inputs, ["set", "one.csv"]);
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

  for (const theme of ["light", "dark"]) {
    for (const width of [360, 1440]) {
      test(`form and review are accessible, ${theme}, ${width} px`, limit, () =>
        inBrowser(stack, { theme, width }, async (browser) => {
          const page = await openForm(browser);
          await fill(page);
          await page.getByRole("button", { name: "Add a dataset" }).click();
          await page.getByText("Web link").click();
          await page.getByRole("button", { name: "Add a variable" }).click();
          for (const advanced of await page.getByText("Advanced").all()) await advanced.click();
          await page.getByText("2 of 2 nodes match").waitFor();
          await assertAccessible(page);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
          assert.equal(wide, false, "the page scrolls sideways");
          await page.getByRole("button", { name: "Remove: Input 1" }).click();
          await page.getByRole("button", { name: "Remove 1" }).click();
          await submit(page);
          await review(page).waitFor();
          await assertAccessible(page);
        }),
      );
    }
  }

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
});
