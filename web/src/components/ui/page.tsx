/** The frame of a page: its heading, and cards. */

import type { ReactNode } from "react";

export function Page({
  title,
  lead,
  actions,
  children,
  width = "wide",
}: {
  title: ReactNode;
  lead?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  width?: "wide" | "narrow";
}) {
  return (
    <div
      className={`mx-auto w-full px-4 py-6 sm:px-6 sm:py-8 ${width === "narrow" ? "max-w-3xl" : "max-w-[1400px]"}`}
    >
      <div className="mb-6 flex flex-wrap items-start justify-between gap-4">
        <div className="min-w-0">
          <h1 className="text-xl leading-7 font-semibold tracking-tight [overflow-wrap:anywhere]">{title}</h1>
          {lead && <div className="mt-1 max-w-prose text-ink-soft">{lead}</div>}
        </div>
        {actions && <div className="flex flex-wrap gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

export function Card({
  title,
  action,
  children,
  className = "",
  flush = false,
}: {
  title?: ReactNode;
  action?: ReactNode;
  children: ReactNode;
  className?: string;
  /** The content brings its own padding, as tables do. */
  flush?: boolean;
}) {
  return (
    <section className={`min-w-0 rounded-xl border border-line bg-ground ${className}`}>
      {(title || action) && (
        <div className="flex flex-wrap items-center justify-between gap-2 border-b border-line px-4 py-3 sm:px-5">
          {title && <h2 className="text-sm font-semibold">{title}</h2>}
          {action}
        </div>
      )}
      <div className={flush ? "" : "px-4 py-4 sm:px-5"}>{children}</div>
    </section>
  );
}

/** Names and values, such as the facts of a job. */
export function Facts({ items }: { items: readonly (readonly [string, ReactNode] | false | undefined)[] }) {
  return (
    <dl className="grid grid-cols-[minmax(88px,max-content)_minmax(0,1fr)] gap-x-5 gap-y-2.5 max-sm:grid-cols-[fit-content(36%)_minmax(0,1fr)] max-sm:gap-x-4">
      {items.map((item) =>
        item ? (
          <div key={item[0]} className="contents">
            <dt className="label py-0.5">{item[0]}</dt>
            <dd className="[overflow-wrap:anywhere]">{item[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

/** One large number with its name. */
export function Stat({ label, value, note }: { label: string; value: ReactNode; note?: ReactNode }) {
  return (
    <div className="rounded-xl border border-line bg-ground px-4 py-3.5">
      <p className="label">{label}</p>
      {/* On a phone a long amount may break before its coin. */}
      <div className="mt-1.5 text-xl leading-7 font-semibold max-sm:text-base max-sm:[&_span]:whitespace-normal">
        {value}
      </div>
      {note && <p className="mt-0.5 text-[13px] text-ink-soft">{note}</p>}
    </div>
  );
}
