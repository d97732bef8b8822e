/** What the cards say is there. */

import { describe, expect, it } from "vitest";
import type { NodeView } from "@/lib/api";
import { gpuClasses, NATIVE, supplyOf } from "./market";

const GIB = 1024 ** 3;
const gpu = (model: string, gib: number) => ({ model, vram_bytes: gib * GIB });

function node(
  state: NodeView["state"],
  gpus: NodeView["offer"]["gpus"],
  floor = "5",
  token = NATIVE,
): NodeView {
  return { state, offer: { gpus, price_floor: floor, token } } as NodeView;
}

const nodes = [
  node("idle", [gpu("A100", 80), gpu("A100", 80)], "9"),
  node("busy", [gpu("A100", 80)], "7"),
  node("idle", [gpu("RTX 4090", 24)], "3"),
  node("offline", [gpu("RTX 4090", 24)], "1"),
  node("idle", [gpu("RTX 4090", 24)], "2", `0x${"9".repeat(40)}`),
  node("idle", []),
];

describe("supply", () => {
  it("counts GPUs of nodes that can be reached, by model and memory", () => {
    expect(gpuClasses(nodes)).toEqual([
      { model: "RTX 4090", vramBytes: 24 * GIB, total: 2, idle: 2, floor: 3n },
      { model: "A100", vramBytes: 80 * GIB, total: 3, idle: 2, floor: 7n },
    ]);
  });

  it("names no floor of another token, and nothing where nothing is", () => {
    const foreign = [node("idle", [gpu("A100", 80)], "1", `0x${"9".repeat(40)}`)];
    expect(supplyOf(foreign, () => 1)).toEqual({ total: 1, idle: 1, floor: undefined });
    expect(supplyOf([], () => 1)).toEqual({ total: 0, idle: 0, floor: undefined });
    expect(gpuClasses([])).toEqual([]);
  });
});
