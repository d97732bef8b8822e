"use client";
/** What can be done with a job's money, and when: by anybody, or by the wallet that is connected. */

import { useI18n, useMessages } from "@/lib/i18n";
import { formatDate } from "@/lib/time";
import { isOpen, isOver, type WayOut } from "@/lib/ways-out";
import { actionMessages } from "./action-messages";

export function WaysList({ ways, now }: { ways: readonly WayOut[]; now: number }) {
  const t = useMessages(actionMessages);
  const { language } = useI18n();
  const date = (seconds: number) => formatDate(seconds * 1000, language);
  const when = (way: WayOut) => {
    if (isOver(way, now)) return t("way.over");
    if (!isOpen(way, now)) return t("way.from", { from: date(way.from) });
    return way.until === undefined ? t("way.now") : t("way.nowUntil", { until: date(way.until) });
  };
  return (
    <ul className="flex flex-col gap-1.5">
      {ways.map((way) => (
        <li key={way.verb} className="flex flex-wrap justify-between gap-x-4">
          <span>{t(`way.${way.verb}`)}</span>
          <span className={isOpen(way, now) ? "text-good" : "text-ink-soft"}>{when(way)}</span>
        </li>
      ))}
    </ul>
  );
}
