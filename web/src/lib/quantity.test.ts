/** Sizes and CPUs as people type them. */

import { expect, it } from "vitest";
import { formatBytes, parseBytes, parseCpus, typedBytes, typedCpus } from "./quantity";

it("reads sizes as the command line does", () => {
  expect(parseBytes("512MiB")).toBe(512 << 20);
  expect(parseBytes("2 gib")).toBe(2 * 1024 ** 3);
  expect(parseBytes("1.5GB")).toBe(1_500_000_000);
  expect(parseBytes("16TiB")).toBe(16 * 1024 ** 4);
  for (const text of ["", "5", "GiB", "1.5B", "1..5GiB", "-1GiB", "5 parsecs", "1e3MiB", "99999999TiB"]) {
    expect(parseBytes(text), text).toBeUndefined();
  }
});

it("writes sizes so that they are read as the same", () => {
  for (const bytes of [1, 1023, 1024, 3 << 20, 24 * 1024 ** 3, 1_500_000_000]) {
    expect(parseBytes(typedBytes(bytes))).toBe(bytes);
  }
  expect(typedBytes(24 * 1024 ** 3)).toBe("24GiB");
  expect(formatBytes(1_610_612_736)).toBe("1.5 GiB");
  expect(formatBytes(12)).toBe("12 B");
});

it("reads and writes shares of a CPU", () => {
  expect(parseCpus("0.5")).toBe(500);
  expect(parseCpus("16")).toBe(16_000);
  expect(parseCpus("0.0005")).toBeUndefined();
  expect(parseCpus("two")).toBeUndefined();
  expect(typedCpus(1500)).toBe("1.5");
});
