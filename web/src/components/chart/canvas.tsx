"use client";
/** The drawn plot. Brings uPlot with it, so `Chart` loads it when it is wanted. */

import { memo, useEffect, useRef } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type ChartShape, type Series, spreadLabels, TONE_VARIABLES } from "./series";

const FONT_PX = 12;
const LABEL_PX = 15;
const HALF_DAY = 43_200;

type Colours = { ink: string; line: string; of: (series: Series) => string };

function colours(element: HTMLElement): Colours {
  const style = getComputedStyle(element);
  const variable = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: variable("--ink-soft"),
    line: variable("--line"),
    of: ({ tone }) => variable(TONE_VARIABLES[tone]),
  };
}

/** Writes each line's name at its last point, instead of a legend that the eye has to travel to. */
function drawLabels(plot: UPlot, series: readonly Series[], palette: Colours, font: string): void {
  const ratio = devicePixelRatio;
  const ends = series.flatMap((one, index) => {
    const at = one.values.findLastIndex((value) => value !== null);
    const x = plot.data[0]?.[at];
    const value = one.values[at];
    if (x === undefined || value === null || value === undefined) return [];
    return [{ one, index, x: plot.valToPos(x, "x", true), y: plot.valToPos(value, "y", true) }];
  });
  const bottom = plot.bbox.top + plot.bbox.height;
  const placed = spreadLabels(
    ends.map(({ y }) => y),
    LABEL_PX * ratio,
    bottom,
  );
  const { ctx } = plot;
  ctx.save();
  ctx.font = `${FONT_PX * ratio}px ${font}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  ends.forEach(({ one }, index) => {
    ctx.fillStyle = palette.of(one);
    ctx.fillText(one.label, plot.bbox.left + plot.bbox.width + 8 * ratio, placed[index] ?? 0);
  });
  ctx.restore();
}

function options(
  element: HTMLElement,
  { series, shape, format, language, height }: Omit<CanvasProps, "days" | "onPoint">,
  width: number,
): UPlot.Options {
  const palette = colours(element);
  const font = getComputedStyle(element).fontFamily;
  const axis = {
    stroke: palette.ink,
    font: `${FONT_PX}px ${font}`,
    ticks: { show: false },
    grid: { stroke: palette.line, width: 1 },
  };
  const day = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: "UTC" });
  const longest = Math.max(...series.map(({ label }) => label.length));
  const bars = UPlot.paths.bars?.({ size: [0.7, 28], radius: 0.15 });
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { setScale: false } },
    // The names of one series alone would only repeat the heading.
    padding: [10, series.length > 1 ? longest * 6.6 + 16 : 12, 0, 0],
    tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: {
      // The first and the last bar stand around their days, so the plot reaches half a day further.
      x: {
        time: true,
        ...(shape === "bars" ? { range: (_plot, min, max) => [min - HALF_DAY, max + HALF_DAY] } : {}),
      },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 28,
        space: 64,
        values: (_plot, ticks) => ticks.map((seconds) => day.format(seconds * 1000)),
      },
      {
        ...axis,
        border: { show: false },
        size: (_plot, values) => 14 + Math.max(0, ...(values ?? []).map((value) => value.length)) * 7,
        values: (_plot, ticks) => ticks.map(format),
      },
    ],
    series: [
      {},
      ...series.map((one) => ({
        label: one.label,
        stroke: palette.of(one),
        width: 1.5,
        points: { show: one.values.filter((value) => value !== null).length === 1, size: 6 },
        ...(shape === "bars" ? { fill: palette.of(one), width: 0, ...(bars ? { paths: bars } : {}) } : {}),
      })),
    ],
    hooks: series.length > 1 ? { draw: [(plot) => drawLabels(plot, series, palette, font)] } : {},
  };
}

export type CanvasProps = {
  days: readonly number[];
  series: readonly Series[];
  shape: ChartShape;
  format: (value: number) => string;
  language: string;
  height: number;
  /** Told of the moment under the pointer, and of nothing when it leaves. */
  onPoint: (index: number | null) => void;
};

/** Drawn anew only where what it shows has changed: not with each move of the pointer. */
export const ChartCanvas = memo(function ChartCanvas(props: CanvasProps) {
  const { days, series, shape, format, language, height, onPoint } = props;
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    let plot: UPlot | undefined;
    const data = [
      days.map((day) => day / 1000),
      ...series.map(({ values }) => [...values]),
    ] as UPlot.AlignedData;
    const draw = () => {
      plot?.destroy();
      const drawing = { series, shape, format, language, height };
      const made = options(element, drawing, element.clientWidth);
      made.hooks = { ...made.hooks, setCursor: [(drawn) => onPoint(drawn.cursor.idx ?? null)] };
      plot = new UPlot(made, data, element);
    };
    draw();
    const resized = new ResizeObserver(() => {
      if (plot && plot.width !== element.clientWidth) plot.setSize({ width: element.clientWidth, height });
    });
    resized.observe(element);
    // A canvas does not follow the theme's variables by itself.
    const themed = new MutationObserver(draw);
    themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      resized.disconnect();
      themed.disconnect();
      plot?.destroy();
    };
  }, [days, series, shape, format, language, height, onPoint]);
  return <div ref={frame} className="w-full" style={{ height }} />;
});
