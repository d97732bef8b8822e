/** All money of a wallet in the market, read from the chain. Brings viem with it: load it lazily. */

import { type Address, type Hex, isAddressEqual } from "viem";
import { type ChainJob, dueTime, readChainJob } from "@/components/job/chain-job";
import type { Submission } from "@/components/job/submission";
import type { ChainClient } from "@/lib/chain";
import { marketBalance, openedJobs, scanLogs } from "@/lib/escrow";
import { fromWire, jobId, NATIVE, type Terms } from "@/lib/terms";

/** Ids of one request for logs. */
const IDS_PER_REQUEST = 50;
/** Requests to the endpoint at a time. */
const PARALLEL = 6;

/** Every job that the wallet posted, that one of its nodes got, or that this browser has a record of. */
export async function termsOf(
  client: ChainClient,
  wallet: Address,
  records: readonly Submission[],
  onProgress: (share: number) => void,
): Promise<Map<Hex, Terms>> {
  const found = new Map<Hex, Terms>();
  const posted = await openedJobs(client, { submitter: wallet }, (share) => onProgress(share / 2));
  for (const { id, terms } of posted) found.set(id, terms);
  const assigned = new Set<Hex>();
  for await (const { logs, share } of scanLogs(client, "Assigned", { provider: wallet })) {
    for (const log of logs) assigned.add(log.args.jobId as Hex);
    onProgress(0.5 + share / 2);
  }
  const unknown = [...assigned].filter((id) => !found.has(id));
  for (let at = 0; at < unknown.length; at += IDS_PER_REQUEST) {
    const some = await openedJobs(client, { id: unknown.slice(at, at + IDS_PER_REQUEST) });
    for (const { id, terms } of some) found.set(id, terms);
  }
  const domain = { chainId: client.chainId, contract: client.deployment.contract };
  for (const { id, terms: wire } of records) {
    if (!wire || found.has(id as Hex)) continue;
    const terms = fromWire(wire);
    // A record of another market, or of another wallet, is none of this page's business.
    if (isAddressEqual(terms.submitter, wallet) && jobId(domain, terms) === id) found.set(id as Hex, terms);
  }
  return found;
}

/** What the contract holds of each job, newest deadline first. */
export async function readJobs(client: ChainClient, terms: ReadonlyMap<Hex, Terms>): Promise<ChainJob[]> {
  const now = await dueTime(client);
  const jobs: ChainJob[] = [];
  const queue = [...terms];
  const work = async () => {
    for (let next = queue.pop(); next; next = queue.pop()) {
      jobs.push(await readChainJob(client, next[0], next[1], now));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return jobs.sort((a, b) => b.terms.deadline - a.terms.deadline);
}

export type Balance = { token: Address; amount: bigint };

/** The tokens in which the wallet ever had a balance in the market, with what is there now. */
export async function balancesOf(client: ChainClient, wallet: Address): Promise<Balance[]> {
  const tokens = new Set<Address>([NATIVE]);
  for (const name of ["Deposited", "Credited"] as const) {
    for await (const { logs } of scanLogs(client, name, { owner: wallet })) {
      for (const log of logs) tokens.add(log.args.token as Address);
    }
  }
  const balances = await Promise.all(
    [...tokens].map(async (token) => ({ token, amount: await marketBalance(client, wallet, token) })),
  );
  return balances.filter(({ amount }) => amount > 0n);
}
