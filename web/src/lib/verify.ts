/**
 * Everything that can be checked about a job's result, in the order and the words of `gristmill result`. Brings viem with
 * it: load it lazily.
 */

import { type Hex, isAddressEqual } from "viem";
import type { JobView, Receipt, Schemas } from "./api";
import type { ChainClient } from "./chain";
import type { ManifestFile } from "./content";
import { isSigned, isSuccess, receiptHash } from "./receipt";
import { fromWire, jobId, type WireTerms } from "./terms";

/** A file that `gristmill result` writes beside an output holds exactly this. */
export type Proof = {
  domain: { chain_id: number; contract: string };
  terms: WireTerms;
  receipt: Receipt;
  signature?: string | null;
};

export const CHECKS = ["job id", "spec", "outcome", "signature", "on chain", "output", "manifest"] as const;
export type CheckName = (typeof CHECKS)[number];
export type Verdict = "holds" | "fails" | "not_checked";
/** `why` names a sentence; `values` go into it. */
export type Check = {
  what: CheckName;
  verdict: Verdict;
  why: Why;
  values?: Record<string, string | number>;
};
export type Why =
  | "jobId"
  | "spec"
  | "outcome"
  | "signature"
  | "noSignature"
  | "paidFor"
  | "holdsReceipt"
  | "otherReceipt"
  | "noResult"
  | "chainUnreachable"
  | "otherContract"
  | "blocks"
  | "otherSize"
  | "manifest"
  | "tooLarge"
  | "notRead"
  | "contentFailed";

const RECEIPT_VERSION = 1;

function check(what: CheckName, holds: boolean, why: Why, values?: Check["values"]): Check {
  return { what, verdict: holds ? "holds" : "fails", why, ...(values ? { values } : {}) };
}

export function notChecked(what: CheckName, why: Why, values?: Check["values"]): Check {
  return { what, verdict: "not_checked", why, ...(values ? { values } : {}) };
}

export function outcomeText(outcome: Schemas["Outcome"]): string {
  switch (outcome.kind) {
    case "exited":
      return `exit ${outcome.exit_code}`;
    case "limited":
      return `stopped at its limit: ${outcome.limit}`;
    case "not_started":
      return `not started: ${outcome.reason}`;
    case "output_refused":
      return `output refused: ${outcome.reason}`;
  }
}

/** What a receipt says of itself, checked against the terms and the node's key. */
export async function checkReceipt(id: string, proof: Proof): Promise<Check[]> {
  const { receipt, signature } = proof;
  const domain = { chainId: proof.domain.chain_id, contract: proof.domain.contract as Hex };
  const isOurs = jobId(domain, fromWire(proof.terms)) === id.toLowerCase() && receipt.job_id === id;
  const hash = receiptHash(receipt);
  return [
    check("job id", isOurs, "jobId"),
    check("spec", receipt.spec_hash === proof.terms.spec_hash, "spec", { hash: receipt.spec_hash }),
    check("outcome", receipt.version === RECEIPT_VERSION && isSuccess(receipt), "outcome", {
      outcome: outcomeText(receipt.outcome),
    }),
    signature
      ? check("signature", await isSigned(domain, receipt, signature as Hex), "signature", {
          node: receipt.node,
          hash,
        })
      : notChecked("signature", "noSignature"),
  ];
}

/** What the contract accepted: it has checked the node's signature itself. The newest result of the job counts. */
export async function checkChain(client: ChainClient, id: Hex, receipt: Receipt): Promise<Check> {
  const { scanLogs, storedJob } = await import("./escrow");
  try {
    const stored = await storedJob(client, id);
    const found: { block: bigint; node: Hex; attempt: number; hash: Hex }[] = [];
    for (const name of ["Settled", "Published"] as const) {
      for await (const { logs } of scanLogs(client, name, { jobId: id }, true)) {
        const [log] = logs;
        if (!log) continue;
        const {
          node,
          attempt,
          receiptHash: hash,
        } = log.args as { node: Hex; attempt: number; receiptHash: Hex };
        found.push({ block: log.blockNumber, node, attempt, hash });
        break;
      }
    }
    // A result that was published is settled afterwards, so the newer of the two is what counts.
    const [newest] = found.sort((a, b) => Number(b.block - a.block));
    if (!newest) return notChecked("on chain", "noResult");
    const isSame =
      isAddressEqual(newest.node, receipt.node as Hex) &&
      newest.attempt === receipt.attempt &&
      newest.hash === receiptHash(receipt);
    const why = stored.state === "paid" ? "paidFor" : "holdsReceipt";
    return check("on chain", isSame, isSame ? why : "otherReceipt", { hash: newest.hash });
  } catch (error) {
    const { text } = client.explain(error);
    return notChecked("on chain", "chainUnreachable", { reason: text });
  }
}

/** The output that was read, block by block, compared with what the receipt signs. */
export function checkOutput(receipt: Receipt, manifest: readonly ManifestFile[], hash: string): Check[] {
  const bytes = manifest.reduce((sum, file) => sum + file.size, 0);
  return [
    check("output", bytes === receipt.output_bytes, bytes === receipt.output_bytes ? "blocks" : "otherSize", {
      cid: receipt.output_cid,
      bytes,
      expected: receipt.output_bytes,
    }),
    check("manifest", hash === receipt.manifest_hash, "manifest", { files: manifest.length, hash }),
  ];
}

/** Whether anything that was checked is not as it should be. */
export function hasFailed(checks: readonly Check[]): boolean {
  return checks.some(({ verdict }) => verdict === "fails");
}

/** The proof of a job's accepted result, or of the newest attempt that reported one. */
export function proofOf(job: JobView, domain: Proof["domain"]): Proof | undefined {
  const accepted = job.attempts.find((attempt) => attempt.number === job.result?.attempt);
  const reported = accepted ?? job.attempts.findLast((attempt) => attempt.receipt);
  const receipt = job.result ?? reported?.receipt;
  return receipt ? { domain, terms: job.terms, receipt, signature: reported?.signature ?? null } : undefined;
}

/** A receipt file has about three kilobytes. */
export const PROOF_BYTES_MAX = 1 << 20;

const ADDRESS = /^0x[0-9a-fA-F]{40}$/;
const HASH = /^0x[0-9a-f]{64}$/;

type Shape = { [name: string]: "number" | "string" | RegExp };
const DOMAIN: Shape = { chain_id: "number", contract: ADDRESS };
const TERMS: Shape = {
  submitter: ADDRESS,
  scheduler: ADDRESS,
  arbiter: ADDRESS,
  token: ADDRESS,
  bounty: /^\d{1,39}$/,
  fee: /^\d{1,39}$/,
  bond: /^\d{1,39}$/,
  dispute_bond: /^\d{1,39}$/,
  deadline: "number",
  lease_seconds: "number",
  grace_seconds: "number",
  attempt_seconds: "number",
  hold_seconds: "number",
  challenge_window: "number",
  ruling_seconds: "number",
  spec_hash: HASH,
  salt: HASH,
};
const RECEIPT: Shape = {
  version: "number",
  job_id: HASH,
  attempt: "number",
  node: ADDRESS,
  spec_hash: HASH,
  output_cid: "string",
  manifest_hash: HASH,
  output_bytes: "number",
  log_bytes: "number",
  started_at_ms: "number",
  finished_at_ms: "number",
};

/** Says which part of a value is missing or of another kind. */
function fault(value: unknown, shape: Shape, name: string): string | undefined {
  if (typeof value !== "object" || value === null) return name;
  const record = value as Record<string, unknown>;
  for (const [key, kind] of Object.entries(shape)) {
    const part = record[key];
    const fits =
      kind === "number"
        ? Number.isSafeInteger(part)
        : typeof part === "string" && (kind === "string" || kind.test(part));
    if (!fits) return `${name}.${key}`;
  }
  return undefined;
}

/** What is wrong with a text that should be a receipt file: `part` names where. */
export class ProofError extends Error {
  constructor(
    readonly kind: "too_large" | "not_json" | "part",
    readonly part = "",
  ) {
    super(part ? `not a receipt file: ${part}` : `not a receipt file: ${kind}`);
    this.name = "ProofError";
  }
}

/** Reads the file that `gristmill result` writes, or the same with the receipt's signature beside it. */
export function readProof(text: string): Proof {
  if (text.length > PROOF_BYTES_MAX) throw new ProofError("too_large");
  let value: { domain?: unknown; terms?: unknown; receipt?: { outcome?: unknown }; signature?: unknown };
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProofError("not_json");
  }
  if (typeof value !== "object" || value === null) throw new ProofError("not_json");
  const wrong =
    fault(value.domain, DOMAIN, "domain") ??
    fault(value.terms, TERMS, "terms") ??
    fault(value.receipt, RECEIPT, "receipt") ??
    fault(
      value.receipt?.outcome,
      { kind: /^(exited|limited|not_started|output_refused)$/ },
      "receipt.outcome",
    );
  if (wrong) throw new ProofError("part", wrong);
  const { signature } = value;
  if (signature != null && !(typeof signature === "string" && /^0x[0-9a-fA-F]{128}$/.test(signature))) {
    throw new ProofError("part", "signature");
  }
  return value as Proof;
}
