/** A node's receipt: its hash, and whether its signature holds. */

import { type Hex, isAddressEqual, sha256, stringToBytes } from "viem";
import type { Receipt } from "./api";
import { canonicalJson } from "./spec";
import { type Domain, reportSigner } from "./terms";

type Json = Parameters<typeof canonicalJson>[0];

export function canonicalReceipt(receipt: Receipt): string {
  const { fuel_used, ...rest } = receipt;
  return canonicalJson((fuel_used == null ? rest : { ...rest, fuel_used }) as unknown as Json);
}

export function receiptHash(receipt: Receipt): Hex {
  return sha256(stringToBytes(canonicalReceipt(receipt)));
}

export function isSuccess(receipt: Receipt): boolean {
  return receipt.outcome.kind === "exited" && receipt.outcome.exit_code === 0;
}

/** Whether the receipt's node has signed it for this chain and contract. */
export async function isSigned(domain: Domain, receipt: Receipt, signature: Hex): Promise<boolean> {
  const report = {
    jobId: receipt.job_id as Hex,
    attempt: receipt.attempt,
    node: receipt.node as Hex,
    receiptHash: receiptHash(receipt),
  };
  try {
    const signer = await reportSigner(domain, isSuccess(receipt) ? "Result" : "Failure", report, signature);
    return isAddressEqual(signer, report.node);
  } catch {
    return false;
  }
}
