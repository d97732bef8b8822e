/** Which nodes a list shows, and in what order. All of it lives in the page's address, so that a link shows the same. */

import type { NodeView, Schemas } from "@/lib/api";
import { parseAmount } from "@/lib/money";
import { acceptedShare, vramBytes } from "./format";

const GIB = 2 ** 30;
export const COMPARE_MAX = 4;
export const NODE_STATES = [
  "idle",
  "busy",
  "draining",
  "offline",
] as const satisfies readonly Schemas["NodeState"][];
export const RUNTIMES = ["docker", "wasm"] as const satisfies readonly Schemas["RuntimeKind"][];
export const SORTS = ["gpu", "vram", "price", "state", "accepted", "heard"] as const;
export type Sort = (typeof SORTS)[number];

/** A filter that is absent lets everything through. */
export type NodeFilters = {
  /** A GPU's model, or `none` for nodes without one. */
  gpu?: string;
  vramGib?: number;
  /** In coins, as it is typed. */
  price?: string;
  state?: Schemas["NodeState"];
  runtime?: Schemas["RuntimeKind"];
  sort: Sort;
  descending: boolean;
  compare: string[];
};

export const WITHOUT_GPU = "none";

function oneOf<T extends string>(values: readonly T[], text: string | null): T | undefined {
  return values.find((value) => value === text);
}

/** Reads an address of the page. What it does not understand it leaves out: a link must not break the list. */
export function readFilters(params: URLSearchParams): NodeFilters {
  const gpu = params.get("gpu");
  const vramGib = Number(params.get("vram"));
  const price = params.get("price");
  const state = oneOf(NODE_STATES, params.get("state"));
  const runtime = oneOf(RUNTIMES, params.get("runtime"));
  const sort = params.get("sort") ?? "";
  const compare = (params.get("compare") ?? "").split(",").filter((id) => /^0x[0-9a-f]{40}$/i.test(id));
  return {
    ...(gpu ? { gpu } : {}),
    ...(vramGib > 0 ? { vramGib } : {}),
    ...(price && parseAmount(price) !== undefined ? { price } : {}),
    ...(state ? { state } : {}),
    ...(runtime ? { runtime } : {}),
    sort: oneOf(SORTS, sort.replace(/^-/, "")) ?? "state",
    descending: sort.startsWith("-"),
    compare: [...new Set(compare)].slice(0, COMPARE_MAX),
  };
}

export function writeFilters(filters: NodeFilters): URLSearchParams {
  const params = new URLSearchParams();
  if (filters.gpu) params.set("gpu", filters.gpu);
  if (filters.vramGib) params.set("vram", String(filters.vramGib));
  if (filters.price) params.set("price", filters.price);
  if (filters.state) params.set("state", filters.state);
  if (filters.runtime) params.set("runtime", filters.runtime);
  const sort = `${filters.descending ? "-" : ""}${filters.sort}`;
  if (sort !== "state") params.set("sort", sort);
  if (filters.compare.length > 0) params.set("compare", filters.compare.join(","));
  return params;
}

export function isFiltered(filters: NodeFilters): boolean {
  const { gpu, vramGib, price, state, runtime } = filters;
  return [gpu, vramGib, price, state, runtime].some((value) => value !== undefined);
}

export function matches(node: NodeView, filters: NodeFilters, decimals: number): boolean {
  const { offer } = node;
  const gpus = offer.gpus ?? [];
  if (filters.gpu === WITHOUT_GPU && gpus.length > 0) return false;
  if (filters.gpu && filters.gpu !== WITHOUT_GPU && !gpus.some(({ model }) => model === filters.gpu))
    return false;
  if (filters.vramGib && vramBytes(offer) < filters.vramGib * GIB) return false;
  const price = filters.price === undefined ? undefined : parseAmount(filters.price, decimals);
  if (price !== undefined && BigInt(offer.price_floor) > price) return false;
  if (filters.state && node.state !== filters.state) return false;
  return !filters.runtime || offer.runtimes.includes(filters.runtime);
}

type Order = (a: NodeView, b: NodeView) => number;

const ORDERS: Record<Sort, Order> = {
  gpu: (a, b) => (a.offer.gpus?.[0]?.model ?? "").localeCompare(b.offer.gpus?.[0]?.model ?? ""),
  vram: (a, b) => vramBytes(a.offer) - vramBytes(b.offer),
  price: (a, b) => {
    const difference = BigInt(a.offer.price_floor) - BigInt(b.offer.price_floor);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  },
  state: (a, b) => NODE_STATES.indexOf(a.state) - NODE_STATES.indexOf(b.state),
  // A node without a history stands behind every node with one.
  accepted: (a, b) => (acceptedShare(a) ?? -1) - (acceptedShare(b) ?? -1),
  heard: (a, b) => a.last_heard_at_ms - b.last_heard_at_ms,
};

/** Nodes that are equal keep an order of their own, by id, so that a list that is fetched again does not jump. */
export function sortNodes(nodes: readonly NodeView[], sort: Sort, descending: boolean): NodeView[] {
  const order = ORDERS[sort];
  const sign = descending ? -1 : 1;
  return nodes.toSorted((a, b) => sign * order(a, b) || a.id.localeCompare(b.id));
}
