"use client";
/** What the pages ask about one job: the scheduler's view, its history, and what the contract says. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Hex } from "viem";
import { api, body, type JobView } from "@/lib/api";
import { followEvents, type JobEvent } from "@/lib/events";
import { isEnd } from "@/lib/status";
import { chain } from "@/lib/wallet";

const JOB_ID = /^0x[0-9a-f]{64}$/;

export function isJobId(text: string): boolean {
  return JOB_ID.test(text);
}

export function useJob(id: string) {
  return useQuery({
    queryKey: ["job", id],
    queryFn: () => body(api.GET("/v1/jobs/{id}", { params: { path: { id } } })),
    enabled: isJobId(id),
    // The stream of events says when something has changed; this is for where there is no stream.
    refetchInterval: ({ state }) => (state.data && isEnd(state.data.state) ? false : 10_000),
  });
}

/** A job's history as it happens, oldest first. A job has a few dozen events at most. */
export function useJobEvents(id: string): { events: readonly JobEvent[]; live: boolean } {
  const queries = useQueryClient();
  const [events, setEvents] = useState<readonly JobEvent[]>([]);
  const [live, setLive] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    setEvents([]);
    followEvents(id, {
      signal: stop.signal,
      onEvent: (event) => {
        setEvents((before) => [...before, event]);
        void queries.invalidateQueries({ queryKey: ["job", id] });
        void queries.invalidateQueries({ queryKey: ["chain-job", id] });
      },
      onLive: setLive,
      // What cannot be mended by trying again is told by the job's own query.
    }).catch(() => setLive(false));
    return () => stop.abort();
  }, [id, queries]);
  return { events, live };
}

/** The contract's word on a job that the scheduler knows. */
export function useChainJob(job: JobView) {
  return useQuery({
    queryKey: ["chain-job", job.id],
    queryFn: async () => {
      const [client, { readChainJob }, { fromWire }] = await Promise.all([
        chain(),
        import("./chain-job"),
        import("@/lib/terms"),
      ]);
      return readChainJob(client, job.id as Hex, fromWire(job.terms));
    },
    refetchInterval: isEnd(job.state) ? false : 5000,
  });
}
