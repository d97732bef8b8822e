/** The golden vectors that Rust, Solidity and TypeScript share: hashes and ids must agree before any money moves. */

import fs from "node:fs";
import path from "node:path";
import type { Address, Hex } from "viem";
import { describe, expect, it } from "vitest";
import type { JobSpec, Receipt } from "./api";
import { canonicalReceipt, receiptHash } from "./receipt";
import { canonicalSpec, specHash } from "./spec";
import { type Domain, expandSignature, jobId, reportSigner, type Terms } from "./terms";

const vectors = JSON.parse(
  fs.readFileSync(path.resolve(import.meta.dirname, "../../../api/vectors.json"), "utf8"),
);
const domain: Domain = { chainId: vectors.domain.chainId, contract: vectors.domain.verifyingContract };

function terms(written: Record<string, string | number>): Terms {
  const amounts = Object.fromEntries(
    ["bounty", "fee", "bond", "disputeBond"].map((name) => [name, BigInt(written[name] ?? 0)]),
  );
  return { ...written, ...amounts } as unknown as Terms;
}

describe("golden vectors", () => {
  it("specs", () => {
    expect(vectors.specs.length).toBeGreaterThan(1);
    for (const { written, canonical, specHash: hash } of vectors.specs) {
      const spec = JSON.parse(written) as JobSpec;
      expect(canonicalSpec(spec)).toBe(canonical);
      expect(specHash(spec)).toBe(hash);
    }
  });

  it("job ids", () => {
    for (const vector of vectors.terms) expect(jobId(domain, terms(vector.terms))).toBe(vector.jobId);
    const changed = { ...terms(vectors.terms[0].terms), fee: 1n };
    expect(jobId(domain, changed)).not.toBe(vectors.terms[0].jobId);
  });

  it("receipts", () => {
    for (const { canonical, receiptHash: hash } of vectors.receipts) {
      const receipt = JSON.parse(canonical) as Receipt;
      expect(canonicalReceipt(receipt)).toBe(canonical);
      expect(receiptHash(receipt)).toBe(hash);
    }
  });

  it("signatures of results and failures", async () => {
    const reports = vectors.signatures.filter(({ type }: { type: string }) =>
      /^(Result|Failure)$/.test(type),
    );
    expect(reports).toHaveLength(2);
    for (const { type, message, r, vs, signer } of reports) {
      const compact: Hex = `${r as Hex}${(vs as Hex).slice(2)}`;
      const recovered: Address = await reportSigner(domain, type, message, compact);
      expect(recovered.toLowerCase()).toBe(signer);
      const other = await reportSigner(domain, type, { ...message, attempt: message.attempt + 1 }, compact);
      expect(other.toLowerCase()).not.toBe(signer);
    }
    expect(() => expandSignature("0x00")).toThrow("64 bytes");
  });
});
