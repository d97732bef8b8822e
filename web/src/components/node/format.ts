/** What a node has, in words. */

import type { NodeView, Schemas } from "@/lib/api";
import { formatBytes } from "@/lib/quantity";

export type Offer = Schemas["Offer"];

export function formatCpus(millis: number): string {
  return String(Math.round(millis / 100) / 10);
}

/** GPUs of the same kind under one line, in the order in which the node names them. */
export function gpuGroups(offer: Offer): { model: string; vramBytes: number; count: number }[] {
  const groups: { model: string; vramBytes: number; count: number }[] = [];
  for (const { model, vram_bytes: vramBytes } of offer.gpus ?? []) {
    const group = groups.find((one) => one.model === model && one.vramBytes === vramBytes);
    if (group) group.count += 1;
    else groups.push({ model, vramBytes, count: 1 });
  }
  return groups;
}

/** `2 × NVIDIA GeForce RTX 4090, 24 GiB`. Says nothing for a node without GPUs. */
export function gpuText(offer: Offer): string {
  return gpuGroups(offer)
    .map(
      ({ model, vramBytes, count }) => `${count > 1 ? `${count} × ` : ""}${model}, ${formatBytes(vramBytes)}`,
    )
    .join(" + ");
}

/** The largest memory of one of its GPUs. */
export function vramBytes(offer: Offer): number {
  return Math.max(0, ...(offer.gpus ?? []).map((gpu) => gpu.vram_bytes));
}

/** The share of finished attempts that were accepted; nothing before the first one. */
export function acceptedShare(node: NodeView): number | undefined {
  const finished = node.attempts_accepted + node.attempts_failed;
  return finished === 0 ? undefined : node.attempts_accepted / finished;
}
