"use client";
/** The log of one attempt as it grows, and a search through it that never holds up the page. */

import { useEffect, useRef, useState } from "react";
import { followLog, LogBuffer, type LogState } from "@/lib/log-stream";

export type Log = {
  buffer: LogBuffer;
  /** Changes when the buffer does. */
  revision: number;
  state: LogState;
  error: Error | undefined;
};

export function useLog(id: string, attempt: number): Log {
  const [log, setLog] = useState<Log>(() => fresh());
  useEffect(() => {
    const stop = new AbortController();
    const buffer = new LogBuffer();
    let frame = 0;
    setLog({ ...fresh(), buffer });
    // However fast the log comes, the page is drawn at most once a frame.
    const onChange = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setLog((before) => ({ ...before, revision: before.revision + 1 }));
      });
    };
    followLog(id, attempt, buffer, {
      signal: stop.signal,
      onChange,
      onState: (state) => setLog((before) => ({ ...before, state })),
    }).catch((error: Error) => setLog((before) => ({ ...before, error })));
    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
    };
  }, [id, attempt]);
  return log;
}

function fresh(): Log {
  return { buffer: new LogBuffer(), revision: 0, state: "connecting", error: undefined };
}

/** More than these are counted as "or more". */
export const MATCHES_MAX = 10_000;

/** The numbers of the lines that hold `text`. Goes on with the lines that come while it is shown. */
export function useLogSearch({ buffer, revision }: Log, text: string): readonly number[] {
  const [found, setFound] = useState<readonly number[]>([]);
  const progress = useRef<{ buffer: LogBuffer; text: string; next: number; found: number[] }>(undefined);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a revision means that the buffer holds more than before.
  useEffect(() => {
    const isSame = progress.current?.buffer === buffer && progress.current.text === text;
    if (!isSame) progress.current = { buffer, text, next: 0, found: [] };
    const current = progress.current;
    if (!current || text === "") {
      setFound([]);
      return;
    }
    let timer: ReturnType<typeof setTimeout>;
    const step = () => {
      // The last line may still grow, so it is looked at again the next time.
      const whole = Math.max(current.next, buffer.end - 1);
      const { found: more, next } = buffer.search(text, current.next);
      current.found.push(...more.filter((line) => line !== current.found.at(-1)));
      current.next = Math.min(next, whole);
      setFound([...current.found]);
      if (next < buffer.end && current.found.length < MATCHES_MAX) timer = setTimeout(step);
    };
    timer = setTimeout(step);
    return () => clearTimeout(timer);
  }, [buffer, revision, text]);
  return found;
}
