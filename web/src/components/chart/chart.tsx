"use client";
/** A plot with its twin: the same numbers as a table, for everyone who cannot or would not read a picture. */

import dynamic from "next/dynamic";
import { useState } from "react";
import { Button } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/empty";
import { Card } from "@/components/ui/page";
import { Table } from "@/components/ui/table";
import { useI18n, useMessages } from "@/lib/i18n";
import { chartMessages } from "./messages";
import { type ChartShape, hasData, type Series } from "./series";

const HEIGHT_PX = 220;

const ChartCanvas = dynamic(() => import("./canvas").then((module) => module.ChartCanvas), {
  ssr: false,
  loading: () => <ChartSkeleton />,
});

export function ChartSkeleton() {
  return (
    <div style={{ height: HEIGHT_PX }}>
      <Skeleton className="h-full w-full" />
    </div>
  );
}

export function Chart({
  title,
  days,
  series,
  shape = "line",
  format,
}: {
  title: string;
  /** The beginnings of days, in unix milliseconds. */
  days: readonly number[];
  series: readonly Series[];
  shape?: ChartShape;
  format: (value: number) => string;
}) {
  const { language, t } = useI18n();
  const m = useMessages(chartMessages);
  const [isTable, setIsTable] = useState(false);
  const [point, setPoint] = useState<number | null>(null);
  const day = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
  const written = (value: number | null | undefined) =>
    value === null || value === undefined ? m("none") : format(value);
  const at = point === null ? undefined : days[point];
  const isEmpty = !hasData(series);
  return (
    <Card
      title={title}
      action={
        !isEmpty && (
          <Button
            size="sm"
            look="quiet"
            className="-mr-2.5"
            aria-pressed={isTable}
            onClick={() => setIsTable(!isTable)}
          >
            {t(isTable ? "chart.plot" : "chart.table")}
          </Button>
        )
      }
    >
      {isEmpty ? (
        <div
          className="flex flex-col items-center justify-center gap-1 text-center"
          style={{ height: HEIGHT_PX + 24 }}
        >
          <p className="font-medium">{m("empty")}</p>
          <p className="text-ink-soft">{m("emptyHelp")}</p>
        </div>
      ) : isTable ? (
        <section
          className="-mx-4 overflow-y-auto sm:-mx-5"
          style={{ height: HEIGHT_PX + 24 }}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
          tabIndex={0}
          aria-label={title}
        >
          <Table
            caption={title}
            rows={days.map((ms, index) => ({ ms, index })).toReversed()}
            rowKey={({ ms }) => String(ms)}
            columns={[
              { key: "day", title: m("day"), cell: ({ ms }) => day.format(ms) },
              ...series.map((one) => ({
                key: one.key,
                title: one.label,
                numeric: true,
                cell: ({ index }: { index: number }) => written(one.values[index]),
              })),
            ]}
          />
        </section>
      ) : (
        <div aria-hidden="true">
          <ChartCanvas
            days={days}
            series={series}
            shape={shape}
            format={format}
            language={language}
            height={HEIGHT_PX}
            onPoint={setPoint}
          />
          {/* Always there, so that nothing moves when the pointer comes. */}
          <p className="mt-1 flex h-5 flex-wrap gap-x-3 overflow-hidden text-[13px] text-ink-soft">
            {at !== undefined && (
              <>
                <span>{day.format(at)}</span>
                {series.map((one) => (
                  <span key={one.key}>
                    {one.label} <span className="text-ink">{written(one.values[point ?? 0])}</span>
                  </span>
                ))}
              </>
            )}
          </p>
        </div>
      )}
    </Card>
  );
}
