/** The same cases as those of the command line's rules (crates/cli/src/chain/ways_out.rs). */

import fs from "node:fs";
import path from "node:path";
import type { Address } from "viem";
import { describe, expect, it } from "vitest";
import type { EscrowState, StoredJob } from "./escrow";
import { ESCROW_STATES, ESCROW_STATUS } from "./status";
import type { Terms } from "./terms";
import { isOpen, isOver, poolOf, type WayOut, waysOut } from "./ways-out";

function wallet(byte: number): Address {
  return `0x${byte.toString(16).padStart(2, "0").repeat(20)}`;
}

const terms: Terms = {
  submitter: wallet(1),
  scheduler: wallet(2),
  arbiter: wallet(3),
  token: wallet(0),
  bounty: 100n,
  fee: 5n,
  bond: 0n,
  disputeBond: 0n,
  deadline: 10_000,
  leaseSeconds: 600,
  graceSeconds: 60,
  attemptSeconds: 3600,
  holdSeconds: 100,
  challengeWindow: 3600,
  rulingSeconds: 7200,
  specHash: `0x${"00".repeat(32)}`,
  salt: `0x${"09".repeat(32)}`,
};

function stored(state: EscrowState, forfeits = 0): StoredJob {
  return { state, node: wallet(0), at: 1000, assignedAt: 1000, attempt: 1, forfeits, flags: 0 };
}

function ways(state: EscrowState, who: number): [string, number][] {
  return waysOut(terms, stored(state), 1600, wallet(who)).map(({ verb, from }) => [verb, from]);
}

describe("ways out", () => {
  it("gives the submitter one from every state", () => {
    expect(ways("none", 1)).toEqual([["cancel", 0]]);
    expect(ways("open", 1)).toEqual([
      ["cancel", 0],
      ["refund", 10_001],
    ]);
    expect(ways("assigned", 1)).toEqual([
      ["lapse", 1661],
      ["refund", 10_001],
    ]);
    expect(ways("held", 1)).toEqual([
      ["dispute", 1000],
      ["claim", 1101],
    ]);
    expect(ways("published", 1)).toEqual([
      ["dispute", 1000],
      ["claim", 4601],
    ]);
    expect(ways("disputed", 1)).toEqual([["claim", 8201]]);
  });

  it("lets anyone else only refund and claim", () => {
    expect(ways("none", 9)).toEqual([]);
    expect(ways("open", 9)).toEqual([["refund", 10_001]]);
    expect(ways("assigned", 9)).toEqual([["refund", 10_001]]);
    expect(ways("held", 9)).toEqual([["claim", 1101]]);
    expect(ways("published", 9)).toEqual([["claim", 4601]]);
  });

  it("lets the scheduler dispute only what was published without it", () => {
    expect(ways("published", 2)).toEqual([
      ["dispute", 1000],
      ["claim", 4601],
    ]);
    expect(ways("held", 2)).toEqual([["claim", 1101]]);
  });

  it("lets the arbiter rule, and only on a dispute", () => {
    expect(ways("disputed", 3)).toEqual([
      ["rule", 1000],
      ["claim", 8201],
    ]);
    for (const state of ESCROW_STATES.filter((state) => state !== "disputed")) {
      expect(ways(state, 3).map(([verb]) => verb)).not.toContain("rule");
    }
  });

  it("has none from an end", () => {
    for (const state of ["paid", "refunded", "cancelled"] as const) expect(ways(state, 1)).toEqual([]);
  });

  it("knows a wallet by its bytes, however its letters are written", () => {
    const written = { ...terms, submitter: `0x${"Ab".repeat(20)}` as Address };
    const found = waysOut(written, stored("none"), 0, `0x${"aB".repeat(20)}`);
    expect(found.map(({ verb }) => verb)).toEqual(["cancel"]);
  });

  it("opens a way after the last second of what it waits for", () => {
    const way: WayOut = { verb: "refund", from: 10_001 };
    expect(isOpen(way, 10_000)).toBe(false);
    expect(isOpen(way, 10_001)).toBe(true);
  });

  it("keeps a dispute open to the last second of its window", () => {
    const way: WayOut = { verb: "dispute", from: 1000, until: 1100 };
    expect([999, 1000, 1100, 1101].map((now) => isOpen(way, now))).toEqual([false, true, true, false]);
    expect([999, 1100, 1101].map((now) => isOver(way, now))).toEqual([false, false, true]);
  });

  it("counts half a bond for each that was forfeited, as the contract divides", () => {
    const bonded = { ...terms, bond: 9n };
    expect(poolOf(bonded, stored("assigned"))).toBe(0n);
    expect(poolOf(bonded, stored("assigned", 3))).toBe(12n);
  });
});

describe("where the money is", () => {
  it("is said in the command line's words", () => {
    const source = fs.readFileSync(
      path.resolve(import.meta.dirname, "../../../crates/cli/src/chain/ways_out.rs"),
      "utf8",
    );
    const said = [...source.matchAll(/EscrowState::(\w+) => \("\w+", "([^"]+)"\)/g)];
    expect(said).toHaveLength(ESCROW_STATES.length);
    for (const [, state = "", sentence] of said) {
      expect(ESCROW_STATUS[state.toLowerCase() as EscrowState].money.en).toBe(sentence);
    }
  });
});
