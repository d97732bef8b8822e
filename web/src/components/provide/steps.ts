/** The way from a wallet to a node that earns: which step comes next, told from facts alone, so that a reload loses nothing. */

import { isAddressEqual } from "@/lib/address";
import type { NodeView } from "@/lib/api";
import type { Approval, Enrollment } from "./on-chain";
import type { WaitingNode } from "./provider-data";

export const STEPS = ["wallet", "command", "check", "enroll", "online"] as const;
export type Step = (typeof STEPS)[number];

/** What stands in the way. Each has a sentence that says what to do. */
export type Problem =
  /** The scheduler has no consent of this node: it was never sent, or it has expired and is gone. */
  | { kind: "gone" }
  | { kind: "expired" }
  /** The node names another wallet than the connected one. */
  | { kind: "other_wallet"; wallet: string }
  /** Another wallet has enrolled the node, for good. */
  | { kind: "taken"; wallet: string }
  | { kind: "revoked" };

/** Absent facts are not known yet; `null` is known to be nothing. */
export type Facts = {
  wallet: string | undefined;
  node: string | undefined;
  waiting: WaitingNode | null | undefined;
  enrollment: Enrollment | null | undefined;
  approval: Approval | undefined;
  /** What the scheduler knows of the node once it has made its offer. */
  view: NodeView | null | undefined;
  /** The person has compared the node with the machine. */
  isConfirmed: boolean;
  nowSeconds: number;
};

export type Stand = { step: Step | "done" | "unknown"; problem?: Problem };

export function stand(facts: Facts): Stand {
  const { wallet, node, waiting, enrollment, approval, view } = facts;
  if (!wallet) return { step: "wallet" };
  if (!node) return { step: "command" };
  if (enrollment === undefined) return { step: "unknown" };
  if (enrollment !== null) {
    if (!isAddressEqual(enrollment.provider, wallet)) {
      return { step: "check", problem: { kind: "taken", wallet: enrollment.provider } };
    }
    if (enrollment.revoked) return { step: "check", problem: { kind: "revoked" } };
    if (approval === undefined) return { step: "unknown" };
    if (!approval.approved) return { step: "enroll" };
    return { step: view && view.state !== "offline" ? "done" : "online" };
  }
  if (waiting === undefined) return { step: "unknown" };
  if (waiting === null) return { step: "command", problem: { kind: "gone" } };
  if (waiting.expires < facts.nowSeconds) return { step: "command", problem: { kind: "expired" } };
  if (!isAddressEqual(waiting.provider, wallet)) {
    return { step: "command", problem: { kind: "other_wallet", wallet: waiting.provider } };
  }
  return { step: facts.isConfirmed ? "enroll" : "check" };
}

/** The command that makes a node of a machine. */
export function joinCommand(scheduler: string, provider: string): string {
  return `gristmill-node join --scheduler ${scheduler} --provider ${provider}`;
}
