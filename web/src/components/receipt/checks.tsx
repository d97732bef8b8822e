"use client";
/** What was checked, and how each check came out: mark, word and sentence. */

import { Check as CheckIcon, Minus, X } from "lucide-react";
import { useMessages } from "@/lib/i18n";
import type { Check, Verdict } from "@/lib/verify";
import { receiptMessages } from "./messages";

const MARKS = { holds: CheckIcon, fails: X, not_checked: Minus } as const;
const TONES: Record<Verdict, string> = {
  holds: "text-good",
  fails: "text-bad",
  not_checked: "text-ink-soft",
};

export function Checks({ checks }: { checks: readonly Check[] }) {
  const t = useMessages(receiptMessages);
  return (
    <ul className="flex flex-col">
      {checks.map(({ what, verdict, why, values }) => {
        const Mark = MARKS[verdict];
        return (
          <li
            key={what}
            className="grid grid-cols-[20px_96px_minmax(0,1fr)] gap-x-3 border-b border-line py-2.5 last:border-0 max-sm:grid-cols-[20px_minmax(0,1fr)]"
          >
            <Mark className={`mt-0.5 size-4 ${TONES[verdict]}`} aria-hidden="true" />
            <span className="font-medium">{t(`what.${what}`)}</span>
            <span className="max-sm:col-start-2">
              <span className={`${TONES[verdict]} mr-2 font-medium`}>{t(`verdict.${verdict}`)}</span>
              <span className="text-ink-soft [overflow-wrap:anywhere]">{t(`why.${why}`, values)}</span>
            </span>
          </li>
        );
      })}
    </ul>
  );
}
