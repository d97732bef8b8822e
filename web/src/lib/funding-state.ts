/** What a submission can be in, and what it needs of the scheduler, the chain and the wallet. */

import type { Address, Hex } from "viem";
import type { Info, JobSpec } from "./api";
import type { EscrowState, Progress } from "./escrow";
import type { Submission, Submissions } from "./submission";
import type { Domain, Terms } from "./terms";

/** What a submission costs beside the bounty. */
export type Quote = { gas: bigint; gasPrice: bigint; balance: bigint };

/** The scheduler, the chain and the wallet, as far as a submission needs them. */
export interface FundingWorld {
  readonly submitter: Address;
  readonly domain: Domain;
  readonly records: Pick<Submissions, "save" | "of" | "forget" | "find">;
  info(): Promise<Info>;
  signIn(): Promise<void>;
  /** Uploads the inputs and the module that were dropped on the page, and looks whether the others are there. */
  upload(spec: JobSpec, onShare: (share: number) => void): Promise<void>;
  /** Stores the spec, and answers the hash that the scheduler computes of it. */
  storeSpec(spec: JobSpec): Promise<string>;
  announce(terms: Terms): Promise<void>;
  /** Unix seconds by the newest block. */
  blockTime(): Promise<number>;
  clock(): number;
  /** Whether the endpoint is of this chain, and has the contract. */
  isDeployed(): Promise<boolean>;
  balance(): Promise<bigint>;
  /** Tries `open` out. Throws what the contract would refuse. */
  estimate(terms: Terms): Promise<{ gas: bigint; gasPrice: bigint }>;
  escrowState(id: Hex): Promise<EscrowState>;
  open(terms: Terms, onProgress: (progress: Progress) => void): Promise<{ hash: Hex; block: bigint }>;
  /** Why a call of the chain failed, in words. */
  explain(error: unknown): { kind: string; text: string };
  /** Ends when there is a newer block, or after a while without one. */
  nextBlock(signal: AbortSignal): Promise<void>;
  salt(): Hex;
}

/** Why nothing was sent. */
export type Stop =
  | "signInDeclined"
  | "schedulerDown"
  | "schedulerRefused"
  | "otherContract"
  | "uploadMissing"
  | "hashDiffers"
  | "storage"
  | "unfinished"
  | "tombstone"
  | "rpcDown"
  | "notDeployed"
  | "deadlineNear"
  | "balance"
  | "reverted"
  | "declined"
  | "switchDeclined"
  | "otherTab"
  | "failed";

export type Doing = "checking" | "signingIn" | "uploading" | "storing" | "announcing" | "preflight";

export type Funding =
  | { state: "idle" }
  | { state: "working"; doing: Doing; share?: number }
  /** All is ready; a person must look at it. */
  | {
      state: "review";
      submission: Submission;
      quote: Quote;
      /** The newest submission of the same job that is paid already: a person may not mean to pay for another. */
      twin?: Submission;
    }
  | { state: "paying"; submission: Submission; phase: Exclude<Progress["phase"], "mined">; tx?: Hex }
  /** The wallet was asked and something went wrong: only the chain knows. */
  | {
      state: "checking";
      submission: Submission;
      reason: string;
      blocks: number;
      blocksMax: number;
      isReachable: boolean;
    }
  /** The chain was asked for long enough. Trying again with the same id cannot pay twice. */
  | { state: "unseen"; submission: Submission; reason: string }
  | { state: "open"; submission: Submission }
  /** Nothing was sent. */
  | { state: "stopped"; why: Stop; detail: string; submission?: Submission };

/** Ends a sequence in which nothing was sent. */
export class StopError extends Error {
  constructor(
    readonly why: Stop,
    detail = "",
  ) {
    super(detail);
    this.name = "StopError";
  }
}

/** What the chain says of a record of an earlier visit. */
export type Unfinished = {
  submission: Submission;
  /** `unknown` where the chain could not be asked. */
  escrow: EscrowState | "unknown";
  isExpired: boolean;
};
