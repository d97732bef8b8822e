/** A result's checks, with the golden vectors: each must fail where the one thing that it checks is changed. */

import fs from "node:fs";
import path from "node:path";
import type { Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { describe, expect, it } from "vitest";
import type { Receipt } from "./api";
import { receiptHash } from "./receipt";
import { type Terms, toWire } from "./terms";
import { checkOutput, checkReceipt, hasFailed, type Proof, readProof } from "./verify";

const vectors = JSON.parse(
  fs.readFileSync(path.resolve(import.meta.dirname, "../../../api/vectors.json"), "utf8"),
);
const [{ terms: written, jobId: id }] = vectors.terms;
const terms: Terms = {
  ...written,
  bounty: BigInt(written.bounty),
  fee: BigInt(written.fee),
  bond: BigInt(written.bond),
  disputeBond: BigInt(written.disputeBond),
};
const node = privateKeyToAccount(`0x${"11".repeat(32)}`);

async function proof(change: Partial<Receipt> = {}): Promise<Proof> {
  const receipt: Receipt = {
    ...JSON.parse(vectors.receipts[0].canonical),
    job_id: id,
    node: node.address.toLowerCase(),
    spec_hash: terms.specHash,
    outcome: { kind: "exited", exit_code: 0 },
    ...change,
  };
  const isSuccess = receipt.outcome.kind === "exited" && receipt.outcome.exit_code === 0;
  const fields = [
    { name: "jobId", type: "bytes32" },
    { name: "attempt", type: "uint16" },
    { name: "node", type: "address" },
    { name: "receiptHash", type: "bytes32" },
  ];
  const whole = await node.signTypedData({
    domain: vectors.domain,
    types: isSuccess ? { Result: fields } : { Failure: fields },
    primaryType: isSuccess ? "Result" : "Failure",
    message: {
      jobId: receipt.job_id,
      attempt: receipt.attempt,
      node: node.address,
      receiptHash: receiptHash(receipt),
    },
  } as never);
  const s = BigInt(`0x${whole.slice(66, 130)}`) | (BigInt(whole.slice(130) === "1c" ? 1 : 0) << 255n);
  const signature: Hex = `${whole.slice(0, 66) as Hex}${s.toString(16).padStart(64, "0")}`;
  const { chainId: chain_id, verifyingContract: contract } = vectors.domain;
  return { domain: { chain_id, contract }, terms: toWire(terms), receipt, signature };
}

async function failing(proof: Proof): Promise<string[]> {
  return (await checkReceipt(id, proof)).filter(({ verdict }) => verdict === "fails").map(({ what }) => what);
}

describe("a receipt", () => {
  it("holds as the node signed it", async () => {
    const checks = await checkReceipt(id, await proof());
    expect(checks.map(({ verdict }) => verdict)).toEqual(["holds", "holds", "holds", "holds"]);
    expect(hasFailed(checks)).toBe(false);
  });

  it("fails in exactly what was changed", async () => {
    const honest = await proof();
    const later = { ...honest.receipt, output_bytes: honest.receipt.output_bytes + 1 };
    expect(await failing({ ...honest, receipt: later })).toEqual(["signature"]);
    expect(await failing({ ...honest, terms: { ...honest.terms, bounty: "1" } })).toEqual(["job id"]);
    expect(await failing({ ...honest, domain: { ...honest.domain, chain_id: 1 } })).toEqual([
      "job id",
      "signature",
    ]);
    expect(await failing(await proof({ spec_hash: `0x${"22".repeat(32)}` }))).toEqual(["spec"]);
    expect(await failing(await proof({ outcome: { kind: "exited", exit_code: 1 } }))).toEqual(["outcome"]);
    expect(await failing(await proof({ job_id: `0x${"33".repeat(32)}` }))).toEqual(["job id"]);
  });

  it("without a signature is not called signed", async () => {
    const checks = await checkReceipt(id, { ...(await proof()), signature: null });
    expect(checks.find(({ what }) => what === "signature")?.verdict).toBe("not_checked");
  });

  it("is compared with the output that was read", async () => {
    const { receipt } = await proof({ output_bytes: 5, manifest_hash: "0xaa" });
    const files = [{ path: "a", size: 5, sha256: "00" }];
    expect(hasFailed(checkOutput(receipt, files, "0xaa"))).toBe(false);
    expect(checkOutput(receipt, files, "0xbb").map(({ verdict }) => verdict)).toEqual(["holds", "fails"]);
    const shorter = [{ path: "a", size: 4, sha256: "00" }];
    expect(checkOutput(receipt, shorter, "0xaa").map(({ verdict }) => verdict)).toEqual(["fails", "holds"]);
  });
});

describe("a receipt file", () => {
  it("is read as the command line writes it", async () => {
    const whole = await proof();
    expect(readProof(JSON.stringify(whole))).toEqual(whole);
    const { signature, ...unsigned } = whole;
    expect(readProof(JSON.stringify(unsigned))).toEqual(unsigned);
  });

  it("is refused with the part that is wrong", async () => {
    const whole = await proof();
    const wrong = (value: unknown) => () => readProof(JSON.stringify(value));
    expect(() => readProof("{")).toThrow("not_json");
    expect(wrong(null)).toThrow("not_json");
    expect(wrong([])).toThrow("domain");
    expect(wrong({ ...whole, terms: { ...whole.terms, bounty: "-1" } })).toThrow("terms.bounty");
    expect(wrong({ ...whole, receipt: { ...whole.receipt, attempt: 1.5 } })).toThrow("receipt.attempt");
    expect(wrong({ ...whole, receipt: { ...whole.receipt, outcome: {} } })).toThrow("receipt.outcome.kind");
    expect(wrong({ ...whole, signature: "0x00" })).toThrow("signature");
    expect(() => readProof(" ".repeat((1 << 20) + 1))).toThrow("too_large");
  });
});
