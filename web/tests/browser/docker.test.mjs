// A container image from the page to the payment, on a real engine: named by a tag, run by its digest.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { after, before, test } from "node:test";
import { buildFolder, connect, inBrowser, skip, startStack, tellSkip } from "./stack.mjs";

const DIGITS = path.resolve(import.meta.dirname, "../../../examples/digits");
const NAME = "an image is found by its tag, run by its digest, and paid";

let stack;
before(async () => {
  if (!skip) stack = await startStack({ nodes: 1, engine: true });
});
after(() => stack?.close());

test(NAME, { skip, timeout: 240_000 }, async (t) => {
  if (stack.engine_missing) {
    tellSkip(NAME, stack.engine_missing);
    // Counted as passed by the runner; the line above takes it back.
    t.diagnostic(stack.engine_missing);
    return;
  }
  const repository = `${stack.registry}/examples/digits`;
  const environment = { ...process.env, CARGO_TARGET_DIR: buildFolder, DOCKER_HOST: stack.docker_host };
  const output = execFileSync("sh", [path.join(DIGITS, "build.sh"), repository], {
    encoding: "utf8",
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const image = /^image=(.*)$/m.exec(output)[1];
  const tag = `${repository}:latest`;
  for (const words of [
    ["tag", image, tag],
    ["push", "--quiet", tag],
  ]) {
    execFileSync("docker", words, { env: environment, stdio: "ignore" });
  }
  await inBrowser(stack, {}, async (browser) => {
    const page = await browser.page("/submit/");
    await connect(page);
    await page.getByLabel("Image", { exact: true }).fill(tag);
    await page.getByRole("button", { name: "Resolve tag" }).click();
    await page.waitForFunction(
      (digest) =>
        document.querySelector("input[name=image]")?.value.includes(digest) ||
        document.body.innerText.includes(digest),
      image.split("@")[1],
    );
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
    await page.getByText("Settled", { exact: true }).first().waitFor({ timeout: 120_000 });
    const id = new URL(page.url()).searchParams.get("id");
    const job = await (await fetch(`${stack.url}/v1/jobs/${id}`)).json();
    assert.deepEqual(job.spec.runtime, { kind: "docker", image }, "the digest is what runs, not the tag");
    await page.getByRole("tab", { name: "Logs" }).click();
    await page.getByText("images read correctly").first().waitFor();
  });
});
