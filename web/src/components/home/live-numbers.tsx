"use client";
/** The market at a glance. Numbers that nobody has are left out, never made up. */

import type { ReactNode } from "react";
import { type MarketView, median, useMarket } from "@/components/market/market-data";
import { Money } from "@/components/money";
import { Skeleton } from "@/components/ui/empty";
import { Stat } from "@/components/ui/page";
import { useMessages } from "@/lib/i18n";
import { homeMessages } from "./messages";

/** Jobs settled on the day that the numbers are of, in UTC; nothing where that day has not been counted yet. */
export function settledToday(market: MarketView): number | undefined {
  return market.days.findLast(({ day_ms }) => day_ms <= market.as_of_ms)?.settled;
}

export function LiveNumbers() {
  const m = useMessages(homeMessages);
  const market = useMarket();
  const value = (show: (view: MarketView) => ReactNode): ReactNode => {
    if (market.data) return show(market.data) ?? m("none");
    return market.isError ? m("none") : <Skeleton className="my-1 h-5 w-16" />;
  };
  const price = (view: MarketView) => {
    const floors = view.classes.flatMap((one) =>
      one.price_floor_median ? [BigInt(one.price_floor_median)] : [],
    );
    const middle = median(floors);
    return middle === undefined ? undefined : <Money amount={middle} />;
  };
  const total = market.data?.nodes_total ?? 0;
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Stat
        label={m("nodesOnline")}
        value={value((view) => view.nodes_online)}
        note={m("ofTotal", { total })}
      />
      <Stat
        label={m("gpusFree")}
        value={value((view) => view.gpus_idle)}
        note={m("ofOnline", { online: market.data?.gpus_online ?? 0 })}
      />
      <Stat label={m("medianPrice")} value={value(price)} note={m("medianNote")} />
      <Stat label={m("settled")} value={value(settledToday)} note={m("settledNote")} />
    </div>
  );
}
