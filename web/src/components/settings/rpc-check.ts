/** Checks an RPC endpoint before the pages rely on it. */

import { chainIdOf } from "@/components/status/probes";

export type RpcVerdict =
  | { kind: "good"; url: string }
  | { kind: "invalid" }
  /** The Content-Security-Policy of this page does not let the browser ask it. */
  | { kind: "blocked"; origin: string }
  | { kind: "unreachable"; reason: string }
  | { kind: "wrong_chain"; found: number };

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/** An address that a page may ask: https anywhere, http on this machine only. */
export function rpcAddress(text: string): URL | undefined {
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    return undefined;
  }
  const isAllowed =
    url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.includes(url.hostname));
  return isAllowed && url.username === "" && url.password === "" ? url : undefined;
}

export async function checkRpc(text: string, wantedChain: number): Promise<RpcVerdict> {
  const url = rpcAddress(text);
  if (!url) return { kind: "invalid" };
  let isBlocked = false;
  const onViolation = (event: SecurityPolicyViolationEvent) => {
    if (event.blockedURI.startsWith(url.origin)) isBlocked = true;
  };
  document.addEventListener("securitypolicyviolation", onViolation);
  try {
    const found = await chainIdOf(url.href);
    return found === wantedChain ? { kind: "good", url: url.href } : { kind: "wrong_chain", found };
  } catch (error) {
    // The browser reports what the policy stopped in a task of its own, after the request has failed.
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (isBlocked) return { kind: "blocked", origin: url.origin };
    return { kind: "unreachable", reason: error instanceof Error ? error.message : String(error) };
  } finally {
    document.removeEventListener("securitypolicyviolation", onViolation);
  }
}
