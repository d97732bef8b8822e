/** Things side by side by size: each with its name, a bar, and its number in words, so that it needs no table beside it. */

import type { ReactNode } from "react";

export type Bar = {
  name: string;
  value: number;
  /** The share of the value that is drawn full; all of it where absent. */
  part?: number;
  text: ReactNode;
};

export function Bars({ bars, empty }: { bars: readonly Bar[]; empty: string }) {
  const largest = Math.max(...bars.map(({ value }) => value), 0);
  const width = (value: number) => `${largest > 0 ? (100 * value) / largest : 0}%`;
  if (bars.length === 0) return <p className="py-6 text-center text-ink-soft">{empty}</p>;
  return (
    <ul className="flex flex-col gap-3.5">
      {bars.map(({ name, value, part, text }) => (
        <li key={name}>
          <div className="flex flex-wrap justify-between gap-x-4 text-[13px]">
            <span className="min-w-0 [overflow-wrap:anywhere]">{name}</span>
            <span className="ml-auto">{text}</span>
          </div>
          <div aria-hidden="true" className="relative mt-1.5 h-1.5 overflow-hidden rounded-full bg-sunken">
            {part !== undefined && (
              <span
                className="absolute inset-y-0 left-0 rounded-full bg-line-strong/40"
                style={{ width: width(value) }}
              />
            )}
            <span
              className="absolute inset-y-0 left-0 rounded-full bg-brand"
              style={{ width: width(part ?? value) }}
            />
          </div>
        </li>
      ))}
    </ul>
  );
}
