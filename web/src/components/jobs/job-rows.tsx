"use client";
/** A long list of jobs: only the rows in sight exist. A table on wide screens, cards on narrow ones. */

import { useWindowVirtualizer } from "@tanstack/react-virtual";
import Link from "next/link";
import { memo, useEffect, useRef, useState } from "react";
import { Money } from "@/components/money";
import { StatusBadge } from "@/components/ui/badge";
import { shortId } from "@/components/ui/copy";
import { useNow } from "@/components/ui/time";
import type { JobSummary } from "@/lib/api";
import { useI18n, useMessages } from "@/lib/i18n";
import { JOB_STATUS } from "@/lib/status";
import { formatDate, relativeTime } from "@/lib/time";
import { jobsMessages } from "./messages";

const ROW_PX = 53;
const CARD_PX = 128;
const NARROW = "(max-width: 767px)";
/** The next page is asked for when so few rows are left below. */
const AHEAD_ROWS = 40;

const COLUMNS = [
  { key: "name", width: "", numeric: false },
  { key: "state", width: "w-36", numeric: false },
  { key: "bounty", width: "w-36", numeric: true },
  { key: "runtime", width: "w-24", numeric: false },
  { key: "attempts", width: "w-28", numeric: true },
  { key: "posted", width: "w-32", numeric: false },
  { key: "deadline", width: "w-32", numeric: false },
] as const;

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(false);
  useEffect(() => {
    const query = window.matchMedia(NARROW);
    const look = () => setNarrow(query.matches);
    look();
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  return narrow;
}

export function JobRows({
  jobs,
  selected,
  onSelect,
  canSelect,
  onNearEnd,
}: {
  jobs: readonly JobSummary[];
  selected: ReadonlySet<string>;
  onSelect: (id: string, isSelected: boolean) => void;
  canSelect: (job: JobSummary) => boolean;
  onNearEnd: () => void;
}) {
  const t = useMessages(jobsMessages);
  const narrow = useNarrow();
  // One clock for all rows: with one each, a scroll would start and stop hundreds.
  const now = useNow(5000);
  const list = useRef<HTMLTableElement>(null);
  const [margin, setMargin] = useState(0);
  useEffect(() => {
    setMargin(list.current?.offsetTop ?? 0);
  }, []);
  const rows = useWindowVirtualizer({
    count: jobs.length,
    estimateSize: () => (narrow ? CARD_PX : ROW_PX),
    overscan: 6,
    scrollMargin: margin,
    getItemKey: (index) => jobs[index]?.id ?? index,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: on another screen all rows have another height.
  useEffect(() => rows.measure(), [narrow]);
  const items = rows.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= jobs.length - AHEAD_ROWS) onNearEnd();
  }, [last, jobs.length, onNearEnd]);
  const before = (items[0]?.start ?? margin) - margin;
  const after = Math.max(0, rows.getTotalSize() - ((items.at(-1)?.end ?? margin) - margin));
  return (
    <table
      ref={list}
      aria-rowcount={jobs.length + 1}
      className="w-full table-fixed border-collapse text-[13px] max-md:block"
    >
      <caption className="sr-only">{t("title")}</caption>
      <thead className="max-md:sr-only">
        <tr>
          <td className="w-12" />
          {COLUMNS.map(({ key, width, numeric }) => (
            <th
              key={key}
              scope="col"
              className={`label px-2 py-2 font-medium ${width} ${numeric ? "text-right" : "text-left"}`}
            >
              {t(key)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody className="max-md:block">
        <tr className="max-md:block" style={{ height: before }}>
          <td colSpan={COLUMNS.length + 1} />
        </tr>
        {items.map(({ index }) => {
          const job = jobs[index];
          if (!job) return null;
          return (
            <JobRow
              key={job.id}
              job={job}
              rowIndex={index + 2}
              isSelected={selected.has(job.id)}
              canSelect={canSelect(job)}
              onSelect={onSelect}
              now={now}
            />
          );
        })}
        <tr className="max-md:block" style={{ height: after }}>
          <td colSpan={COLUMNS.length + 1} />
        </tr>
      </tbody>
    </table>
  );
}

type RowProps = {
  job: JobSummary;
  rowIndex: number;
  isSelected: boolean;
  canSelect: boolean;
  onSelect: (id: string, isSelected: boolean) => void;
  now: number;
};

/** A row of the table; on a narrow screen its cells make a card of three lines. */
const JobRow = memo(function JobRow(props: RowProps) {
  const { job, rowIndex, isSelected, now } = props;
  const t = useMessages(jobsMessages);
  return (
    <tr
      aria-rowindex={rowIndex}
      className={`h-[53px] border-t border-line max-md:grid max-md:h-32 max-md:grid-cols-[16px_minmax(0,1fr)_auto] max-md:content-center max-md:items-center max-md:gap-x-3 max-md:gap-y-2 max-md:px-4 ${isSelected ? "bg-brand-tint" : "hover:bg-raised"}`}
    >
      <td className="peer pl-4 max-md:p-0 max-md:empty:hidden">
        <Select {...props} />
      </td>
      <td className="px-2 max-md:col-span-2 max-md:p-0 max-md:peer-empty:col-span-3">
        <Name job={job} />
      </td>
      <td className="px-2 max-md:col-span-2 max-md:p-0">
        <StatusBadge status={JOB_STATUS[job.state]} />
      </td>
      <td className="truncate px-2 text-right max-md:p-0">
        <Money amount={job.bounty} token={job.token} />
      </td>
      <td className="px-2 max-md:hidden">{job.runtime}</td>
      <td className="px-2 text-right max-md:hidden">{job.attempts}</td>
      <td className="px-2 text-ink-soft max-md:col-span-2 max-md:p-0">
        <When ms={job.created_at_ms} now={now} />
      </td>
      <td className="px-2 pr-4 text-ink-soft max-md:p-0">
        <span className="md:hidden">{t("deadline")} </span>
        <When ms={job.deadline * 1000} now={now} />
      </td>
    </tr>
  );
});

function Name({ job }: { job: JobSummary }) {
  return (
    <Link href={`/job/?id=${job.id}`} prefetch={false} className="group block min-w-0" title={job.id}>
      <span className="block truncate text-sm font-medium group-hover:underline">{job.name}</span>
      <span className="block font-mono text-[12px] leading-4 text-ink-soft">{shortId(job.id)}</span>
    </Link>
  );
}

function When({ ms, now }: { ms: number; now: number }) {
  const { language } = useI18n();
  return <span title={formatDate(ms, language)}>{now ? relativeTime(ms, now, language) : "…"}</span>;
}

function Select({ job, isSelected, canSelect, onSelect }: RowProps) {
  const t = useMessages(jobsMessages);
  if (!canSelect) return null;
  return (
    <input
      type="checkbox"
      className="block size-4"
      aria-label={t("select", { name: job.name })}
      checked={isSelected}
      onChange={(event) => onSelect(job.id, event.target.checked)}
    />
  );
}
