"use client";
/** What a node offers and asks, fact by fact. Used on a node's page and before a wallet enrolls it. */

import { Cpu } from "lucide-react";
import { Money, useCoin } from "@/components/money";
import { shortId } from "@/components/ui/copy";
import { Facts } from "@/components/ui/page";
import { useMessages } from "@/lib/i18n";
import { NATIVE } from "@/lib/money";
import { formatBytes } from "@/lib/quantity";
import { formatDuration } from "@/lib/time";
import { formatCpus, gpuGroups, type Offer } from "./format";
import { nodeMessages } from "./messages";
import { RuntimeWords } from "./runtime-words";

/** One card for each kind of GPU. */
export function Gpus({ offer }: { offer: Offer }) {
  const m = useMessages(nodeMessages);
  const groups = gpuGroups(offer);
  if (groups.length === 0) return <p className="text-ink-soft">{m("noGpu")}</p>;
  return (
    <ul className="grid gap-2 sm:grid-cols-2">
      {groups.map(({ model, vramBytes, count }) => (
        <li
          key={`${model} ${vramBytes}`}
          className="flex items-start gap-3 rounded-lg border border-line px-3 py-2.5"
        >
          <Cpu className="mt-0.5 size-4 shrink-0 text-ink-soft" aria-hidden="true" />
          <span className="min-w-0">
            <span className="block font-medium [overflow-wrap:anywhere]">{model}</span>
            <span className="text-[13px] text-ink-soft">
              {count} × {formatBytes(vramBytes)}
            </span>
          </span>
        </li>
      ))}
    </ul>
  );
}

export function HardwareFacts({ offer }: { offer: Offer }) {
  const m = useMessages(nodeMessages);
  return (
    <Facts
      items={[
        [m("cpu"), formatCpus(offer.cpu_millis)],
        [m("memory"), formatBytes(offer.memory_bytes)],
        [m("disk"), formatBytes(offer.disk_bytes)],
        [m("runtimes"), <RuntimeWords key="runtimes" runtimes={offer.runtimes} />],
      ]}
    />
  );
}

export function PriceFacts({ offer }: { offer: Offer }) {
  const m = useMessages(nodeMessages);
  const coin = useCoin();
  const bondMax = offer.bond_max ?? "0";
  return (
    <Facts
      items={[
        [m("priceFloor"), <Money key="price" amount={offer.price_floor} token={offer.token} />],
        [
          m("token"),
          offer.token === NATIVE ? m("nativeCoin", { symbol: coin.symbol }) : shortId(offer.token),
        ],
        [m("maxRun"), formatDuration(offer.max_run_seconds)],
        [m("logMax"), formatBytes(offer.log_bytes_max)],
        [
          m("bondMax"),
          bondMax === "0" ? m("noBond") : <Money key="bond" amount={bondMax} token={offer.token} />,
        ],
      ]}
    />
  );
}
