/** What a job means for one provider: paid, expected, or not paid and why. */

import { describe, expect, it } from "vitest";
import type { AttemptView, JobView } from "@/lib/api";
import { payout } from "./payout";

const ME = "0x00000000000000000000000000000000000000Aa";
const OTHER = "0x00000000000000000000000000000000000000bb";

function attempt(provider: string, state: AttemptView["state"], reason?: string): AttemptView {
  return { provider: provider.toLowerCase(), state, reason } as AttemptView;
}

function job(state: JobView["state"], ...attempts: AttemptView[]): JobView {
  return { state, attempts, terms: { bounty: "1000", fee: "50" } } as JobView;
}

describe("payout", () => {
  it("is the bounty without the fee, once the job is settled", () => {
    expect(payout(job("settled", attempt(ME, "accepted")), ME)).toEqual({ kind: "paid", amount: 950n });
  });

  it("is only expected before that", () => {
    for (const state of ["assigned", "verifying", "settling"] as const) {
      expect(payout(job(state, attempt(ME, "accepted")), ME).kind).toBe("expected");
    }
    expect(payout(job("assigned", attempt(ME, "running")), ME).kind).toBe("expected");
  });

  it("is never another provider's", () => {
    const shared = job("settled", attempt(ME, "expired", "fell silent"), attempt(OTHER, "accepted"));
    expect(payout(shared, ME)).toEqual({ kind: "unpaid", reason: "fell silent", isOther: true });
    expect(payout(shared, OTHER)).toEqual({ kind: "paid", amount: 950n });
  });

  it("says why there is none", () => {
    const failed = job("refunded", attempt(ME, "failed", "exit code 1"));
    expect(payout(failed, ME)).toEqual({ kind: "unpaid", reason: "exit code 1", isOther: false });
    // A ruling can refund a job whose result was accepted.
    expect(payout(job("refunded", attempt(ME, "accepted")), ME)).toEqual({
      kind: "unpaid",
      reason: undefined,
      isOther: false,
    });
  });
});
