"use client";
/** One transaction as a person sees it: a button that starts it, and the steps that it takes. */

import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { TxId } from "@/components/explorer";
import { Button, Spinner } from "@/components/ui/button";
import { Notice } from "@/components/ui/notice";
import type { Call, Progress, TransactionError } from "@/lib/escrow";
import { useT } from "@/lib/i18n";
import { chain, useAddress } from "@/lib/wallet";

export type TransactionState =
  | { status: "idle" }
  | { status: "busy"; progress: Progress | undefined }
  | { status: "done"; progress: Extract<Progress, { phase: "mined" }> }
  | { status: "failed"; error: TransactionError | Error };

/** Runs calls of the contract from the connected wallet. Whatever comes of it, what was read of the chain is read again. */
export function useTransaction(): {
  state: TransactionState;
  run: (call: Call) => Promise<boolean>;
  reset: () => void;
} {
  const address = useAddress();
  const queries = useQueryClient();
  const [state, setState] = useState<TransactionState>({ status: "idle" });
  // What sends is fetched before it is needed: the server that it comes from may be gone by then.
  useEffect(() => {
    void import("@/lib/escrow").catch(() => {});
  }, []);
  const run = async (call: Call) => {
    if (!address || state.status === "busy") return false;
    setState({ status: "busy", progress: undefined });
    try {
      const [client, { transact }] = await Promise.all([chain(), import("@/lib/escrow")]);
      const done = await transact(client, address, call, (progress) =>
        setState({ status: "busy", progress }),
      );
      setState({ status: "done", progress: done });
      return true;
    } catch (error) {
      setState({ status: "failed", error: error instanceof Error ? error : new Error(String(error)) });
      return false;
    } finally {
      void queries.invalidateQueries();
    }
  };
  return { state, run, reset: () => setState({ status: "idle" }) };
}

export function TransactionNote({ state, done }: { state: TransactionState; done?: ReactNode }) {
  const t = useT();
  if (state.status === "idle") return null;
  if (state.status === "failed") {
    return (
      <Notice tone="bad" live>
        {state.error.message}
      </Notice>
    );
  }
  const progress = state.progress;
  const hash = progress && "hash" in progress ? progress.hash : undefined;
  return (
    <Notice tone={state.status === "done" ? "good" : "info"} live>
      <span className="flex flex-wrap items-center gap-2">
        {state.status === "busy" && <Spinner />}
        {state.status === "done" && done ? done : t(`transaction.${progress?.phase ?? "starting"}`)}
        {hash && <TxId value={hash} />}
      </span>
    </Notice>
  );
}

/** A button that sends one call. */
export function TransactionButton({
  call,
  look = "primary",
  children,
  done,
  onDone,
  disabled,
}: {
  call: () => Call;
  look?: "primary" | "secondary" | "danger";
  children: ReactNode;
  done?: ReactNode;
  onDone?: () => void;
  disabled?: boolean;
}) {
  const { state, run } = useTransaction();
  const start = async () => {
    if (await run(call())) onDone?.();
  };
  return (
    <div className="flex flex-col gap-2">
      <Button
        look={look}
        busy={state.status === "busy"}
        disabled={disabled}
        onClick={start}
        className="self-start"
      >
        {children}
      </Button>
      <TransactionNote state={state} done={done} />
    </div>
  );
}
