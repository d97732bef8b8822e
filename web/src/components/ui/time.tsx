"use client";
/** Moments: relative on screen, exact in the title. */

import { useEffect, useState } from "react";
import { useI18n } from "@/lib/i18n";
import { formatDate, relativeTime } from "@/lib/time";

/** The time now, renewed every `everyMs`; 0 before the page is alive, so that server and browser draw the same. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(0);
  useEffect(() => {
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function Ago({ ms }: { ms: number }) {
  const { language } = useI18n();
  const now = useNow(5000);
  return (
    <time
      dateTime={new Date(ms).toISOString()}
      title={formatDate(ms, language)}
      className="whitespace-nowrap"
    >
      {now ? relativeTime(ms, now, language) : "…"}
    </time>
  );
}
