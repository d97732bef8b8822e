"use client";
/** The market in numbers: price, capacity, volume, and time to start. */

import { useMemo } from "react";
import { Bars } from "@/components/chart/bars";
import { Chart, ChartSkeleton } from "@/components/chart/chart";
import { Money, useCoin } from "@/components/money";
import { ButtonLink } from "@/components/ui/button";
import { Empty, ErrorState, Skeleton } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Card, Page, Stat } from "@/components/ui/page";
import { Ago } from "@/components/ui/time";
import { useI18n, useMessages } from "@/lib/i18n";
import { formatBytes } from "@/lib/quantity";
import { ClassTable } from "./class-table";
import {
  jobSeries,
  type MarketView,
  NO_GPU,
  paidSeries,
  plotted,
  startSeries,
  useMarket,
} from "./market-data";
import { marketMessages } from "./messages";

export function MarketPage() {
  const m = useMessages(marketMessages);
  const market = useMarket();
  return (
    <Page
      title={m("title")}
      lead={m("lead")}
      actions={
        <>
          <ButtonLink href="/nodes/">{m("nodes")}</ButtonLink>
          <ButtonLink href="/submit/" look="primary">
            {m("submit")}
          </ButtonLink>
        </>
      }
    >
      {market.data ? (
        <Numbers market={market.data} />
      ) : market.isError ? (
        <ErrorState error={market.error} onRetry={() => market.refetch()} />
      ) : (
        <Loading />
      )}
    </Page>
  );
}

function Numbers({ market }: { market: MarketView }) {
  const m = useMessages(marketMessages);
  const { language } = useI18n();
  const { symbol, decimals } = useCoin();
  const { days, classes } = market;
  const moments = useMemo(() => days.map(({ day_ms }) => day_ms), [days]);
  const jobs = useMemo(
    () => jobSeries(days, { created: m("created"), settled: m("settledJobs"), refunded: m("refunded") }),
    [days, m],
  );
  const paid = useMemo(() => paidSeries(days, m("paid"), decimals), [days, m, decimals]);
  const start = useMemo(() => startSeries(days, { median: m("median"), p90: m("p90") }), [days, m]);
  const formats = useMemo(() => {
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: 6 });
    const short = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
    return {
      count: (value: number) => (Number.isInteger(value) ? number.format(value) : ""),
      coins: (value: number) => number.format(value),
      seconds: (value: number) =>
        value < 120
          ? m("seconds", { seconds: short.format(value) })
          : value < 7200
            ? m("minutes", { minutes: short.format(value / 60) })
            : m("hours", { hours: short.format(value / 3600) }),
    };
  }, [language, m]);
  const named = classes.map((one) => ({
    ...one,
    name: one.model === NO_GPU ? m("noGpu") : `${one.model}, ${formatBytes(one.vram_bytes)}`,
  }));
  const priceBars = named.flatMap(({ name, price_floor_median: floor }) =>
    floor ? [{ name, value: plotted(floor, decimals), text: <Money amount={floor} /> }] : [],
  );
  const capacityBars = named
    .filter(({ model }) => model !== NO_GPU)
    .map(({ name, gpus_idle: free, gpus_online: online }) => ({
      name,
      value: online,
      part: free,
      text: m("freeOf", { free, online }),
    }));
  return (
    <div className="flex flex-col gap-4">
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Stat
          label={m("nodesOnline")}
          value={market.nodes_online}
          note={m("ofTotal", { total: market.nodes_total })}
        />
        <Stat
          label={m("gpusFree")}
          value={market.gpus_idle}
          note={m("ofOnline", { online: market.gpus_online })}
        />
        <Stat label={m("waiting")} value={market.waiting_jobs} />
        <Stat label={m("running")} value={market.running_jobs} />
      </div>
      <Card title={m("classes")} flush>
        {classes.length > 0 ? (
          <ClassTable classes={classes} />
        ) : (
          <div className="p-4">
            <Empty title={m("noClasses")}>{m("noClassesHelp")}</Empty>
          </div>
        )}
      </Card>
      <div className="grid gap-4 lg:grid-cols-2">
        <Card title={m("prices")}>
          <Bars bars={priceBars} empty={m("noBars")} />
        </Card>
        <Card title={m("capacity")}>
          <Bars bars={capacityBars} empty={m("noBars")} />
        </Card>
        <Chart title={m("jobs")} days={moments} series={jobs} format={formats.count} />
        <Chart
          title={m("volume", { symbol })}
          days={moments}
          series={paid}
          shape="bars"
          format={formats.coins}
        />
        <div className="min-w-0 lg:col-span-2">
          <Chart title={m("start")} days={moments} series={start} format={formats.seconds} />
        </div>
      </div>
      {market.truncated && <Notice tone="info">{m("truncated")}</Notice>}
      <p className="text-[13px] text-ink-soft">
        {m("asOf")} <Ago ms={market.as_of_ms} />
      </p>
    </div>
  );
}

function Loading() {
  return (
    <div className="flex flex-col gap-4">
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        {["nodes", "gpus", "waiting", "running"].map((key) => (
          <Skeleton key={key} className="h-[100px] w-full" />
        ))}
      </div>
      <Skeleton className="h-52 w-full" />
      <div className="grid gap-4 lg:grid-cols-2">
        <ChartSkeleton />
        <ChartSkeleton />
      </div>
    </div>
  );
}
