"use client";
/** What a provider earned, from which jobs, with which nodes, and what it has at stake. */

import { useMemo } from "react";
import type { Address } from "viem";
import { Chart, ChartSkeleton } from "@/components/chart/chart";
import { RecentJobs } from "@/components/home/recent-jobs";
import { Money, useCoin } from "@/components/money";
import { ButtonLink } from "@/components/ui/button";
import { shortId } from "@/components/ui/copy";
import { Empty, ErrorState, Skeleton } from "@/components/ui/empty";
import { Card, Facts, Page, Stat } from "@/components/ui/page";
import { useNow } from "@/components/ui/time";
import { WalletGate } from "@/components/wallet/wallet-gate";
import { useI18n, useMessages } from "@/lib/i18n";
import { NATIVE } from "@/lib/money";
import { dashboardMessages } from "./dashboard-messages";
import { earnedIn, earningsByDay, totalOf } from "./earnings";
import { MyNodes } from "./my-nodes";
import { PayoutAmount, PayoutReason } from "./payout";
import { type ProviderView, useProvider } from "./provider-data";
import { Stake, Withdrawable } from "./stake";

const DAYS = 30;

export function Dashboard() {
  const m = useMessages(dashboardMessages);
  return (
    <Page title={m("title")} lead={m("lead")} actions={<ButtonLink href="/provide/">{m("add")}</ButtonLink>}>
      <WalletGate why={m("gate")}>{(address) => <Mine provider={address} />}</WalletGate>
    </Page>
  );
}

function Mine({ provider }: { provider: Address }) {
  const m = useMessages(dashboardMessages);
  const view = useProvider(provider, DAYS);
  return (
    <div className="flex flex-col gap-4">
      {view.data ? (
        <Earned view={view.data} provider={provider} />
      ) : view.isError ? (
        <ErrorState error={view.error} onRetry={() => view.refetch()} />
      ) : (
        <LoadingEarned />
      )}
      <MyNodes provider={provider} />
      <Card title={m("jobs")} flush>
        <RecentJobs
          of={{ provider }}
          limit={20}
          empty={<Empty title={m("noJobs")}>{m("noJobsHelp")}</Empty>}
          columns={[
            {
              key: "payout",
              title: m("payout"),
              numeric: true,
              cell: (job) => <PayoutAmount job={job} provider={provider} />,
            },
            {
              key: "reason",
              title: m("reason"),
              cell: (job) => <PayoutReason job={job} provider={provider} />,
            },
          ]}
        />
      </Card>
      <Stake provider={provider} />
    </div>
  );
}

function Earned({ view, provider }: { view: ProviderView; provider: Address }) {
  const m = useMessages(dashboardMessages);
  const { language } = useI18n();
  const { symbol, decimals } = useCoin();
  const now = useNow(60_000);
  const day = now ? Math.floor(now / 86_400_000) : undefined;
  const chart = useMemo(() => {
    if (day === undefined) return undefined;
    const options = { days: DAYS, now: day * 86_400_000, decimals, label: m("earned") };
    return earningsByDay(view, NATIVE, options);
  }, [view, day, decimals, m]);
  const format = useMemo(() => {
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: 6 });
    return (value: number) => number.format(value);
  }, [language]);
  const earned = (days: number) => <Money amount={earnedIn(view, NATIVE, days, now)} />;
  const jobs = view.earned.find(({ token }) => token === NATIVE)?.jobs ?? 0;
  const others = view.earned.filter(({ token }) => token !== NATIVE);
  return (
    <>
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-5">
        <Stat label={m("today")} value={earned(1)} note={m("byUtc")} />
        <Stat label={m("week")} value={earned(7)} />
        <Stat label={m("month")} value={earned(30)} />
        <Stat
          label={m("total")}
          value={<Money amount={totalOf(view.earned, NATIVE)} />}
          note={m("jobsCount", { jobs })}
        />
        <Stat
          label={m("waiting")}
          value={<Money amount={totalOf(view.waiting, NATIVE)} />}
          note={m("waitingNote")}
        />
      </div>
      <div className="grid gap-4 lg:grid-cols-3">
        <div className="min-w-0 lg:col-span-2">
          {chart ? (
            <Chart
              title={m("chart", { symbol })}
              days={chart.days}
              series={chart.series}
              shape="bars"
              format={format}
            />
          ) : (
            <ChartSkeleton />
          )}
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          <Withdrawable provider={provider} />
          {others.length > 0 && (
            <Card title={m("otherTokens")}>
              <Facts
                items={others.map(({ token, amount, jobs: count }) => [
                  shortId(token),
                  `${amount} (${m("jobsCount", { jobs: count })})`,
                ])}
              />
            </Card>
          )}
        </div>
      </div>
    </>
  );
}

function LoadingEarned() {
  return (
    <>
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-5">
        {["today", "week", "month", "total", "waiting"].map((key) => (
          <Skeleton key={key} className="h-[100px] w-full" />
        ))}
      </div>
      <ChartSkeleton />
    </>
  );
}
