// The walk of the README: somebody without a wallet clicks through a whole market with the development chain's accounts.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { after, before, test } from "node:test";
import { buildFolder, inBrowser, skip, startStack } from "./stack.mjs";

const DIGITS = path.resolve(import.meta.dirname, "../../../examples/digits");

/** The example's module, built as `make up` builds it. */
function digitsModule() {
  const options = { encoding: "utf8", env: { ...process.env, CARGO_TARGET_DIR: buildFolder } };
  const output = execFileSync("sh", [path.join(DIGITS, "build.sh")], {
    ...options,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return /^wasm=(.*)$/m.exec(output)[1];
}

let stack;
before(async () => {
  if (!skip) stack = await startStack({ nodes: 1 });
});
after(() => stack?.close());

async function connectAs(page, name) {
  const header = page.getByRole("banner");
  const account = header.getByRole("button", { name: /^0x/ });
  if (await account.isVisible()) {
    await account.click();
    await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  }
  await header.getByRole("button", { name: "Connect wallet" }).click();
  await page.getByRole("dialog").getByRole("button", { name }).click();
  await account.waitFor();
}

test(
  "a newcomer submits a job, sees it verified, and sees its provider paid",
  { skip, timeout: 240_000 },
  () =>
    inBrowser(stack, { party: null }, async (browser) => {
      const page = await browser.page("/submit/");
      await connectAs(page, "Alice, a submitter");
      await page.getByText("WASM module").click();
      await page.getByLabel("Choose a .wasm file").setInputFiles(digitsModule());
      await page.getByRole("button", { name: "Add a dataset" }).click();
      await page.getByText("Files from this device").click();
      await page.getByLabel("Choose files").setInputFiles(path.join(DIGITS, "data/digits.csv"));
      await page.getByText(/digits\.csv \(/).waitFor();
      await page.getByLabel("Bounty", { exact: true }).fill("0.05");
      await page.getByLabel("Deadline").fill("1h");
      await page.getByLabel("Run time at most").fill("2m");
      await page.getByRole("button", { name: "Review and submit" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Lock 0.05 U2U" }).click();
      await page.waitForURL(/\/job\/\?id=0x[0-9a-f]{64}/);
      await page.getByText("Settled", { exact: true }).first().waitFor({ timeout: 90_000 });

      await page.getByRole("tab", { name: "Result" }).click();
      await page.getByText("metrics.json").first().waitFor();
      await page.getByRole("tab", { name: "Receipt" }).click();
      await page.getByText("Everything that could be checked holds").waitFor();

      const job = await (
        await fetch(`${stack.url}/v1/jobs/${new URL(page.url()).searchParams.get("id")}`)
      ).json();
      assert.equal(job.state, "settled");
      await connectAs(page, "Axel, a provider");
      await page.goto(new URL("/provide/dashboard/", stack.url).href);
      await page.getByRole("heading", { name: "Earnings" }).waitFor();
      await page.getByText("0.0475 U2U").first().waitFor();
    }),
);
