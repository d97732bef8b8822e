/** Cancels several jobs side by side, with one transaction for every hundred. Brings viem with it: load it lazily. */

import type { Hex } from "viem";
import { ApiError, api, body } from "@/lib/api";
import type { ChainClient } from "@/lib/chain";
import { type Call, storedJob } from "@/lib/escrow";
import { fromWire, type Terms } from "@/lib/terms";

/** Within the gas of a block, and the size of a transaction. */
const BATCH_JOBS_MAX = 100;
const POLL_MS = 700;
const TAKE_BACK_MS = 120_000;

export type CancelStep = { step: "stopping" | "waiting"; done: number };
/** Why a job was left as it is: a sentence of somebody else, or one of ours. */
export type Left = { id: string; why: "gone" | "ended" | { text: string } };
export type CancelOutcome = { cancelled: number; left: Left[] };

/** Asks the scheduler to stop a job; that it never heard of it or has stopped it is for the chain to decide. */
async function stop(id: string): Promise<Terms> {
  const { terms } = await body(api.GET("/v1/jobs/{id}", { params: { path: { id } } }));
  try {
    await api.POST("/v1/jobs/{id}/cancel", { params: { path: { id } } });
  } catch (error) {
    const isHarmless = error instanceof ApiError && (error.code === "not_found" || error.code === "conflict");
    if (!isHarmless) throw error;
  }
  return fromWire(terms);
}

export async function cancelJobs(
  client: ChainClient,
  ids: readonly string[],
  onStep: (step: CancelStep) => void,
  run: (call: Call) => Promise<boolean>,
): Promise<CancelOutcome> {
  const left: Left[] = [];
  const stopped: { id: Hex; terms: Terms }[] = [];
  // All are asked before any is waited for, so that their nodes give them back side by side.
  for (const [done, id] of ids.entries()) {
    onStep({ step: "stopping", done });
    try {
      stopped.push({ id: id as Hex, terms: await stop(id) });
    } catch (error) {
      left.push({ id, why: { text: error instanceof Error ? error.message : String(error) } });
    }
  }
  const giveUp = Date.now() + TAKE_BACK_MS;
  const free: typeof stopped = [];
  for (const [done, job] of stopped.entries()) {
    onStep({ step: "waiting", done });
    let { state } = await storedJob(client, job.id);
    while (state === "assigned" && Date.now() < giveUp) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      ({ state } = await storedJob(client, job.id));
    }
    if (state === "open" || state === "none") free.push(job);
    else left.push({ id: job.id, why: state === "assigned" ? "gone" : "ended" });
  }
  for (let at = 0; at < free.length; at += BATCH_JOBS_MAX) {
    const batch = free.slice(at, at + BATCH_JOBS_MAX);
    const sent = await run({ functionName: "cancelMany", args: [batch.map(({ terms }) => terms)] });
    if (!sent) break;
  }
  // What the contract says counts: a batch leaves out what has moved on meanwhile.
  let cancelled = 0;
  for (const { id } of free) {
    if ((await storedJob(client, id)).state === "cancelled") cancelled += 1;
  }
  return { cancelled, left };
}
