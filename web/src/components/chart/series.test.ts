/** Labels at the ends of lines never cover each other, and stay in the plot. */

import { describe, expect, it } from "vitest";
import { hasData, spreadLabels } from "./series";

describe("labels of lines", () => {
  it("stay where they are while there is room", () => {
    expect(spreadLabels([10, 60, 30], 14, 100)).toEqual([10, 60, 30]);
  });

  it("move apart, in their order", () => {
    expect(spreadLabels([20, 20, 22], 14, 100)).toEqual([20, 34, 48]);
  });

  it("never leave the plot at the bottom", () => {
    const placed = spreadLabels([98, 99, 40], 14, 100);
    expect(Math.max(...placed)).toBeLessThanOrEqual(100);
    const sorted = [...placed].sort((a, b) => a - b);
    for (let i = 1; i < sorted.length; i += 1) {
      expect((sorted[i] ?? 0) - (sorted[i - 1] ?? 0)).toBeGreaterThanOrEqual(14);
    }
  });

  it("are not asked for without data", () => {
    expect(hasData([{ key: "a", label: "A", tone: "brand", values: [null, null] }])).toBe(false);
    expect(hasData([{ key: "a", label: "A", tone: "brand", values: [null, 0] }])).toBe(true);
  });
});
