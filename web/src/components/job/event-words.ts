"use client";
/** A job's events in plain words, and the transactions that belong to them. */

import type { JobView, Schemas } from "@/lib/api";
import type { JobEvent } from "@/lib/events";
import { useI18n, useMessages } from "@/lib/i18n";
import type { Tone } from "@/lib/status";
import { formatDate } from "@/lib/time";
import { useAmountText } from "./amount-text";
import { jobMessages } from "./messages";

type EventName = JobEvent["event"];

export const EVENT_TONES: Record<EventName, Tone> = {
  created: "neutral",
  funded: "info",
  queued: "neutral",
  assigned: "info",
  started: "info",
  called_in: "warn",
  renewed: "info",
  reported: "info",
  accepted: "good",
  rejected: "bad",
  failed: "bad",
  released: "neutral",
  expired: "bad",
  abandoned: "neutral",
  published: "info",
  held: "info",
  forfeited: "warn",
  disputed: "warn",
  ruled: "info",
  settled: "good",
  refunding: "warn",
  refunded: "neutral",
  cancelled: "neutral",
};

/** What the scheduler sent to bring an event about; where there are several, the n-th event has the n-th transaction. */
const INTENTS: Partial<Record<EventName, readonly Schemas["IntentKind"][]>> = {
  assigned: ["assign", "open_and_assign"],
  called_in: ["call_in"],
  released: ["release"],
  forfeited: ["lapse"],
  settled: ["settle", "claim"],
  refunded: ["refund"],
};

export type TimelineEntry = { event: JobEvent; tx: string | undefined };

/** Puts the transactions to the events that they brought about. */
export function timelineOf(events: readonly JobEvent[], job: JobView, openedBy?: string): TimelineEntry[] {
  const used = new Map<EventName, number>();
  return events.map((event) => {
    if (event.event === "funded") return { event, tx: openedBy };
    const kinds = INTENTS[event.event];
    if (!kinds) return { event, tx: undefined };
    const at = used.get(event.event) ?? 0;
    used.set(event.event, at + 1);
    // A job that is held is settled and later claimed: the payment is the last of them.
    const sent = job.transactions.filter(({ kind, hash }) => hash && kinds.includes(kind));
    const found = event.event === "settled" ? sent.at(-1) : sent[at];
    return { event, tx: found?.hash ?? undefined };
  });
}

/** Says an outcome in the command line's words. */
export function outcomeWords(outcome: Schemas["Outcome"]): string {
  switch (outcome.kind) {
    case "exited":
      return `exit ${outcome.exit_code}`;
    case "limited":
      return `limit: ${outcome.limit.replace("_", " ")}`;
    case "not_started":
    case "output_refused":
      return outcome.kind.replace("_", " ");
  }
}

/** What an event adds in its own words: why, or which node. Written by strangers, so it is shown as text only. */
export function eventDetail(event: JobEvent): string | undefined {
  switch (event.event) {
    case "queued":
    case "failed":
    case "released":
    case "abandoned":
    case "refunding":
    case "cancelled":
      return event.reason;
    case "rejected":
      return event.reasons.join("; ");
    case "reported":
      return "reason" in event.outcome ? event.outcome.reason : undefined;
    case "created":
    case "funded":
    case "assigned":
    case "started":
    case "called_in":
    case "renewed":
    case "accepted":
    case "expired":
    case "published":
    case "held":
    case "forfeited":
    case "disputed":
    case "ruled":
    case "settled":
    case "refunded":
      return undefined;
  }
}

export function useEventTitle(token: string): (event: JobEvent) => string {
  const t = useMessages(jobMessages);
  const amount = useAmountText();
  const { language } = useI18n();
  return (event) => {
    const values: Record<string, string> = {};
    if ("outcome" in event) values.outcome = outcomeWords(event.outcome);
    if ("until_ms" in event) values.until = formatDate(event.until_ms, language);
    if ("ruling" in event) values.ruling = event.ruling;
    if ("amount" in event) values.amount = amount(BigInt(event.amount), token);
    if ("to_pool" in event) {
      values.toPool = amount(BigInt(event.to_pool), token);
      values.toSubmitter = amount(BigInt(event.to_submitter), token);
    }
    return t(`event.${event.event}`, values);
  };
}
