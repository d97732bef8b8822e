"use client";
/** Nodes as a table: what each has, what it asks, how it has done. */

import { Money } from "@/components/money";
import { StatusBadge } from "@/components/ui/badge";
import { shortId } from "@/components/ui/copy";
import { type Column, Table } from "@/components/ui/table";
import { Ago } from "@/components/ui/time";
import type { NodeView } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { formatBytes } from "@/lib/quantity";
import { NODE_STATUS } from "@/lib/status";
import { COMPARE_MAX, type NodeFilters, type Sort } from "./filters";
import { formatCpus, gpuText } from "./format";
import { nodeMessages } from "./messages";
import { NodeLink } from "./node-link";
import { RuntimeWords } from "./runtime-words";

export function Accepted({ node }: { node: NodeView }) {
  const m = useMessages(nodeMessages);
  const finished = node.attempts_accepted + node.attempts_failed;
  if (finished === 0) return <span className="text-ink-soft">{m("noHistory")}</span>;
  return <>{m("acceptedOf", { accepted: node.attempts_accepted, finished })}</>;
}

export function NodeTable({
  nodes,
  filters,
  onChange,
}: {
  nodes: readonly NodeView[];
  filters: NodeFilters;
  onChange: (change: Partial<NodeFilters>) => void;
}) {
  const m = useMessages(nodeMessages);
  const sorted = (sort: Sort): NonNullable<Column<NodeView>["sort"]> => {
    const isCurrent = filters.sort === sort;
    return {
      order: isCurrent ? (filters.descending ? "descending" : "ascending") : "none",
      onSort: () => onChange({ sort, descending: isCurrent && !filters.descending }),
    };
  };
  const toggle = (id: string) => {
    const others = filters.compare.filter((other) => other !== id);
    onChange({ compare: others.length < filters.compare.length ? others : [...others, id] });
  };
  const isFull = filters.compare.length >= COMPARE_MAX;
  const columns: Column<NodeView>[] = [
    {
      key: "compare",
      title: m("compare"),
      cell: ({ id }) => {
        const isChosen = filters.compare.includes(id);
        return (
          <input
            type="checkbox"
            aria-label={m("compareNode", { node: shortId(id) })}
            checked={isChosen}
            disabled={!isChosen && isFull}
            onChange={() => toggle(id)}
            className="block size-4 accent-brand max-sm:size-6"
          />
        );
      },
    },
    { key: "node", title: m("node"), cell: ({ id }) => <NodeLink id={id} /> },
    {
      key: "gpu",
      title: m("gpu"),
      sort: sorted("gpu"),
      cell: ({ offer }) => (
        <span className="[overflow-wrap:anywhere] max-sm:text-right">
          {gpuText(offer) || <span className="text-ink-soft">{m("noGpu")}</span>}
        </span>
      ),
    },
    { key: "cpu", title: m("cpu"), numeric: true, cell: ({ offer }) => formatCpus(offer.cpu_millis) },
    {
      key: "memory",
      title: m("memory"),
      numeric: true,
      cell: ({ offer }) => formatBytes(offer.memory_bytes),
    },
    {
      key: "runtimes",
      title: m("runtimes"),
      cell: ({ offer }) => <RuntimeWords runtimes={offer.runtimes} />,
    },
    {
      key: "price",
      title: m("priceFloor"),
      numeric: true,
      sort: sorted("price"),
      cell: ({ offer }) => <Money amount={offer.price_floor} token={offer.token} />,
    },
    {
      key: "accepted",
      title: m("accepted"),
      numeric: true,
      sort: sorted("accepted"),
      cell: (node) => <Accepted node={node} />,
    },
    {
      key: "heard",
      title: m("heard"),
      numeric: true,
      sort: sorted("heard"),
      cell: ({ last_heard_at_ms }) => <Ago ms={last_heard_at_ms} />,
    },
    {
      key: "state",
      title: m("state"),
      sort: sorted("state"),
      cell: ({ state }) => <StatusBadge status={NODE_STATUS[state]} />,
    },
  ];
  return <Table caption={m("title")} rows={nodes} rowKey={({ id }) => id} columns={columns} />;
}
