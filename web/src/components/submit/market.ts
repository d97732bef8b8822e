"use client";
/** What the market says about a draft: nodes that match, hardware that is there, prices, and images by digest. */

import { useQuery } from "@tanstack/react-query";
import { api, body, type NodeView, type Schemas } from "@/lib/api";

/** The native coin, as offers and terms name it. */
export const NATIVE = "0x0000000000000000000000000000000000000000";

export type MatchPreview = Schemas["MatchPreview"];
export type PreviewRequest = Schemas["PreviewRequest"];

/** Which nodes would take this job. A newer question ends an older one that is still under way. */
export function useMatchPreview(request: PreviewRequest | undefined) {
  return useQuery({
    queryKey: ["explain", request],
    // Never asked without a request: see `enabled`.
    queryFn: ({ signal }) => body(api.POST("/v1/explain", { body: request as PreviewRequest, signal })),
    enabled: request !== undefined,
    refetchInterval: 10_000,
    // The last answer stays while the next is awaited, not where there is no question.
    placeholderData: (before) => (request ? before : undefined),
  });
}

/** GPUs that are there, what is idle of them, and the least that their nodes ask for. */
export type Supply = { total: number; idle: number; floor: bigint | undefined };
export type GpuClass = Supply & { model: string; vramBytes: number };

export function supplyOf(
  nodes: readonly NodeView[],
  fits: (gpu: NodeView["offer"]["gpus"]) => number,
): Supply {
  const supply: Supply = { total: 0, idle: 0, floor: undefined };
  for (const { offer, state } of nodes) {
    const count = state === "offline" || state === "draining" ? 0 : fits(offer.gpus);
    if (count === 0) continue;
    supply.total += count;
    if (state === "idle") supply.idle += count;
    // Floors of other tokens cannot be compared.
    if (offer.token !== NATIVE) continue;
    const floor = BigInt(offer.price_floor);
    if (supply.floor === undefined || floor < supply.floor) supply.floor = floor;
  }
  return supply;
}

export function gpuClasses(nodes: readonly NodeView[]): GpuClass[] {
  const kinds = new Map<string, { model: string; vramBytes: number }>();
  for (const { offer } of nodes) {
    for (const { model, vram_bytes } of offer.gpus ?? []) {
      kinds.set(`${model} ${vram_bytes}`, { model, vramBytes: vram_bytes });
    }
  }
  return [...kinds.values()]
    .map(({ model, vramBytes }) => ({
      model,
      vramBytes,
      ...supplyOf(
        nodes,
        (gpus) => gpus?.filter((gpu) => gpu.model === model && gpu.vram_bytes === vramBytes).length ?? 0,
      ),
    }))
    .sort((a, b) => a.vramBytes - b.vramBytes || a.model.localeCompare(b.model));
}

export type ResolvedImage = Schemas["ResolvedImage"];

/** The exact image that a reference means now, as its registry says. */
export function resolveImage(reference: string): Promise<ResolvedImage> {
  return body(api.GET("/v1/images/resolve", { params: { query: { reference } } }));
}
