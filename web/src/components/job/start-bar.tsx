"use client";
/** How long a job took to start, by phase. Draws nothing without data: an empty bar would read as instant. */

import { Card } from "@/components/ui/page";
import { useNow } from "@/components/ui/time";
import type { JobEvent } from "@/lib/events";
import { useMessages } from "@/lib/i18n";
import { formatDuration } from "@/lib/time";
import { jobMessages } from "./messages";

const PHASES = [
  { key: "locking", until: "funded", colour: "bg-line-strong" },
  { key: "finding", until: "assigned", colour: "bg-info" },
  { key: "preparing", until: "started", colour: "bg-brand" },
] as const;

type Phase = { key: (typeof PHASES)[number]["key"]; colour: string; ms: number; isRunning: boolean };

/** The phases that are over, and the one that runs. */
export function phasesOf(events: readonly JobEvent[], now: number): Phase[] {
  const first = (name: JobEvent["event"]) => events.find(({ event }) => event === name)?.at_ms;
  let from = first("created");
  const isGivenUp = events.some(({ event }) => event === "refunding" || event === "cancelled");
  const phases: Phase[] = [];
  for (const { key, until, colour } of PHASES) {
    if (from === undefined) break;
    const to = first(until);
    if (to === undefined) {
      if (now > from && !isGivenUp) phases.push({ key, colour, ms: now - from, isRunning: true });
      break;
    }
    phases.push({ key, colour, ms: Math.max(0, to - from), isRunning: false });
    from = to;
  }
  return phases;
}

export function StartBar({ events }: { events: readonly JobEvent[] }) {
  const t = useMessages(jobMessages);
  const now = useNow();
  const phases = phasesOf(events, now);
  const total = phases.reduce((sum, phase) => sum + phase.ms, 0);
  if (!events.some(({ event }) => event === "funded") || total === 0) return null;
  const time = (ms: number) => (ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms / 1000));
  return (
    <Card title={t("start")} action={<span className="font-semibold">{time(total)}</span>}>
      <div className="flex h-3 gap-0.5 overflow-hidden rounded-full" aria-hidden="true">
        {phases.map(({ key, colour, ms }) => (
          <span key={key} className={`${colour} min-w-1`} style={{ flexGrow: ms / total, flexBasis: 0 }} />
        ))}
      </div>
      <ul className="mt-3 flex flex-wrap gap-x-6 gap-y-1.5 text-[13px]">
        {phases.map(({ key, colour, ms, isRunning }) => (
          <li key={key} className="flex items-center gap-2">
            <span className={`size-2.5 rounded-full ${colour}`} aria-hidden="true" />
            <span className="text-ink-soft">{t(`phase.${key}`)}</span>
            <span>
              {time(ms)}
              {isRunning && "…"}
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
