"use client";
/** All checks of a receipt, each as soon as it is known, in the order in which the command line prints them. */

import { useQuery } from "@tanstack/react-query";
import type { Hex } from "viem";
import { useConfig } from "@/components/deployment";
import { errorText } from "@/components/ui/empty";
import { CHECKS, type Check, notChecked, type Proof } from "@/lib/verify";
import { chain } from "@/lib/wallet";
import { useOutput, useVerification, type Verification } from "./use-output";

/** What the state of reading the output means for the two checks that need it. */
function outputChecks(state: Verification): Check[] {
  switch (state.status) {
    case "done":
      return state.checks;
    case "failed":
      return (["output", "manifest"] as const).map((what) => ({
        what,
        // What cannot be fetched is no lie; what was fetched and is something else is one.
        verdict: state.error.name === "ContentError" ? "fails" : "not_checked",
        why: "contentFailed",
        values: { reason: errorText(state.error) },
      }));
    case "too_large":
      return [notChecked("output", "tooLarge"), notChecked("manifest", "tooLarge")];
    case "waiting":
    case "reading":
      return [notChecked("output", "notRead"), notChecked("manifest", "notRead")];
  }
}

export function useChecks(proof: Proof) {
  const config = useConfig();
  const { receipt, domain } = proof;
  const id = receipt.job_id as Hex;
  // All of it: what was found of one receipt must never be shown of another that differs by a digit.
  const key = JSON.stringify(proof);
  const own = useQuery({
    queryKey: ["receipt", key],
    queryFn: async () => (await import("@/lib/verify")).checkReceipt(id, proof),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const isHere =
    config !== undefined &&
    config.chain.id === domain.chain_id &&
    config.contract.toLowerCase() === domain.contract.toLowerCase();
  const onChain = useQuery({
    queryKey: ["receipt", "chain", key, isHere],
    enabled: config !== undefined,
    queryFn: async () => {
      const { checkChain } = await import("@/lib/verify");
      return isHere ? checkChain(await chain(), id, receipt) : notChecked("on chain", "otherContract");
    },
  });
  const output = useOutput(receipt);
  const { state, start } = useVerification(receipt, output.data);
  const outputState: Verification = output.isError ? { status: "waiting" } : state;
  const fromOutput = output.isError
    ? (["output", "manifest"] as const).map((what) =>
        notChecked(what, "contentFailed", { reason: errorText(output.error) }),
      )
    : outputChecks(outputState);
  const found = [...(own.data ?? []), ...(onChain.data ? [onChain.data] : []), ...fromOutput];
  const checks = CHECKS.flatMap((what) => found.find((check) => check.what === what) ?? []);
  const isBusy =
    own.isPending || (onChain.isPending && config !== undefined) || outputState.status === "reading";
  return { checks, isBusy, output: outputState, start, error: own.error };
}
