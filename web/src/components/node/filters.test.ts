/** Filters of nodes: what a link says, what it lets through, and the order. */

import { describe, expect, it } from "vitest";
import type { NodeView } from "@/lib/api";
import { isFiltered, matches, readFilters, sortNodes, writeFilters } from "./filters";

const GIB = 2 ** 30;

function node(
  last: string,
  change: Partial<NodeView> = {},
  offer: Partial<NodeView["offer"]> = {},
): NodeView {
  return {
    id: `0x${last.padStart(40, "0")}`,
    provider: `0x${"1".repeat(40)}`,
    state: "idle",
    holding: [],
    attempts_accepted: 0,
    attempts_failed: 0,
    reputation_permille: 500,
    last_heard_at_ms: 1,
    registered_at_ms: 1,
    offer: {
      cpu_millis: 4000,
      disk_bytes: GIB,
      log_bytes_max: 1024,
      max_run_seconds: 3600,
      memory_bytes: GIB,
      price_floor: "0",
      runtimes: ["wasm"],
      token: `0x${"0".repeat(40)}`,
      gpus: [],
      ...offer,
    },
    ...change,
  };
}

const big = node(
  "1",
  {},
  { gpus: [{ model: "A100", vram_bytes: 80 * GIB }], price_floor: "2000000000000000000" },
);
const small = node(
  "2",
  { state: "busy" },
  { gpus: [{ model: "T4", vram_bytes: 16 * GIB }], price_floor: "1" },
);
const plain = node(
  "3",
  { state: "offline", attempts_accepted: 3, attempts_failed: 1 },
  { runtimes: ["docker"] },
);
const all = [plain, small, big];

function shown(query: string): string[] {
  const filters = readFilters(new URLSearchParams(query));
  const found = all.filter((one) => matches(one, filters, 18));
  return sortNodes(found, filters.sort, filters.descending).map(({ id }) => id.slice(-1));
}

describe("filters of nodes", () => {
  it("let everything through where there are none", () => {
    expect(shown("")).toEqual(["1", "2", "3"]);
    expect(isFiltered(readFilters(new URLSearchParams("sort=-price")))).toBe(false);
  });

  it("look at GPU, memory, price, state and runtime", () => {
    expect(shown("gpu=A100")).toEqual(["1"]);
    expect(shown("gpu=none")).toEqual(["3"]);
    expect(shown("vram=16")).toEqual(["1", "2"]);
    expect(shown("vram=17")).toEqual(["1"]);
    expect(shown("price=2")).toEqual(["1", "2", "3"]);
    expect(shown("price=1.999999999999999999")).toEqual(["2", "3"]);
    expect(shown("state=busy")).toEqual(["2"]);
    expect(shown("runtime=docker")).toEqual(["3"]);
    expect(shown("gpu=A100&state=busy")).toEqual([]);
  });

  it("order, both ways, and leave the unknown last", () => {
    expect(shown("sort=price")).toEqual(["3", "2", "1"]);
    expect(shown("sort=-price")).toEqual(["1", "2", "3"]);
    expect(shown("sort=-vram")).toEqual(["1", "2", "3"]);
    expect(shown("sort=-accepted")).toEqual(["3", "1", "2"]);
  });

  it("ignore what a link cannot mean", () => {
    expect(shown("vram=lots&price=cheap&state=asleep&runtime=java&sort=luck&compare=x")).toEqual([
      "1",
      "2",
      "3",
    ]);
  });

  it("come back from the address as they went in", () => {
    const ids = ["1", "2", "3", "4", "5"].map((last) => `0x${last.padStart(40, "0")}`);
    const query = `gpu=RTX+4090&vram=24&price=0.5&state=idle&runtime=docker&sort=-price&compare=${ids.join(",")}`;
    const filters = readFilters(new URLSearchParams(query));
    expect(filters.compare).toEqual(ids.slice(0, 4));
    expect(readFilters(writeFilters(filters))).toEqual(filters);
  });
});
