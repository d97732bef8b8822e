"use client";
/** What happened to a job, newest last, with the transactions that can be looked up on chain. */

import Link from "next/link";
import { AddressId, TxId } from "@/components/explorer";
import { Card } from "@/components/ui/page";
import { Ago } from "@/components/ui/time";
import type { JobView } from "@/lib/api";
import type { JobEvent } from "@/lib/events";
import { useMessages } from "@/lib/i18n";
import { isEnd, type Tone } from "@/lib/status";
import { EVENT_TONES, eventDetail, timelineOf, useEventTitle } from "./event-words";
import { jobMessages } from "./messages";
import { openedBy } from "./submission";

const DOTS: Record<Tone, string> = {
  neutral: "bg-line-strong",
  info: "bg-info",
  good: "bg-good",
  warn: "bg-warn",
  bad: "bg-bad",
};

export function Timeline({
  job,
  events,
  live,
}: {
  job: JobView;
  events: readonly JobEvent[];
  live: boolean;
}) {
  const t = useMessages(jobMessages);
  const title = useEventTitle(job.terms.token);
  const isOver = isEnd(job.state);
  return (
    <Card
      title={t("timeline")}
      action={
        isOver ? undefined : (
          <span className="label flex items-center gap-1.5">
            <span className={`size-2 rounded-full ${live ? "bg-good" : "bg-warn"}`} aria-hidden="true" />
            {live ? t("live") : t("reconnecting")}
          </span>
        )
      }
    >
      {events.length === 0 && <p className="min-h-40 text-ink-soft">{live ? t("noEvents") : "…"}</p>}
      <ol aria-live="polite" className="flex flex-col">
        {timelineOf(events, job, openedBy(job.id)).map(({ event, tx }, at) => (
          <li
            key={event.version}
            className="relative grid grid-cols-[12px_minmax(0,1fr)] gap-x-3 pb-4 last:pb-0"
          >
            {at < events.length - 1 && (
              <span className="absolute top-5 bottom-[-4px] left-[5.5px] w-px bg-line" aria-hidden="true" />
            )}
            <span
              className={`mt-[5px] size-2.5 justify-self-center rounded-full ${DOTS[EVENT_TONES[event.event]]}`}
            />
            <div>
              <div className="flex flex-wrap items-baseline justify-between gap-x-4">
                <p className="font-medium">
                  {title(event)}
                  {"attempt" in event && event.attempt > 1 && (
                    <span className="ml-2 font-normal text-ink-soft">
                      {t("attemptNumber", { number: event.attempt })}
                    </span>
                  )}
                </p>
                <span className="text-[13px] text-ink-soft">
                  <Ago ms={event.at_ms} />
                </span>
              </div>
              <div className="flex flex-wrap gap-x-4">
                <EventBody event={event} />
                {tx && <TxId value={tx} />}
              </div>
            </div>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function EventBody({ event }: { event: JobEvent }) {
  const detail = eventDetail(event);
  if (event.event === "assigned") {
    return (
      <Link href={`/node/?id=${event.node}`} className="font-mono text-[13px] text-brand hover:underline">
        {event.node.slice(0, 10)}…{event.node.slice(-6)}
      </Link>
    );
  }
  if (event.event === "settled" || event.event === "forfeited") return <AddressId value={event.provider} />;
  if (event.event === "disputed") return <AddressId value={event.by} />;
  return detail ? <p className="text-[13px] text-ink-soft [overflow-wrap:anywhere]">{detail}</p> : null;
}
