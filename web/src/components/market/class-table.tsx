"use client";
/** Price and capacity of each class of GPU. */

import Link from "next/link";
import { Money } from "@/components/money";
import { WITHOUT_GPU } from "@/components/node/filters";
import { Table } from "@/components/ui/table";
import { useMessages } from "@/lib/i18n";
import { formatBytes } from "@/lib/quantity";
import { type MarketClass, NO_GPU } from "./market-data";
import { marketMessages } from "./messages";

export function ClassTable({ classes }: { classes: readonly MarketClass[] }) {
  const m = useMessages(marketMessages);
  const amount = (value: string | null | undefined) =>
    value ? <Money amount={value} /> : <span className="text-ink-soft">{m("none")}</span>;
  return (
    <Table<MarketClass>
      caption={m("classes")}
      rows={classes}
      rowKey={({ model, vram_bytes }) => `${model} ${vram_bytes}`}
      columns={[
        {
          key: "model",
          title: m("model"),
          cell: ({ model }) => (
            <Link
              href={`/nodes/?gpu=${encodeURIComponent(model === NO_GPU ? WITHOUT_GPU : model)}`}
              className="font-medium underline-offset-2 [overflow-wrap:anywhere] hover:underline max-sm:text-right"
            >
              {model === NO_GPU ? m("noGpu") : model}
            </Link>
          ),
        },
        {
          key: "vram",
          title: m("vram"),
          numeric: true,
          cell: ({ model, vram_bytes }) => (model === NO_GPU ? m("none") : formatBytes(vram_bytes)),
        },
        {
          key: "free",
          title: m("free"),
          numeric: true,
          cell: ({ model, gpus_idle }) => (model === NO_GPU ? m("none") : gpus_idle),
        },
        {
          key: "online",
          title: m("online"),
          numeric: true,
          cell: ({ model, gpus_online, nodes_online }) => (model === NO_GPU ? nodes_online : gpus_online),
        },
        { key: "min", title: m("floorMin"), numeric: true, cell: (one) => amount(one.price_floor_min) },
        {
          key: "median",
          title: m("floorMedian"),
          numeric: true,
          cell: (one) => amount(one.price_floor_median),
        },
        { key: "paid", title: m("paidMedian"), numeric: true, cell: (one) => amount(one.paid_median) },
        { key: "settled", title: m("settled"), numeric: true, cell: ({ jobs_settled }) => jobs_settled },
      ]}
    />
  );
}
