/** Durations as people type and read them. */

import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration, relativeTime, typedDuration } from "./time";

describe("durations", () => {
  it("are read as the command line reads them", () => {
    expect(parseDuration("90m")).toBe(5400);
    expect(parseDuration("1h 30m")).toBe(5400);
    for (const text of ["", "90", "1.5h", "h", "1w", "-1h"])
      expect(parseDuration(text), text).toBeUndefined();
  });

  it("are written so that they can be read back", () => {
    expect(formatDuration(93_784)).toBe("1 d 2 h");
    expect(formatDuration(0)).toBe("0 s");
    for (const seconds of [1, 61, 5400, 86_400]) expect(parseDuration(typedDuration(seconds))).toBe(seconds);
  });

  it("are told relative to now", () => {
    expect(relativeTime(0, 3 * 60_000, "en")).toBe("3 min. ago");
    expect(relativeTime(7_200_000, 0, "en")).toBe("in 2 hr.");
  });
});
