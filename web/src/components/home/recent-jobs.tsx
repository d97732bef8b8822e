"use client";
/** The newest jobs: of the market, of a node, or of a provider. */

import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import type { ReactNode } from "react";
import { Money } from "@/components/money";
import { StatusBadge } from "@/components/ui/badge";
import { ErrorState, Skeleton } from "@/components/ui/empty";
import { type Column, Table } from "@/components/ui/table";
import { Ago } from "@/components/ui/time";
import { api, body, type JobSummary } from "@/lib/api";
import { useMessages, useT } from "@/lib/i18n";
import { JOB_STATUS } from "@/lib/status";
import { jobsMessages } from "./jobs-messages";

export type JobsOf = { provider?: string; node?: string };

export function useNewestJobs(of: JobsOf, limit: number) {
  return useQuery({
    queryKey: ["jobs", "newest", of, limit],
    queryFn: () => body(api.GET("/v1/jobs", { params: { query: { ...of, limit } } })),
    refetchInterval: 10_000,
  });
}

export function JobLink({ job }: { job: JobSummary }) {
  return (
    <Link
      href={`/job/?id=${job.id}`}
      className="font-medium underline-offset-2 [overflow-wrap:anywhere] hover:underline max-sm:text-right"
    >
      {job.name || job.id.slice(0, 10)}
    </Link>
  );
}

/** `columns` stand between the bounty and the time. */
export function RecentJobs({
  of = {},
  limit = 8,
  columns = [],
  empty,
}: {
  of?: JobsOf;
  limit?: number;
  columns?: readonly Column<JobSummary>[];
  empty: ReactNode;
}) {
  const m = useMessages(jobsMessages);
  const t = useT();
  const jobs = useNewestJobs(of, limit);
  if (jobs.isPending) {
    return (
      <div role="status" aria-label={t("state.loading")}>
        {Array.from({ length: Math.min(limit, 5) }, (_, row) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike.
          <div key={row} className="border-b border-line px-4 py-2.5 last:border-0">
            <Skeleton />
          </div>
        ))}
      </div>
    );
  }
  if (!jobs.data) {
    return (
      <div className="p-4">
        <ErrorState error={jobs.error} onRetry={() => jobs.refetch()} />
      </div>
    );
  }
  if (jobs.data.items.length === 0) return <div className="p-4">{empty}</div>;
  return (
    <Table<JobSummary>
      caption={m("caption")}
      rows={jobs.data.items}
      rowKey={({ id }) => id}
      columns={[
        { key: "job", title: m("job"), cell: (job) => <JobLink job={job} /> },
        { key: "state", title: m("state"), cell: ({ state }) => <StatusBadge status={JOB_STATUS[state]} /> },
        {
          key: "bounty",
          title: m("bounty"),
          numeric: true,
          cell: ({ bounty, token }) => <Money amount={bounty} token={token} />,
        },
        ...columns,
        {
          key: "created",
          title: m("created"),
          numeric: true,
          cell: ({ created_at_ms }) => <Ago ms={created_at_ms} />,
        },
      ]}
    />
  );
}
