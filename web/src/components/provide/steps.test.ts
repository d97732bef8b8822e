/** Which step comes next, and what stands in the way. */

import type { Address } from "viem";
import { describe, expect, it } from "vitest";
import type { NodeView } from "@/lib/api";
import type { WaitingNode } from "./provider-data";
import { type Facts, stand } from "./steps";

const WALLET: Address = "0x00000000000000000000000000000000000000Aa";
const OTHER: Address = "0x00000000000000000000000000000000000000bb";
const NODE = "0x0000000000000000000000000000000000000001";

const waiting = { node: NODE, provider: WALLET.toLowerCase(), expires: 2000 } as WaitingNode;
const view = { id: NODE, state: "idle" } as NodeView;
const approved = { approved: true, bondLimit: 0n, bondUsed: 0n };

function at(change: Partial<Facts>) {
  return stand({
    wallet: WALLET,
    node: NODE,
    waiting,
    enrollment: null,
    approval: { ...approved, approved: false },
    view: null,
    isConfirmed: false,
    nowSeconds: 1000,
    ...change,
  });
}

describe("steps of a provider", () => {
  it("go from the wallet to a node that is online", () => {
    expect(at({ wallet: undefined })).toEqual({ step: "wallet" });
    expect(at({ node: undefined })).toEqual({ step: "command" });
    expect(at({})).toEqual({ step: "check" });
    expect(at({ isConfirmed: true })).toEqual({ step: "enroll" });
    const enrollment = { provider: WALLET, revoked: false };
    expect(at({ enrollment, waiting: null })).toEqual({ step: "enroll" });
    expect(at({ enrollment, waiting: null, approval: approved })).toEqual({ step: "online" });
    expect(at({ enrollment, waiting: null, approval: approved, view })).toEqual({ step: "done" });
  });

  it("wait while something is not known, instead of jumping back", () => {
    expect(at({ enrollment: undefined })).toEqual({ step: "unknown" });
    expect(at({ waiting: undefined })).toEqual({ step: "unknown" });
    expect(at({ enrollment: { provider: WALLET, revoked: false }, approval: undefined })).toEqual({
      step: "unknown",
    });
  });

  it("never enroll without the person's look at the node, even where the wallet knows it", () => {
    expect(at({ isConfirmed: false }).step).not.toBe("enroll");
  });

  it("say what stands in the way", () => {
    expect(at({ waiting: null })).toEqual({ step: "command", problem: { kind: "gone" } });
    expect(at({ nowSeconds: 2001, isConfirmed: true })).toEqual({
      step: "command",
      problem: { kind: "expired" },
    });
    expect(at({ nowSeconds: 2000 })).toEqual({ step: "check" });
    expect(at({ wallet: OTHER, isConfirmed: true }).problem).toEqual({
      kind: "other_wallet",
      wallet: WALLET.toLowerCase(),
    });
    expect(at({ enrollment: { provider: OTHER, revoked: false }, isConfirmed: true })).toEqual({
      step: "check",
      problem: { kind: "taken", wallet: OTHER },
    });
    expect(at({ enrollment: { provider: WALLET, revoked: true } }).problem).toEqual({ kind: "revoked" });
  });

  it("do not call a node that fell silent online", () => {
    const enrollment = { provider: WALLET, revoked: false };
    expect(at({ enrollment, approval: approved, view: { ...view, state: "offline" } }).step).toBe("online");
  });
});
