/** Filters in the address, and downloads that a spreadsheet can open without harm. */

import { describe, expect, it } from "vitest";
import type { JobSummary } from "@/lib/api";
import { readFilter, toCsv } from "./jobs-query";

const job: JobSummary = {
  id: `0x${"1".repeat(64)}`,
  name: "digits",
  state: "settled",
  runtime: "wasm",
  bounty: "50000000000000000",
  fee: "0",
  token: `0x${"0".repeat(40)}`,
  submitter: `0x${"a".repeat(40)}`,
  attempts: 1,
  created_at_ms: 1,
  deadline: 2,
} as JobSummary;

describe("the filters", () => {
  it("are read from an address, and what is not known is left out", () => {
    const node = `0x${"B".repeat(40)}`;
    expect(readFilter(new URLSearchParams(`role=all&state=queued&q=a%20b&node=${node}`))).toEqual({
      role: "all",
      state: "queued",
      q: "a b",
      node: node.toLowerCase(),
    });
    expect(readFilter(new URLSearchParams("role=root&state=toString&node=0x1&q="))).toEqual({
      role: "submitter",
    });
    expect(readFilter(new URLSearchParams(`q=${"x".repeat(1000)}`)).q).toHaveLength(100);
  });
});

describe("a CSV file", () => {
  it("quotes what must be quoted, and defuses formulas", () => {
    const text = toCsv([job, { ...job, name: '=HYPERLINK("http://x","a,b")' }]);
    const [head, first, second, end] = text.split("\r\n");
    expect(head).toMatch(/^id,name,state,/);
    expect(first).toContain(",digits,settled,wasm,50000000000000000,");
    expect(second).toContain(`,"'=HYPERLINK(""http://x"",""a,b"")",`);
    expect(end).toBe("");
  });
});
