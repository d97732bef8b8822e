/** What went wrong between the page, the wallet and the contract, in words for people. */

import {
  BaseError,
  ContractFunctionRevertedError,
  decodeErrorResult,
  type Hex,
  HttpRequestError,
  UserRejectedRequestError,
} from "viem";
import { jobMarketAbi } from "@/generated/job-market";
import { exactAmount } from "./money";

export type ChainError =
  /** The person declined. Nothing was sent. */
  | { kind: "declined"; text: string }
  /** The contract refuses. `name` is its custom error. */
  | { kind: "reverted"; name: string; args: readonly unknown[]; text: string }
  /** The endpoint cannot be reached. */
  | { kind: "unreachable"; text: string }
  /** Anything else. After a prompt was opened this may hide a transaction that was sent. */
  | { kind: "unknown"; text: string };

function at(seconds: unknown): string {
  return new Date(Number(seconds) * 1000).toLocaleString();
}

function coins(amount: unknown): string {
  return exactAmount(BigInt(amount as bigint));
}

/** A sentence for each error of the contract that a person can meet. */
const SENTENCES: Record<string, (args: readonly unknown[]) => string> = {
  DeadlinePassed: ([deadline]) => `The deadline (${at(deadline)}) has passed.`,
  DeadlineNotPassed: ([deadline]) => `The bounty can be taken back after the deadline, ${at(deadline)}.`,
  WrongState: () => "The job has moved on: look at its state and try again.",
  WrongValue: ([sent, required]) =>
    `The transaction carries ${coins(sent)}, but ${coins(required)} is needed.`,
  InsufficientBalance: (args) =>
    `The balance in the market is ${coins(args[2])}, but ${coins(args[3])} is needed.`,
  LeaseRunning: ([until]) => `A node still works on this job, until ${at(until)} at most.`,
  WindowOpen: ([until]) => `This is possible after ${at(until)}.`,
  WindowClosed: ([until]) => `This was possible until ${at(until)}.`,
  NotSubmitter: () => "Only the wallet that posted this job may do this.",
  NotProvider: () => "Only the wallet that owns this node may do this.",
  NotArbiter: () => "Only the job's arbiter may do this.",
  FeeAboveBounty: () => "The fee is larger than the bounty.",
  TermOutOfRange: ([term, value, min, max]) =>
    `${String(term)} is ${String(value)}; it must be between ${String(min)} and ${String(max)}.`,
  ZeroBounty: () => "The bounty must be more than zero.",
  PartialArbiter: () => "With a bond at stake, the arbiter must be neither you nor the scheduler.",
  AlreadyEnrolled: () => "This node is enrolled already.",
  EnrollmentExpired: () => "The node's consent has expired. Run the node's command again for a new one.",
  BadSignature: () => "The node's signature is not for this wallet and contract.",
  NodeRevoked: () => "This node was revoked.",
};

/** Some wallets and endpoints send the contract's error as words of a message instead of data. */
function errorInWords(error: BaseError): ChainError | undefined {
  const words = /custom error (0x[0-9a-f]{8}):? ?([0-9a-f]*)/i.exec(
    `${error.shortMessage}\n${error.details}`,
  );
  if (!words) return undefined;
  try {
    const data: Hex = `${words[1] as Hex}${words[2] ?? ""}`;
    const { errorName, args } = decodeErrorResult({ abi: jobMarketAbi, data });
    return reverted(errorName, args ?? []);
  } catch {
    return undefined;
  }
}

function reverted(name: string, args: readonly unknown[], reason = name): ChainError {
  return {
    kind: "reverted",
    name,
    args,
    text: SENTENCES[name]?.(args) ?? `The contract refuses: ${reason}.`,
  };
}

/** Walks to the reason. Errors that come from nowhere known keep their own first line. */
export function explainChainError(error: unknown): ChainError {
  if (error instanceof BaseError) {
    if (error.walk((cause) => cause instanceof UserRejectedRequestError)) {
      return { kind: "declined", text: "You declined in the wallet. Nothing was sent." };
    }
    const revert = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
    if (revert instanceof ContractFunctionRevertedError) {
      const name = revert.data?.errorName ?? "reverted";
      return reverted(name, revert.data?.args ?? [], revert.data?.errorName ?? revert.reason ?? name);
    }
    const hidden = errorInWords(error);
    if (hidden) return hidden;
    if (error.walk((cause) => cause instanceof HttpRequestError)) {
      return { kind: "unreachable", text: "The chain's RPC endpoint does not answer." };
    }
    return { kind: "unknown", text: error.shortMessage };
  }
  if ((error as { code?: number } | null)?.code === 4001) {
    return { kind: "declined", text: "You declined in the wallet. Nothing was sent." };
  }
  return { kind: "unknown", text: error instanceof Error ? error.message : String(error) };
}
