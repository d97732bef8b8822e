/** Amounts as people type and read them. */

import { describe, expect, it } from "vitest";
import { basisPoints, bountyFor, exactAmount, parseAmount, shortAmount } from "./money";

describe("amounts", () => {
  it("are read exactly or not at all", () => {
    expect(parseAmount("1.25")).toBe(1_250_000_000_000_000_000n);
    expect(parseAmount(" 0.000000000000000001 ")).toBe(1n);
    expect(parseAmount("1.", 6)).toBe(1_000_000n);
    for (const text of ["", "1,5", "-1", "1e18", ".5", "0x1", "1.0000000000000000001", "1".repeat(31)]) {
      expect(parseAmount(text), text).toBeUndefined();
    }
  });

  it("are written back as they were read", () => {
    for (const text of ["0", "1", "1.25", "123456789.000000000000000001"]) {
      expect(exactAmount(parseAmount(text) ?? -1n)).toBe(text);
    }
    expect(exactAmount(-1_500_000n, 6)).toBe("-1.5");
  });

  it("never look like nothing when they are something", () => {
    expect(shortAmount(1n)).toBe("< 0.000001");
    expect(shortAmount(0n)).toBe("0");
    expect(shortAmount(1_234_567_890_123_456_789n)).toBe("1.234567");
    expect(shortAmount(2_000_000_000_000_000_001n)).toBe("2");
  });

  it("have a share that is rounded down", () => {
    expect(basisPoints(50_000_000_000_000_000n, 500)).toBe(2_500_000_000_000_000n);
    expect(basisPoints(199n, 100)).toBe(1n);
  });
});

it("a bounty leaves the share that was asked for, and hardly more", () => {
  for (const share of [1n, 19n, 1000n, 123_456_789_012_345_678n]) {
    const bounty = bountyFor(share, 500);
    expect(bounty - basisPoints(bounty, 500)).toBeGreaterThanOrEqual(share);
    expect(bounty - 2n - basisPoints(bounty - 2n, 500)).toBeLessThan(share);
  }
  expect(bountyFor(7n, 10_000)).toBe(7n);
});
