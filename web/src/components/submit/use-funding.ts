"use client";
/** The state of the one submission that a page can have under way. */

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import type { JobSpec } from "@/lib/api";
import type { JobMoney } from "@/lib/draft";
import type { Funding, FundingWorld } from "@/lib/funding-state";
import type { Submission } from "@/lib/submission";
import { useAddress } from "@/lib/wallet";
import type { Upload } from "./uploads";

type Sequence = typeof import("@/lib/funding");
type Run = (sequence: Sequence, world: FundingWorld, signal: AbortSignal) => Promise<void>;

export function useFunding() {
  const address = useAddress();
  const queries = useQueryClient();
  const [funding, setFunding] = useState<Funding>({ state: "idle" });
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const run = useCallback(
    async (first: Funding, uploads: readonly Upload[], steps: Run) => {
      // A second click while something runs does nothing.
      if (!address || running.current) return;
      const controller = new AbortController();
      running.current = controller;
      setFunding(first);
      try {
        const [sequence, { fundingWorld }] = await Promise.all([
          import("@/lib/funding"),
          import("./funding-world"),
        ]);
        await steps(sequence, await fundingWorld(address, uploads), controller.signal);
      } catch (error) {
        // Only the code of the page itself can fail here, before anything was asked for.
        const detail = error instanceof Error ? error.message : String(error);
        setFunding({ state: "stopped", why: "failed", detail });
      } finally {
        running.current = undefined;
        void queries.invalidateQueries({ queryKey: ["unfinished"] });
        void queries.invalidateQueries({ queryKey: ["balance"] });
      }
    },
    [address, queries],
  );

  const start = (wanted: { spec: JobSpec; money: JobMoney }, uploads: readonly Upload[]) =>
    run({ state: "working", doing: "checking" }, uploads, (sequence, world) =>
      sequence.prepare(world, wanted, setFunding),
    );
  const resume = (submission: Submission) =>
    run({ state: "working", doing: "checking" }, [], (sequence, world) =>
      sequence.resume(world, submission, setFunding),
    );
  const confirm = (submission: Submission) =>
    run({ state: "paying", submission, phase: "simulating" }, [], (sequence, world, signal) =>
      sequence.pay(world, submission, setFunding, signal),
    );
  const look = (submission: Submission) =>
    run(
      { state: "checking", submission, reason: "", blocks: 0, blocksMax: 0, isReachable: true },
      [],
      (sequence, world, signal) => sequence.settleDoubt(world, submission, "", setFunding, signal),
    );
  const reset = () => setFunding({ state: "idle" });
  return { funding, start, resume, confirm, look, reset };
}
