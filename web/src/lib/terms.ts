/** The terms of a job: its id, and the messages that nodes and submitters sign (EIP-712). */

import { type Address, type Hex, hashTypedData, recoverTypedDataAddress } from "viem";
import type { Schemas } from "./api";

/** The terms as the contract takes them. On the wire (`Schemas["Terms"]`) amounts are strings and names have underscores. */
export type Terms = {
  submitter: Address;
  scheduler: Address;
  arbiter: Address;
  token: Address;
  bounty: bigint;
  fee: bigint;
  bond: bigint;
  disputeBond: bigint;
  deadline: number;
  leaseSeconds: number;
  graceSeconds: number;
  attemptSeconds: number;
  holdSeconds: number;
  challengeWindow: number;
  rulingSeconds: number;
  specHash: Hex;
  salt: Hex;
};

export type WireTerms = Schemas["Terms"];
export type Domain = { chainId: number; contract: Address };

export { NATIVE } from "./money";

const TERMS_TYPE = [
  { name: "submitter", type: "address" },
  { name: "scheduler", type: "address" },
  { name: "arbiter", type: "address" },
  { name: "token", type: "address" },
  { name: "bounty", type: "uint128" },
  { name: "fee", type: "uint128" },
  { name: "bond", type: "uint128" },
  { name: "disputeBond", type: "uint128" },
  { name: "deadline", type: "uint40" },
  { name: "leaseSeconds", type: "uint32" },
  { name: "graceSeconds", type: "uint32" },
  { name: "attemptSeconds", type: "uint32" },
  { name: "holdSeconds", type: "uint32" },
  { name: "challengeWindow", type: "uint32" },
  { name: "rulingSeconds", type: "uint32" },
  { name: "specHash", type: "bytes32" },
  { name: "salt", type: "bytes32" },
] as const;

const REPORT_TYPE = [
  { name: "jobId", type: "bytes32" },
  { name: "attempt", type: "uint16" },
  { name: "node", type: "address" },
  { name: "receiptHash", type: "bytes32" },
] as const;

function domainOf({ chainId, contract }: Domain) {
  return { name: "Gristmill", version: "1", chainId, verifyingContract: contract } as const;
}

/** The job id: the EIP-712 digest of the terms, computed here before any money moves. */
export function jobId(domain: Domain, terms: Terms): Hex {
  return hashTypedData({
    domain: domainOf(domain),
    types: { Terms: TERMS_TYPE },
    primaryType: "Terms",
    message: terms,
  });
}

export function fromWire(terms: WireTerms): Terms {
  return {
    submitter: terms.submitter as Address,
    scheduler: terms.scheduler as Address,
    arbiter: terms.arbiter as Address,
    token: terms.token as Address,
    bounty: BigInt(terms.bounty),
    fee: BigInt(terms.fee),
    bond: BigInt(terms.bond),
    disputeBond: BigInt(terms.dispute_bond),
    deadline: terms.deadline,
    leaseSeconds: terms.lease_seconds,
    graceSeconds: terms.grace_seconds,
    attemptSeconds: terms.attempt_seconds,
    holdSeconds: terms.hold_seconds,
    challengeWindow: terms.challenge_window,
    rulingSeconds: terms.ruling_seconds,
    specHash: terms.spec_hash as Hex,
    salt: terms.salt as Hex,
  };
}

export function toWire(terms: Terms): WireTerms {
  return {
    submitter: terms.submitter,
    scheduler: terms.scheduler,
    arbiter: terms.arbiter,
    token: terms.token,
    bounty: terms.bounty.toString(),
    fee: terms.fee.toString(),
    bond: terms.bond.toString(),
    dispute_bond: terms.disputeBond.toString(),
    deadline: terms.deadline,
    lease_seconds: terms.leaseSeconds,
    grace_seconds: terms.graceSeconds,
    attempt_seconds: terms.attemptSeconds,
    hold_seconds: terms.holdSeconds,
    challenge_window: terms.challengeWindow,
    ruling_seconds: terms.rulingSeconds,
    spec_hash: terms.specHash,
    salt: terms.salt,
  };
}

/** `r ‖ vs` (EIP-2098) as the 65 bytes that libraries expect. */
export function expandSignature(compact: Hex): Hex {
  if (!/^0x[0-9a-fA-F]{128}$/.test(compact)) throw new Error("a compact signature has 64 bytes");
  const r = compact.slice(2, 66);
  const vs = BigInt(`0x${compact.slice(66)}`);
  const s = (vs & ((1n << 255n) - 1n)).toString(16).padStart(64, "0");
  return `0x${r}${s}${vs >> 255n ? "1c" : "1b"}`;
}

/** The two words of a compact signature, as the contract takes them. */
export function signatureWords(compact: Hex): { r: Hex; vs: Hex } {
  return { r: compact.slice(0, 66) as Hex, vs: `0x${compact.slice(66)}` };
}

export type Report = { jobId: Hex; attempt: number; node: Address; receiptHash: Hex };

/** Who signed that a receipt is the result (or the failure) of an attempt. */
export function reportSigner(
  domain: Domain,
  kind: "Result" | "Failure",
  report: Report,
  signature: Hex,
): Promise<Address> {
  const types = { Result: REPORT_TYPE, Failure: REPORT_TYPE };
  return recoverTypedDataAddress({
    domain: domainOf(domain),
    types,
    primaryType: kind,
    message: report,
    signature: expandSignature(signature),
  });
}
