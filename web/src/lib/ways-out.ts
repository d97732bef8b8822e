/** What can be done with a job's money now, later, and by whom: the way out of every state, without a scheduler. */

import type { Address } from "viem";
import type { StoredJob } from "./escrow";
import type { Terms } from "./terms";

/** A verb of the contract that moves a job's money, or frees it to be moved. */
export type Verb = "cancel" | "lapse" | "refund" | "claim" | "dispute" | "rule";

/** One way out: what, the first second at which a block may hold it, and the last, where there is one. */
export type WayOut = { verb: Verb; from: number; until?: number };

/** Whether a block after one of this time may hold it. */
export function isOpen(way: WayOut, now: number): boolean {
  return way.from <= now && !isOver(way, now);
}

/** Whether it has closed for good. */
export function isOver(way: WayOut, now: number): boolean {
  return way.until !== undefined && way.until < now;
}

/**
 * The last second of what the job waits for in this state: of a window in which a result can be disputed, or of the
 * arbiter's time.
 */
export function windowEnd(terms: Terms, stored: StoredJob): number {
  switch (stored.state) {
    case "held":
      return stored.at + terms.holdSeconds;
    case "published":
      return stored.at + terms.challengeWindow;
    case "disputed":
      return stored.at + terms.rulingSeconds;
    case "none":
    case "open":
    case "assigned":
    case "paid":
    case "refunded":
    case "cancelled":
      return stored.at;
  }
}

function isSame(a: Address, b: Address): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** What `wallet` can do with the job, soonest first. `leaseEnd` matters only where it is assigned. */
export function waysOut(terms: Terms, stored: StoredJob, leaseEnd: number, wallet: Address): WayOut[] {
  const submits = isSame(terms.submitter, wallet);
  // A way that opens after the last second of what it waits for stays open.
  const refund: WayOut = { verb: "refund", from: terms.deadline + 1 };
  const cancel: WayOut = { verb: "cancel", from: 0 };
  const end = windowEnd(terms, stored);
  const dispute: WayOut = { verb: "dispute", from: stored.at, until: end };
  const claim: WayOut = { verb: "claim", from: end + 1 };
  const ways: WayOut[] = [];
  switch (stored.state) {
    case "none":
      if (submits) ways.push(cancel);
      break;
    case "open":
      if (submits) ways.push(cancel);
      ways.push(refund);
      break;
    case "assigned":
      if (submits) ways.push({ verb: "lapse", from: leaseEnd + terms.graceSeconds + 1 });
      ways.push(refund);
      break;
    case "held":
      if (submits) ways.push(dispute);
      ways.push(claim);
      break;
    case "published":
      // What was published without the scheduler it may dispute too.
      if (submits || isSame(terms.scheduler, wallet)) ways.push(dispute);
      ways.push(claim);
      break;
    case "disputed":
      if (isSame(terms.arbiter, wallet)) ways.push({ verb: "rule", from: stored.at, until: end });
      ways.push(claim);
      break;
    case "paid":
    case "refunded":
    case "cancelled":
      break;
  }
  return ways.sort((a, b) => a.from - b.from);
}

/** What waits for whoever completes the job, besides the bounty: half of each bond that was forfeited. */
export function poolOf(terms: Terms, stored: StoredJob): bigint {
  return BigInt(stored.forfeits) * (terms.bond / 2n);
}

/** Whether the contract still holds money of this job. */
export function holdsMoney(stored: StoredJob): boolean {
  switch (stored.state) {
    case "open":
    case "assigned":
    case "held":
    case "published":
    case "disputed":
      return true;
    case "none":
    case "paid":
    case "refunded":
    case "cancelled":
      return false;
  }
}
