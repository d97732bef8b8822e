/** The one vocabulary of states: a word, a tone and a sentence for each. A state never shows by colour alone. */

import type { Schemas } from "./api";

export type Tone = "neutral" | "info" | "good" | "warn" | "bad";
export type StatusIcon =
  | "clock"
  | "search"
  | "play"
  | "phone"
  | "shield"
  | "flag"
  | "coins"
  | "undo"
  | "check"
  | "x"
  | "pause";
export type Status = { word: string; tone: Tone; icon: StatusIcon; help: string };

export const JOB_STATUS: Record<Schemas["JobState"], Status> = {
  funding: { word: "Funding", tone: "warn", icon: "clock", help: "The bounty is not locked yet." },
  queued: {
    word: "Queued",
    tone: "info",
    icon: "search",
    help: "The bounty is locked; a node is being looked for.",
  },
  assigned: { word: "Running", tone: "info", icon: "play", help: "A node has the job." },
  calling_in: {
    word: "Calling in",
    tone: "warn",
    icon: "phone",
    help: "The node went silent and must answer on chain, or lose the job.",
  },
  verifying: { word: "Verifying", tone: "info", icon: "shield", help: "The result is being checked." },
  published: {
    word: "Published",
    tone: "info",
    icon: "flag",
    help: "The node put its result on chain itself.",
  },
  settling: {
    word: "Settling",
    tone: "info",
    icon: "coins",
    help: "The result is accepted; the payment is on its way.",
  },
  refunding: {
    word: "Refunding",
    tone: "warn",
    icon: "undo",
    help: "Nobody will be paid; the bounty is on its way back.",
  },
  settled: { word: "Settled", tone: "good", icon: "check", help: "The provider is paid, finally." },
  refunded: {
    word: "Refunded",
    tone: "neutral",
    icon: "undo",
    help: "The bounty is back with the submitter, finally.",
  },
  cancelled: {
    word: "Cancelled",
    tone: "neutral",
    icon: "x",
    help: "Given up before the bounty was locked.",
  },
};

export const ATTEMPT_STATUS: Record<Schemas["AttemptState"], Status> = {
  leased: { word: "Preparing", tone: "info", icon: "clock", help: "The node fetches inputs and program." },
  running: { word: "Running", tone: "info", icon: "play", help: "The program runs." },
  reported: {
    word: "Reported",
    tone: "info",
    icon: "shield",
    help: "The node has signed a result, which is being checked.",
  },
  accepted: { word: "Accepted", tone: "good", icon: "check", help: "The result was accepted." },
  rejected: { word: "Rejected", tone: "bad", icon: "x", help: "The result was not as the receipt says." },
  expired: { word: "Expired", tone: "bad", icon: "x", help: "The node fell silent and lost the job." },
  released: {
    word: "Given back",
    tone: "neutral",
    icon: "undo",
    help: "The node gave the job back in time.",
  },
  failed: { word: "Failed", tone: "bad", icon: "x", help: "The program did not succeed." },
  abandoned: { word: "Abandoned", tone: "neutral", icon: "x", help: "The job ended otherwise." },
};

export const NODE_STATUS: Record<Schemas["NodeState"], Status> = {
  idle: { word: "Idle", tone: "good", icon: "check", help: "Ready for a job." },
  busy: { word: "Busy", tone: "info", icon: "play", help: "Works on a job." },
  draining: {
    word: "Draining",
    tone: "warn",
    icon: "pause",
    help: "Finishes what it has and takes nothing new.",
  },
  offline: { word: "Offline", tone: "neutral", icon: "x", help: "Not heard of for a while." },
};

export const ESCROW_STATUS: Record<Schemas["EscrowState"], Status> = {
  none: {
    word: "Not locked",
    tone: "neutral",
    icon: "clock",
    help: "The contract knows nothing of this job.",
  },
  open: { word: "Open", tone: "info", icon: "search", help: "The bounty is locked; no node has the job." },
  assigned: { word: "Assigned", tone: "info", icon: "play", help: "A node holds the job." },
  held: {
    word: "Held",
    tone: "info",
    icon: "clock",
    help: "Settled; the payment waits for the end of the hold.",
  },
  published: {
    word: "Published",
    tone: "info",
    icon: "flag",
    help: "A result is on chain and can be disputed.",
  },
  disputed: { word: "Disputed", tone: "warn", icon: "shield", help: "The arbiter has to rule." },
  paid: { word: "Paid", tone: "good", icon: "check", help: "The provider was paid." },
  refunded: {
    word: "Refunded",
    tone: "neutral",
    icon: "undo",
    help: "The bounty went back to the submitter.",
  },
  cancelled: { word: "Cancelled", tone: "neutral", icon: "x", help: "The submitter took the job back." },
};

/** The contract's states by number, as `job(id)` answers. */
export const ESCROW_STATES = [
  "none",
  "open",
  "assigned",
  "held",
  "published",
  "disputed",
  "paid",
  "refunded",
  "cancelled",
] as const satisfies readonly Schemas["EscrowState"][];

const ENDS: readonly Schemas["JobState"][] = ["settled", "refunded", "cancelled"];
export function isEnd(state: Schemas["JobState"]): boolean {
  return ENDS.includes(state);
}
