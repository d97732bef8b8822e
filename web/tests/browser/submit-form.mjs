// The form as a person uses it, for the tests of submitting.
import { parseAbi } from "viem";
import { connect, skip } from "./stack.mjs";

/** A module that does nothing, and succeeds. */
export const MODULE = Buffer.from(
  "0061736d0100000001040160000003020100050301000107130206" + "6d656d6f72790200065f737461727400000a040102000b",
  "hex",
);
export const BOUNTY = "0.25";
const ABI = parseAbi([
  "function job(bytes32 id) view returns (uint8 state, address node, uint32 at, uint32 assignedAt, uint16 attempt, uint8 forfeits, uint8 flags)",
]);
export const limit = { timeout: 120_000, skip };
/** What the browser itself says of endpoints that are down. */
export const DOWN = [
  /net::ERR_(CONNECTION_REFUSED|FAILED|EMPTY_RESPONSE|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING)/,
];

export async function openForm(browser, { connected = true } = {}) {
  const page = await browser.page("/submit/");
  await page.getByRole("heading", { name: "Submit a job" }).waitFor();
  if (connected) await connect(page);
  return page;
}

export async function fill(page, { bounty = BOUNTY, name = "mill" } = {}) {
  await page.getByText("WASM module").click();
  const module = { name: "mill.wasm", mimeType: "application/wasm", buffer: MODULE };
  await page.getByLabel("Choose a .wasm file").setInputFiles(module);
  await page.getByText("mill.wasm", { exact: true }).waitFor();
  await page.getByLabel("Name", { exact: false }).first().fill(name);
  await page.getByLabel("Bounty", { exact: true }).fill(bounty);
}

export const submit = (page) => page.getByRole("button", { name: "Review and submit" }).click();
export const review = (page) => page.getByRole("dialog", { name: /^Lock / });
export const confirm = (page) => review(page).getByRole("button", { name: `Lock ${BOUNTY} U2U` });

export async function toReview(page, options) {
  await fill(page, options);
  await submit(page);
  await review(page).waitFor();
}

/** The page of the job, and its id. */
export async function arrived(page) {
  await page.waitForURL(/\/job\/\?id=0x[0-9a-f]{64}/);
  return new URL(page.url()).searchParams.get("id");
}

export async function escrowState(on, id) {
  const call = { address: on.contract, abi: ABI, functionName: "job", args: [id] };
  return (await on.rpc.readContract(call))[0];
}

/** The records that the page has written, as it wrote them. */
export function records(page) {
  return page.evaluate(() =>
    Object.entries(localStorage)
      .filter(([key]) => key.startsWith("gristmill:submission:"))
      .map(([, value]) => JSON.parse(value)),
  );
}
