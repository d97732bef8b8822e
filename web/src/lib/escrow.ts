/**
 * The contract, read and written with nothing but an RPC endpoint. Brings viem with it: load it lazily, after `chain()`.
 */

import {
  type Address,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type Hex,
  isAddressEqual,
} from "viem";
import { getLogs } from "viem/actions";
import * as actions from "wagmi/actions";
import { jobMarketAbi } from "@/generated/job-market";
import type { Schemas } from "./api";
import type { ChainClient } from "./chain";
import { explainChainError } from "./chain-error";
import { chainTexts } from "./chain-texts";
import { ESCROW_STATES } from "./status";
import { jobId, type Terms } from "./terms";

export type EscrowState = Schemas["EscrowState"];

/** What the contract holds of a job: one word. Times are unix seconds. */
export type StoredJob = {
  state: EscrowState;
  node: Address;
  /** When the state began; what the running window is counted from. */
  at: number;
  assignedAt: number;
  attempt: number;
  forfeits: number;
  flags: number;
};

type View = ContractFunctionName<typeof jobMarketAbi, "view">;
type Verb = ContractFunctionName<typeof jobMarketAbi, "nonpayable" | "payable">;

export async function readContract<Name extends View>(
  client: ChainClient,
  functionName: Name,
  args: ContractFunctionArgs<typeof jobMarketAbi, "view", Name>,
) {
  const call = { address: client.deployment.contract, abi: jobMarketAbi, chainId: client.chainId } as const;
  return actions.readContract(client.wagmi, { ...call, functionName, args } as never) as never;
}

export async function storedJob(client: ChainClient, id: Hex): Promise<StoredJob> {
  const word: readonly [number, Address, number, number, number, number, number] = await readContract(
    client,
    "job",
    [id],
  );
  const [state, node, at, assignedAt, attempt, forfeits, flags] = word;
  return { state: ESCROW_STATES[state] ?? "none", node, at, assignedAt, attempt, forfeits, flags };
}

/** What `owner` has in the market: deposits, credits, and what bonds have left of them. */
export async function marketBalance(client: ChainClient, owner: Address, token: Address): Promise<bigint> {
  return readContract(client, "balance", [owner, token]);
}

type EventName = Extract<(typeof jobMarketAbi)[number], { type: "event" }>["name"];
/** Blocks of one request for logs. Public endpoints refuse more; where one refuses even this, the range is halved. */
const LOG_BLOCKS = 5000n;
const LOG_BLOCKS_MIN = 10n;

type ScannedLog = { args: Record<string, unknown>; blockNumber: bigint; transactionHash: Hex };

/**
 * The contract's events of one kind, in ranges of blocks, oldest first or newest first. A consumer that has what it
 * looks for breaks off. `share` is the part of all blocks that was looked at.
 */
export async function* scanLogs(
  client: ChainClient,
  name: EventName,
  args: Record<string, unknown>,
  newestFirst = false,
): AsyncGenerator<{ logs: ScannedLog[]; share: number }> {
  const event = jobMarketAbi.find((entry) => entry.type === "event" && entry.name === name);
  const first = BigInt(client.deployment.from_block);
  const head = await client.blockNumber();
  const total = head - first + 1n;
  let size = LOG_BLOCKS;
  let done = 0n;
  while (done < total) {
    const blocks = size < total - done ? size : total - done;
    const from = newestFirst ? head - done - blocks + 1n : first + done;
    let logs: ScannedLog[];
    try {
      logs = (await getLogs(client.wagmi.getClient({ chainId: client.chainId }), {
        address: client.deployment.contract,
        event: event as never,
        args: args as never,
        fromBlock: from,
        toBlock: from + blocks - 1n,
      })) as never;
    } catch (error) {
      if (explainChainError(error).kind === "unreachable" || size <= LOG_BLOCKS_MIN) throw error;
      size /= 2n;
      continue;
    }
    done += blocks;
    yield { logs: newestFirst ? logs.reverse() : logs, share: Number(done) / Number(total) };
  }
}

export type OpenedJob = { id: Hex; terms: Terms; block: bigint; tx: Hex };

/**
 * The jobs that the chain says were opened, by submitter or by ids, newest last. The terms are checked against the id,
 * so an endpoint cannot make up a job. `onProgress` is told the share of blocks that were looked at.
 */
export async function openedJobs(
  client: ChainClient,
  wanted: { submitter?: Address; id?: Hex | readonly Hex[] },
  onProgress: (share: number) => void = () => {},
): Promise<OpenedJob[]> {
  const domain = { chainId: client.chainId, contract: client.deployment.contract };
  const found: OpenedJob[] = [];
  for await (const { logs, share } of scanLogs(client, "Opened", {
    jobId: wanted.id,
    submitter: wanted.submitter,
  })) {
    for (const log of logs) {
      const { jobId: id, terms } = log.args as { jobId: Hex; terms: Terms };
      const isWanted = !wanted.submitter || isAddressEqual(terms.submitter, wanted.submitter);
      if (isWanted && jobId(domain, terms) === id) {
        found.push({ id, terms, block: log.blockNumber, tx: log.transactionHash });
      }
    }
    onProgress(share);
  }
  return found;
}

/** How far a transaction has come. Before `wallet` nothing can have been sent; after it, something may have been. */
export type Progress =
  | { phase: "switching" | "simulating" | "wallet" }
  | { phase: "sent"; hash: Hex }
  | { phase: "mined"; hash: Hex; block: bigint; gasUsed: bigint };

/** A transaction that did not happen, or of which it is not known. */
export class TransactionError extends Error {
  constructor(
    message: string,
    /** `declined` and `reverted` and `blocked`: nothing was sent. `failed`: it is in a block, and did nothing. */
    readonly kind: "declined" | "reverted" | "failed" | "replaced" | "blocked" | "unreachable" | "unknown",
    /** Whether the wallet was asked, so that a transaction may be under way in spite of the error. */
    readonly wasAsked: boolean,
    readonly hash?: Hex,
  ) {
    super(message);
    this.name = "TransactionError";
  }
}

/** One call of the contract: the verb decides what its arguments are. */
export type Call = {
  [Name in Verb]: {
    functionName: Name;
    args: ContractFunctionArgs<typeof jobMarketAbi, "nonpayable" | "payable", Name>;
    value?: bigint;
  };
}[Verb];

/**
 * Sends one call of the contract from `account`, one at a time over all tabs, and waits for its block. It is tried out
 * first, so that what the contract would refuse never opens the wallet.
 */
export async function transact(
  client: ChainClient,
  account: Address,
  call: Call,
  onProgress: (progress: Progress) => void,
): Promise<Extract<Progress, { phase: "mined" }>> {
  return navigator.locks.request(`gristmill:transact:${account}`, { ifAvailable: true }, async (lock) => {
    if (!lock) {
      throw new TransactionError(chainTexts().otherTab, "blocked", false);
    }
    let wasAsked = false;
    try {
      if (actions.getConnection(client.wagmi).chainId !== client.chainId) {
        onProgress({ phase: "switching" });
        await client.switchChain();
      }
      onProgress({ phase: "simulating" });
      const request = {
        address: client.deployment.contract,
        abi: jobMarketAbi,
        chainId: client.chainId,
        account,
        ...call,
      };
      await actions.simulateContract(client.wagmi, request as never);
      onProgress({ phase: "wallet" });
      wasAsked = true;
      const hash = await actions.writeContract(client.wagmi, request as never);
      return await mined(client, hash, onProgress);
    } catch (error) {
      if (error instanceof TransactionError) throw error;
      const reason = explainChainError(error);
      throw new TransactionError(reason.text, reason.kind, wasAsked && reason.kind !== "declined");
    }
  });
}

/** Waits until a transaction that was sent is in a block, following it where the wallet sends it again with another fee. */
export async function mined(
  client: ChainClient,
  hash: Hex,
  onProgress: (progress: Progress) => void,
): Promise<Extract<Progress, { phase: "mined" }>> {
  onProgress({ phase: "sent", hash });
  let isReplaced = false;
  const receipt = await actions.waitForTransactionReceipt(client.wagmi, {
    chainId: client.chainId,
    hash,
    onReplaced: ({ reason, transaction }) => {
      if (reason === "repriced") onProgress({ phase: "sent", hash: transaction.hash });
      else isReplaced = true;
    },
  });
  if (isReplaced) {
    throw new TransactionError(chainTexts().replaced, "replaced", true, receipt.transactionHash);
  }
  if (receipt.status !== "success") {
    throw new TransactionError(chainTexts().failed, "failed", true, receipt.transactionHash);
  }
  const done = {
    phase: "mined",
    hash: receipt.transactionHash,
    block: receipt.blockNumber,
    gasUsed: receipt.gasUsed,
  } as const;
  onProgress(done);
  return done;
}
