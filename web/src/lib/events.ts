/** A job's history as the scheduler streams it: JSON Lines that go on where they were cut. */

import { ApiError, call, type Schemas } from "./api";

export type JobEvent = Schemas["JobEvent"];
/** Versions have no gaps, so the last one says where to go on. */
const RETRY_MS = [500, 1000, 2000, 4000, 8000] as const;
/** A line longer than this is no event of ours. */
const LINE_CHARS_MAX = 1 << 20;

/** The lines of a body, without their ends. What follows the last line end is not a whole line, and is dropped. */
export async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split("\n");
      rest = parts.pop() ?? "";
      yield* parts;
      if (rest.length > LINE_CHARS_MAX) throw new Error("a line of the stream is too long");
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Waits, and ends early when the signal is raised. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}

/** How long to wait before the next try, the `failures`-th in a row. */
export function retryMs(failures: number): number {
  return RETRY_MS[Math.min(failures, RETRY_MS.length) - 1] ?? RETRY_MS[0];
}

export type Follow = {
  signal: AbortSignal;
  onEvent: (event: JobEvent) => void;
  /** Told whenever the stream is cut or comes back. */
  onLive: (live: boolean) => void;
};

/** Hands over each event once, in order, until the job has ended. Throws only what trying again cannot mend. */
export async function followEvents(id: string, { signal, onEvent, onLive }: Follow): Promise<void> {
  let after = 0;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const answer = await call(`/v1/jobs/${id}/events?follow=true&after=${after}`, {
        signal,
        headers: { accept: "application/jsonl" },
      });
      onLive(true);
      for await (const line of lines(answer.body as ReadableStream<Uint8Array>)) {
        if (line === "") continue;
        const event = JSON.parse(line) as JobEvent;
        if (event.version <= after) continue;
        after = event.version;
        failures = 0;
        onEvent(event);
      }
      // The scheduler ends the stream where the job has ended, and where it stops itself.
      if (await hasEnded(id, after, signal)) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !error.isUnreachable && error.status < 500) throw error;
    }
    onLive(false);
    failures += 1;
    await pause(retryMs(failures), signal);
  }
}

async function hasEnded(id: string, after: number, signal: AbortSignal): Promise<boolean> {
  const job = (await (await call(`/v1/jobs/${id}`, { signal })).json()) as Schemas["JobView"];
  const isEnd = job.state === "settled" || job.state === "refunded" || job.state === "cancelled";
  return isEnd && job.version <= after;
}
