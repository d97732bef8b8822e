/** A job as the contract has it. Brings viem with it: load it lazily. */

import { type Address, type Hex, zeroAddress } from "viem";
import type { ChainClient } from "@/lib/chain";
import { openedJobs, readContract, type StoredJob, storedJob } from "@/lib/escrow";
import type { Terms } from "@/lib/terms";

export type ChainJob = {
  id: Hex;
  terms: Terms;
  stored: StoredJob;
  /** When the assignment ends without a renewal; 0 where nobody holds the job. */
  leaseEnd: number;
  /** Whose node holds or delivered the job; zero where none does. */
  provider: Address;
  /** Unix seconds of the next block, as far as this machine can tell. */
  now: number;
};

/** The time that a block made now would carry: a quiet chain's newest block is old, a local chain may be ahead. */
export async function dueTime(client: ChainClient): Promise<number> {
  return Math.max(Number(await client.now()), Math.floor(Date.now() / 1000));
}

export async function readChainJob(
  client: ChainClient,
  id: Hex,
  terms: Terms,
  now?: number,
): Promise<ChainJob> {
  const stored = await storedJob(client, id);
  const nobody: readonly [Address, boolean] = [zeroAddress, false];
  const [leaseEnd, [provider]] = await Promise.all([
    stored.state === "assigned" ? readContract(client, "leaseEnd", [terms]) : 0,
    stored.node === zeroAddress
      ? nobody
      : (readContract(client, "node", [stored.node]) as Promise<readonly [Address, boolean]>),
  ]);
  return { id, terms, stored, leaseEnd: Number(leaseEnd), provider, now: now ?? (await dueTime(client)) };
}

/** A job of which only the id is known: its terms come from the contract's events. */
export async function findChainJob(client: ChainClient, id: Hex): Promise<ChainJob | undefined> {
  if ((await storedJob(client, id)).state === "none") return undefined;
  const [opened] = await openedJobs(client, { id });
  return opened ? readChainJob(client, id, opened.terms) : undefined;
}
