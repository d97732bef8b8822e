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
import { Notice } from "@/components/ui/notice";
import { Card, Facts, Page, Stat } from "@/components/ui/page";
import { useNow } from "@/components/ui/time";
import { WalletGate } from "@/components/wallet/wallet-gate";
import { useI18n, useMessages } from "@/lib/i18n";
import { NATIVE } from "@/lib/money";
import { dashboardMessages } from "./dashboard-messages";
import { DAY_MS, earnedIn, earningsByDay, totalOf } from "./earnings";
import { MyNodes } from "./my-nodes";
import { PayoutAmount, PayoutReason } from "./payout";
import { type ProviderView, useProvider } from "./provider-data";
import { Stake, Withdrawable } from "./stake";

/** As far back as the scheduler tells. */
const DAYS = 365;
const CHART_DAYS = 30;

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
      {view.data ? <Sums view={view.data} /> : view.isPending && <LoadingSums />}
      <div className="grid items-start gap-4 lg:grid-cols-3">
        <div className="min-w-0 lg:col-span-2">
          {view.data ? (
            <EarningsChart view={view.data} />
          ) : view.isError ? (
            <ErrorState error={view.error} onRetry={() => view.refetch()} />
          ) : (
            <ChartSkeleton />
          )}
        </div>
        {/* Read from the chain: the way to one's money does not depend on the scheduler. */}
        <div className="flex min-w-0 flex-col gap-4">
          <Withdrawable provider={provider} />
          {view.data && <OtherTokens view={view.data} />}
        </div>
      </div>
      {view.data?.truncated && <Notice tone="info">{m("truncated")}</Notice>}
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

function Sums({ view }: { view: ProviderView }) {
  const m = useMessages(dashboardMessages);
  const now = useNow(60_000);
  const earned = (days: number) => <Money amount={earnedIn(view, NATIVE, days, now)} />;
  const jobs = view.earned.find(({ token }) => token === NATIVE)?.jobs ?? 0;
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-5">
      <Stat label={m("today")} value={earned(1)} note={m("byUtc")} />
      <Stat label={m("week")} value={earned(7)} />
      <Stat label={m("month")} value={earned(30)} />
      <Stat
        label={m("year")}
        value={<Money amount={totalOf(view.earned, NATIVE)} />}
        note={m("jobsCount", { jobs })}
      />
      <Stat
        label={m("waiting")}
        value={<Money amount={totalOf(view.waiting, NATIVE)} />}
        note={m("waitingNote")}
      />
    </div>
  );
}

function EarningsChart({ view }: { view: ProviderView }) {
  const m = useMessages(dashboardMessages);
  const { language } = useI18n();
  const { symbol, decimals } = useCoin();
  const now = useNow(60_000);
  const today = now ? Math.floor(now / DAY_MS) * DAY_MS : undefined;
  const chart = useMemo(() => {
    if (today === undefined) return undefined;
    const options = { days: CHART_DAYS, now: today, decimals, label: m("earned") };
    return earningsByDay(view, NATIVE, options);
  }, [view, today, decimals, m]);
  const format = useMemo(() => {
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: 6 });
    return (value: number) => number.format(value);
  }, [language]);
  if (!chart) return <ChartSkeleton />;
  const title = m("chart", { symbol });
  return <Chart title={title} days={chart.days} series={chart.series} shape="bars" format={format} />;
}

function OtherTokens({ view }: { view: ProviderView }) {
  const m = useMessages(dashboardMessages);
  const others = view.earned.filter(({ token }) => token !== NATIVE);
  if (others.length === 0) return null;
  return (
    <Card title={m("otherTokens")}>
      <Facts
        items={others.map(({ token, amount, jobs }) => [
          shortId(token),
          `${amount} (${m("jobsCount", { jobs })})`,
        ])}
      />
    </Card>
  );
}

function LoadingSums() {
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-5">
      {["today", "week", "month", "year", "waiting"].map((key) => (
        <Skeleton key={key} className="h-[100px] w-full" />
      ))}
    </div>
  );
}
