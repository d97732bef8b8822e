/** What a plot shows: moments along the bottom, one or more lines of numbers over them. */

export type ChartTone = "brand" | "good" | "warn" | "soft";

export type Series = {
  key: string;
  /** Stands at the end of the line, and heads the column of the table. */
  label: string;
  tone: ChartTone;
  /** One number for each moment; nothing where there is no data, which leaves a gap. */
  values: readonly (number | null)[];
};

export type ChartShape = "line" | "bars";

/** The colours of a plot, as the theme has them. */
export const TONE_VARIABLES: Record<ChartTone, string> = {
  brand: "--brand",
  good: "--good",
  warn: "--warn",
  soft: "--ink-soft",
};

/** Whether there is anything to plot at all. */
export function hasData(series: readonly Series[]): boolean {
  return series.some(({ values }) => values.some((value) => value !== null));
}

/**
 * Where the labels at the ends of lines stand: each at its line's last value, moved down as far as needed so that none
 * covers another. Positions are pixels from the top, in the order of `wanted`.
 */
export function spreadLabels(wanted: readonly number[], heightPx: number, bottomPx: number): number[] {
  const order = wanted.map((at, index) => ({ at, index })).sort((a, b) => a.at - b.at);
  let last = Number.NEGATIVE_INFINITY;
  for (const label of order) {
    label.at = Math.max(label.at, last + heightPx);
    last = label.at;
  }
  // What ran out of the plot at the bottom pushes the others up again.
  let limit = bottomPx;
  for (const label of order.toReversed()) {
    label.at = Math.min(label.at, limit);
    limit = label.at - heightPx;
  }
  const placed = new Array<number>(wanted.length);
  for (const { at, index } of order) placed[index] = at;
  return placed;
}
