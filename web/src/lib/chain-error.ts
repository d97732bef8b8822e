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
import { chainTexts, errorSentence } from "./chain-texts";

export type ChainError =
  /** The person declined. Nothing was sent. */
  | { kind: "declined"; text: string }
  /** The contract refuses. `name` is its custom error. */
  | { kind: "reverted"; name: string; args: readonly unknown[]; text: string }
  /** The endpoint cannot be reached. */
  | { kind: "unreachable"; text: string }
  /** Anything else. After a prompt was opened this may hide a transaction that was sent. */
  | { kind: "unknown"; text: string };

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
    text: errorSentence(name, args, reason),
  };
}

/** Walks to the reason. Errors that come from nowhere known keep their own first line. */
export function explainChainError(error: unknown): ChainError {
  if (error instanceof BaseError) {
    if (error.walk((cause) => cause instanceof UserRejectedRequestError)) {
      return { kind: "declined", text: chainTexts().declined };
    }
    const revert = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
    if (revert instanceof ContractFunctionRevertedError) {
      const name = revert.data?.errorName ?? "reverted";
      return reverted(name, revert.data?.args ?? [], revert.data?.errorName ?? revert.reason ?? name);
    }
    const hidden = errorInWords(error);
    if (hidden) return hidden;
    if (error.walk((cause) => cause instanceof HttpRequestError)) {
      return { kind: "unreachable", text: chainTexts().unreachable };
    }
    return { kind: "unknown", text: error.shortMessage };
  }
  if ((error as { code?: number } | null)?.code === 4001) {
    return { kind: "declined", text: chainTexts().declined };
  }
  return { kind: "unknown", text: error instanceof Error ? error.message : String(error) };
}
