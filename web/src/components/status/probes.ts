/**
 * Asks each part of the market how it is. The chain is asked by plain JSON-RPC, so that this page needs none of the
 * chain's libraries and says what the endpoint itself answers.
 */

import { ApiError, api, body, call, type Info } from "@/lib/api";
import { ownRpc, type WebConfig } from "@/lib/config";

/** A head that is older than this many seconds deserves a look. */
export const HEAD_AGE_SECONDS_MAX = 120;
/** An answer that takes longer than this does too. */
const SLOW_MS = 3000;
const TIMEOUT_MS = 8000;

export type Health = "ok" | "slow" | "down";
export type Answer<T> = { value: T; tookMs: number };

/** Runs one question with a limit on its time. */
async function timed<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<Answer<T>> {
  const start = performance.now();
  const value = await ask(AbortSignal.timeout(TIMEOUT_MS));
  return { value, tookMs: Math.round(performance.now() - start) };
}

export function askInfo(): Promise<Answer<Info>> {
  return timed((signal) => body(api.GET("/v1/info", { signal })));
}

/** What `/healthz` and `/readyz` say, in their own words: a refusal is an answer here. */
export function askOperator(path: "/healthz" | "/readyz"): Promise<Answer<{ ok: boolean; text: string }>> {
  return timed(async (signal) => {
    try {
      const text = (await (await call(path, { signal })).text()).trim();
      return { ok: true, text };
    } catch (error) {
      if (error instanceof ApiError && !error.isUnreachable) return { ok: false, text: error.message };
      throw error;
    }
  });
}

async function rpc(url: string, method: string, params: unknown[], signal: AbortSignal): Promise<unknown> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    signal,
  });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const { result, error } = (await answer.json()) as { result?: unknown; error?: { message?: string } };
  if (error) throw new Error(error.message ?? "the endpoint answers with an error");
  return result;
}

/** The endpoint that the pages use first: the person's own, or the market's. */
export function firstRpc(config: WebConfig): string {
  return ownRpc(config.chain.id) ?? config.rpc_urls[0] ?? "";
}

/** The chain id that an endpoint names. Throws where it is no endpoint. */
export async function chainIdOf(url: string, signal = AbortSignal.timeout(TIMEOUT_MS)): Promise<number> {
  const id = Number(await rpc(url, "eth_chainId", [], signal));
  if (!Number.isSafeInteger(id) || id <= 0) throw new Error("the endpoint does not name its chain");
  return id;
}

export type ChainFacts = { chainId: number; head: number; headSeconds: number; codeBytes: number };

export function askChain(config: WebConfig): Promise<Answer<ChainFacts>> {
  const url = firstRpc(config);
  return timed(async (signal) => {
    const [chainId, block, code] = await Promise.all([
      chainIdOf(url, signal),
      rpc(url, "eth_getBlockByNumber", ["latest", false], signal),
      rpc(url, "eth_getCode", [config.contract, "latest"], signal),
    ]);
    const { number, timestamp } = block as { number: string; timestamp: string };
    return {
      chainId,
      head: Number(number),
      headSeconds: Number(timestamp),
      codeBytes: typeof code === "string" ? Math.max(0, code.length - 2) / 2 : 0,
    };
  });
}

/** Well, unless it took long. */
export function speed(tookMs: number): Health {
  return tookMs > SLOW_MS ? "slow" : "ok";
}
