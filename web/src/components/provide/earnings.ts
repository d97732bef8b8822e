/** Earnings by day, as sums and as what a plot shows. Amounts stay integers until they are drawn. */

import type { Series } from "@/components/chart/series";
import { plotted } from "@/components/market/market-data";
import type { ProviderView } from "./provider-data";

export const DAY_MS = 86_400_000;

/** What was earned in one token on the last `days` days, the day of `now` among them. Days are those of UTC. */
export function earnedIn(view: ProviderView, token: string, days: number, now: number): bigint {
  const since = (Math.floor(now / DAY_MS) - days + 1) * DAY_MS;
  return view.days
    .filter((day) => day.token === token && day.day_ms >= since)
    .reduce((sum, { amount }) => sum + BigInt(amount), 0n);
}

export function totalOf(amounts: readonly { token: string; amount: string }[], token: string): bigint {
  return amounts.filter((one) => one.token === token).reduce((sum, { amount }) => sum + BigInt(amount), 0n);
}

/** Every day of the time, also those without earnings, which the scheduler leaves out. */
export function earningsByDay(
  view: ProviderView,
  token: string,
  { days, now, decimals, label }: { days: number; now: number; decimals: number; label: string },
): { days: number[]; series: Series[] } {
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  const moments = Array.from({ length: days }, (_, index) => today - (days - 1 - index) * DAY_MS);
  const byDay = new Map(
    view.days.filter((day) => day.token === token).map((day) => [day.day_ms, day.amount]),
  );
  const isEmpty = !moments.some((day) => byDay.has(day));
  const values = moments.map((day) => (isEmpty ? null : plotted(byDay.get(day) ?? "0", decimals)));
  return { days: moments, series: [{ key: "earned", label, tone: "brand", values }] };
}
