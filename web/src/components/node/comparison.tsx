"use client";
/** Up to four nodes side by side, one line for each thing that differs between nodes. */

import type { ReactNode } from "react";
import { Money } from "@/components/money";
import { StatusBadge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/page";
import type { NodeView } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { formatBytes } from "@/lib/quantity";
import { NODE_STATUS } from "@/lib/status";
import { formatDuration } from "@/lib/time";
import { formatCpus, gpuText } from "./format";
import { nodeMessages } from "./messages";
import { NodeLink } from "./node-link";
import { Accepted } from "./node-table";
import { RuntimeWords } from "./runtime-words";

export function Comparison({ nodes, onClear }: { nodes: readonly NodeView[]; onClear: () => void }) {
  const m = useMessages(nodeMessages);
  const lines: [string, (node: NodeView) => ReactNode][] = [
    [m("state"), ({ state }) => <StatusBadge status={NODE_STATUS[state]} />],
    [m("gpu"), ({ offer }) => gpuText(offer) || m("noGpu")],
    [m("cpu"), ({ offer }) => formatCpus(offer.cpu_millis)],
    [m("memory"), ({ offer }) => formatBytes(offer.memory_bytes)],
    [m("disk"), ({ offer }) => formatBytes(offer.disk_bytes)],
    [m("runtimes"), ({ offer }) => <RuntimeWords runtimes={offer.runtimes} />],
    [m("priceFloor"), ({ offer }) => <Money amount={offer.price_floor} token={offer.token} />],
    [m("maxRun"), ({ offer }) => formatDuration(offer.max_run_seconds)],
    [m("accepted"), (node) => <Accepted node={node} />],
  ];
  return (
    <Card
      title={m("compareTitle")}
      flush
      action={
        <Button size="sm" look="quiet" onClick={onClear}>
          {m("compareClear")}
        </Button>
      }
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      <section className="overflow-x-auto" tabIndex={0} aria-label={m("compareTitle")}>
        <table className="w-full min-w-max border-collapse text-[13px]">
          <caption className="sr-only">{m("compareTitle")}</caption>
          <thead>
            <tr className="border-b border-line">
              <td />
              {nodes.map(({ id }) => (
                <th key={id} scope="col" className="px-4 py-2 text-left font-normal">
                  <NodeLink id={id} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lines.map(([name, cell]) => (
              <tr key={name} className="border-b border-line last:border-0">
                <th scope="row" className="label px-4 py-2 text-left font-medium whitespace-nowrap">
                  {name}
                </th>
                {nodes.map((node) => (
                  <td key={node.id} className="max-w-64 px-4 py-2 [overflow-wrap:anywhere]">
                    {cell(node)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Card>
  );
}
