/** What the server says about its deployment, so that one build serves every chain: `/config.json`. */

import type { Address } from "viem";
import type { components } from "@/generated/api";

export type WebConfig = Omit<components["schemas"]["WebConfig"], "contract"> & { contract: Address };

/** Where the API is: the address that served this page, or, for `next dev`, the scheduler that it is pointed at. */
export const API_URL = (process.env.NEXT_PUBLIC_API_URL ?? "").replace(/\/$/, "");

const LAST_CONFIG = "gristmill:config";
const OWN_RPC = "gristmill:rpc";

/** The last configuration that was seen: money must be reachable while the server is not. */
export function lastConfig(): WebConfig | undefined {
  try {
    const stored = localStorage.getItem(LAST_CONFIG);
    return stored ? (JSON.parse(stored) as WebConfig) : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a configuration for when the server is not there. */
export function rememberConfig(config: WebConfig): void {
  try {
    localStorage.setItem(LAST_CONFIG, JSON.stringify(config));
  } catch {
    // A browser without storage only loses the fallback.
  }
}

/** An RPC endpoint that the person has set instead of the server's. */
export function ownRpc(chainId: number): string | undefined {
  try {
    return localStorage.getItem(`${OWN_RPC}:${chainId}`) ?? undefined;
  } catch {
    return undefined;
  }
}

export function setOwnRpc(chainId: number, url: string | undefined): void {
  const key = `${OWN_RPC}:${chainId}`;
  if (url) localStorage.setItem(key, url);
  else localStorage.removeItem(key);
}

/** Fetches the configuration, and falls back on the last one that was seen. */
export async function loadConfig(): Promise<{ config: WebConfig; fresh: boolean }> {
  try {
    const answer = await fetch(`${API_URL}/config.json`, { signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(`config.json: HTTP ${answer.status}`);
    const config = (await answer.json()) as WebConfig;
    rememberConfig(config);
    return { config, fresh: true };
  } catch (error) {
    const config = lastConfig();
    if (config) return { config, fresh: false };
    throw error;
  }
}
