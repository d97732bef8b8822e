"use client";
/** A job at a glance: what happened, why it waits, its attempts and its money. */

import dynamic from "next/dynamic";
import { Skeleton } from "@/components/ui/empty";
import type { JobView } from "@/lib/api";
import type { JobEvent } from "@/lib/events";
import { AttemptsCard } from "./attempts-card";
import type { ChainJob } from "./chain-job";
import { StartBar } from "./start-bar";
import { Timeline } from "./timeline";
import { TransactionsCard } from "./transactions-card";

const MoneyCard = dynamic(() => import("./money-card").then((module) => module.MoneyCard), {
  ssr: false,
  loading: () => <Skeleton className="h-72 w-full rounded-xl" />,
});
const WaitingCard = dynamic(() => import("./waiting-card").then((module) => module.WaitingCard), {
  ssr: false,
  loading: () => <Skeleton className="h-40 w-full" />,
});

export function Overview({
  job,
  events,
  live,
  chainJob,
  isChainFailed,
}: {
  job: JobView;
  events: readonly JobEvent[];
  live: boolean;
  chainJob: ChainJob | undefined;
  isChainFailed: boolean;
}) {
  return (
    <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_380px]">
      <div className="flex min-w-0 flex-col gap-4">
        {job.state === "queued" && <WaitingCard id={job.id} />}
        <StartBar events={events} />
        <Timeline job={job} events={events} live={live} />
        <AttemptsCard attempts={job.attempts} />
        <TransactionsCard transactions={job.transactions} />
      </div>
      <MoneyCard chainJob={chainJob} job={job} isFailed={isChainFailed} />
    </div>
  );
}
