"use client";
/** One step of several: its number, its name, and its content while it is the current one. */

import { Check } from "lucide-react";
import type { ReactNode } from "react";
import { useMessages } from "@/lib/i18n";
import { provideMessages } from "./messages";

export function StepFrame({
  number,
  title,
  place,
  summary,
  isLast = false,
  children,
}: {
  number: number;
  title: string;
  place: "done" | "current" | "later";
  /** What a finished step came to. */
  summary?: ReactNode;
  isLast?: boolean;
  children: ReactNode;
}) {
  const m = useMessages(provideMessages);
  const isCurrent = place === "current";
  const marks = {
    done: "border-good bg-good-tint text-good",
    current: "border-brand bg-brand text-on-brand",
    later: "border-line-strong text-ink-soft",
  };
  return (
    <li aria-current={isCurrent ? "step" : undefined} className="relative flex gap-4 pb-6 last:pb-0">
      {!isLast && <span aria-hidden="true" className="absolute top-9 bottom-1 left-[13.5px] w-px bg-line" />}
      <span
        aria-hidden="true"
        className={`flex size-7 shrink-0 items-center justify-center rounded-full border text-[13px] font-semibold ${marks[place]}`}
      >
        {place === "done" ? <Check className="size-4" /> : number}
      </span>
      <div className="min-w-0 flex-1 pt-0.5">
        <div className="flex min-h-6 flex-wrap items-center gap-x-3 gap-y-1">
          <h2 className={`text-base leading-6 font-semibold ${place === "later" ? "text-ink-soft" : ""}`}>
            {title}
          </h2>
          <span className="sr-only">{place === "current" ? "" : m(place)}</span>
          {place === "done" && summary}
        </div>
        {isCurrent && <div className="mt-3 flex flex-col gap-4">{children}</div>}
      </div>
    </li>
  );
}
