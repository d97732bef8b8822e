/** Sums of earnings: exact, by token, by day of UTC. */

import { describe, expect, it } from "vitest";
import { earnedIn, earningsByDay, totalOf } from "./earnings";
import type { ProviderView } from "./provider-data";

const DAY = 86_400_000;
const COIN = "0x0";
const now = 20_000 * DAY + 5000;

const view: ProviderView = {
  address: "0x1",
  nodes: 1,
  jobs_settled: 4,
  jobs_failed: 0,
  truncated: false,
  earned: [{ token: COIN, amount: "100000000000000000000000001", jobs: 4 }],
  waiting: [],
  days: [
    { day_ms: 20_000 * DAY, token: COIN, amount: "9007199254740993", jobs: 1 },
    { day_ms: 20_000 * DAY, token: "0xother", amount: "5", jobs: 1 },
    { day_ms: 19_994 * DAY, token: COIN, amount: "1", jobs: 1 },
    { day_ms: 19_993 * DAY, token: COIN, amount: "1", jobs: 1 },
  ],
};

describe("earnings", () => {
  it("are exact, also beyond what a JavaScript number holds", () => {
    expect(earnedIn(view, COIN, 1, now)).toBe(9_007_199_254_740_993n);
    expect(earnedIn(view, COIN, 7, now)).toBe(9_007_199_254_740_994n);
    expect(earnedIn(view, COIN, 30, now)).toBe(9_007_199_254_740_995n);
    expect(totalOf(view.earned, COIN)).toBe(100_000_000_000_000_000_000_000_001n);
  });

  it("never mix tokens", () => {
    expect(earnedIn(view, "0xother", 30, now)).toBe(5n);
    expect(totalOf(view.earned, "0xother")).toBe(0n);
  });

  it("show days without earnings as zero, and nothing at all where there were none", () => {
    const shown = earningsByDay(view, COIN, { days: 8, now, decimals: 0, label: "earned" });
    expect(shown.days.at(-1)).toBe(20_000 * DAY);
    expect(shown.series[0]?.values).toEqual([1, 1, 0, 0, 0, 0, 0, 9_007_199_254_740_992]);
    const none = earningsByDay(view, "0xnone", { days: 2, now, decimals: 0, label: "earned" });
    expect(none.series[0]?.values).toEqual([null, null]);
  });
});
