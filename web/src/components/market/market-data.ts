/** The market's numbers, as the scheduler counts them from what it has stored. */

import { useQuery } from "@tanstack/react-query";
import type { Series } from "@/components/chart/series";
import { api, body, type Schemas } from "@/lib/api";

export type MarketView = Schemas["MarketView"];
export type MarketClass = Schemas["MarketClass"];
export type MarketDay = Schemas["MarketDay"];

export function useMarket() {
  return useQuery({
    queryKey: ["market"],
    queryFn: () => body(api.GET("/v1/market")),
    refetchInterval: 30_000,
    staleTime: 15_000,
  });
}

/** The class of nodes that have no GPU, as the scheduler names it. */
export const NO_GPU = "cpu";

/** What the middle one of these amounts is; nothing where there are none. Of two in the middle, the smaller. */
export function median(amounts: readonly bigint[]): bigint | undefined {
  const sorted = amounts.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

/** An amount as a number of coins, for a plot only: nothing that is paid is computed with it. */
export function plotted(amount: string, decimals: number): number {
  return Number(amount) / 10 ** decimals;
}

type Labels = Record<"created" | "settled" | "refunded", string>;

export function jobSeries(days: readonly MarketDay[], labels: Labels): Series[] {
  return [
    { key: "created", label: labels.created, tone: "soft", values: days.map((day) => day.created) },
    { key: "settled", label: labels.settled, tone: "brand", values: days.map((day) => day.settled) },
    { key: "refunded", label: labels.refunded, tone: "warn", values: days.map((day) => day.refunded) },
  ];
}

export function paidSeries(days: readonly MarketDay[], label: string, decimals: number): Series[] {
  const values = days.map(({ paid, settled }) => (settled === 0 ? 0 : plotted(paid, decimals)));
  return [
    {
      key: "paid",
      label,
      tone: "brand",
      values: days.some((day) => day.settled > 0) ? values : values.map(() => null),
    },
  ];
}

export function startSeries(days: readonly MarketDay[], labels: { median: string; p90: string }): Series[] {
  const seconds = (ms: number | null | undefined) => (ms === null || ms === undefined ? null : ms / 1000);
  return [
    {
      key: "median",
      label: labels.median,
      tone: "brand",
      values: days.map((day) => seconds(day.start_ms_median)),
    },
    { key: "p90", label: labels.p90, tone: "soft", values: days.map((day) => seconds(day.start_ms_p90)) },
  ];
}
