"use client";
/**
 * The connected wallet as the pages see it, and the way to the chain. Small on purpose: every page carries it, while the
 * chain's own libraries come after the first paint.
 */

import { useSyncExternalStore } from "react";
import type { Address } from "viem";
import type { ChainClient } from "./chain";
import type { WebConfig } from "./config";

export type WalletState =
  /** A wallet that was connected before is being looked for. */
  | { status: "starting" }
  | { status: "none" }
  | { status: "connected"; address: Address; chainId: number | undefined; name: string };

const STARTING: WalletState = { status: "starting" };
let state: WalletState = STARTING;
const listeners = new Set<() => void>();
let client: Promise<ChainClient> | undefined;
let whenStarted: (client: Promise<ChainClient>) => void;
const started = new Promise<ChainClient>((resolve) => {
  whenStarted = resolve;
});

function publish(next: WalletState): void {
  state = next;
  for (const listener of listeners) listener();
}

/** Loads the chain's libraries once the deployment is known, and finds the wallet that was connected before. */
export function startChain(config: WebConfig): void {
  if (client) return;
  client = import("./chain").then(({ ChainClient }) => new ChainClient(config, publish));
  whenStarted(client);
}

/** The chain, as soon as its libraries are here. Waits for the deployment to be known. */
export function chain(): Promise<ChainClient> {
  return client ?? started;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useWallet(): WalletState {
  return useSyncExternalStore(
    subscribe,
    () => state,
    () => STARTING,
  );
}

/** The connected address, if there is one. */
export function useAddress(): Address | undefined {
  const wallet = useWallet();
  return wallet.status === "connected" ? wallet.address : undefined;
}
