"use client";
/** The lines of a log, of which only those in sight exist. Text of strangers: it is drawn as text, never as markup. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, type RefObject, useEffect, useRef } from "react";
import { type Span, spans } from "@/lib/log-stream";
import type { Log } from "./use-log";

/** With this height a million lines are within what browsers can draw. */
const LINE_PX = 17;
/** Nearer to the end than this counts as being at it. */
const END_PX = 24;

const TONES: Record<NonNullable<Span["tone"]>, string> = {
  red: "text-bad",
  green: "text-good",
  yellow: "text-warn",
  blue: "text-info",
  soft: "text-ink-soft",
};

export function LogLines({
  log,
  label,
  wrap,
  follow,
  onFollow,
  marked,
}: {
  log: Log;
  label: string;
  wrap: boolean;
  follow: boolean;
  onFollow: (follow: boolean) => void;
  /** The line of the search that is looked at. */
  marked: number | undefined;
}) {
  const scroller = useRef<HTMLElement>(null);
  const { buffer, revision } = log;
  const { first, end } = buffer;
  const count = end - first;
  const lines = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_PX,
    overscan: 30,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: each revision may have brought lines.
  useEffect(() => {
    if (follow && count > 0) lines.scrollToIndex(count - 1, { align: "end" });
  }, [follow, revision, count]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: it scrolls once to each match that is chosen.
  useEffect(() => {
    if (marked !== undefined) lines.scrollToIndex(marked - first, { align: "center" });
  }, [marked]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: with another way to break lines all have another height.
  useEffect(() => lines.measure(), [wrap]);
  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < END_PX;
    if (isAtEnd !== follow) onFollow(isAtEnd);
  };
  const items = lines.getVirtualItems();
  const digits = String(end).length;
  return (
    <section
      ref={scroller as RefObject<HTMLElement>}
      role="log"
      aria-label={label}
      aria-live="off"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard.
      tabIndex={0}
      onScroll={onScroll}
      className="h-[min(70dvh,720px)] overflow-auto bg-raised py-2 font-mono text-[12px] leading-[17px] -outline-offset-2 [overflow-anchor:none]"
    >
      <div className="relative min-w-full" style={{ height: lines.getTotalSize() }}>
        <div
          className={wrap ? "absolute inset-x-0 top-0" : "absolute top-0 w-max min-w-full"}
          style={{ transform: `translateY(${items[0]?.start ?? 0}px)` }}
        >
          {items.map(({ index }) => (
            <Line
              key={first + index}
              index={index}
              number={first + index + 1}
              text={buffer.line(first + index)}
              digits={digits}
              wrap={wrap}
              isMarked={first + index === marked}
              measure={wrap ? lines.measureElement : undefined}
            />
          ))}
        </div>
      </div>
    </section>
  );
}

const Line = memo(function Line({
  index,
  number,
  text,
  digits,
  wrap,
  isMarked,
  measure,
}: {
  index: number;
  number: number;
  text: string;
  digits: number;
  wrap: boolean;
  isMarked: boolean;
  measure: ((element: HTMLElement | null) => void) | undefined;
}) {
  const break_ = wrap ? "whitespace-pre-wrap [overflow-wrap:anywhere]" : "h-[17px] whitespace-pre";
  return (
    <div
      ref={measure}
      data-index={index}
      className={`flex gap-4 px-4 hover:bg-sunken ${break_} ${isMarked ? "bg-warn-tint" : ""}`}
    >
      <span
        aria-hidden="true"
        className="shrink-0 text-right text-ink-soft select-none"
        style={{ width: `${digits}ch` }}
      >
        {number}
      </span>
      <span className="min-w-0 [tab-size:4]">
        {spans(text).map((span, at) => (
          <span
            // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of a line have no other name.
            key={at}
            className={`${span.tone ? TONES[span.tone] : ""} ${span.bold ? "font-bold" : ""}`}
          >
            {span.text}
          </span>
        ))}
      </span>
    </div>
  );
});
