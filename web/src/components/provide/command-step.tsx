"use client";
/** The one command, and the nodes that came of it. */

import { gpuText } from "@/components/node/format";
import { nodeMessages } from "@/components/node/messages";
import { Button, Spinner } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy";
import { ErrorState } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Ago } from "@/components/ui/time";
import { API_URL } from "@/lib/config";
import { useMessages } from "@/lib/i18n";
import { provideMessages } from "./messages";
import { useWaitingNodes, type WaitingNode } from "./provider-data";
import { joinCommand } from "./steps";

export function CommandStep({ wallet, onChoose }: { wallet: string; onChoose: (node: string) => void }) {
  const m = useMessages(provideMessages);
  const waiting = useWaitingNodes({ provider: wallet });
  const command = joinCommand(API_URL || window.location.origin, wallet);
  return (
    <>
      <p className="text-ink-soft">{m("commandLead")}</p>
      <div className="flex flex-wrap items-start gap-2 rounded-lg border border-line bg-raised p-3">
        <code className="min-w-0 flex-1 basis-64 self-center font-mono text-[13px] leading-5 [overflow-wrap:anywhere]">
          {command}
        </code>
        <CopyButton text={command} />
      </div>
      <p className="text-[13px] text-ink-soft">
        {m("commandTrust")} <code className="font-mono whitespace-nowrap">--rpc https://…</code>
      </p>
      {waiting.isError ? (
        <ErrorState error={waiting.error} onRetry={() => waiting.refetch()} />
      ) : waiting.data && waiting.data.length > 0 ? (
        <WaitingList nodes={waiting.data} onChoose={onChoose} />
      ) : (
        <p
          role="status"
          className="flex items-center gap-2.5 rounded-lg border border-dashed border-line px-4 py-3"
        >
          <Spinner /> {m("waiting")}
        </p>
      )}
    </>
  );
}

function WaitingList({
  nodes,
  onChoose,
}: {
  nodes: readonly WaitingNode[];
  onChoose: (node: string) => void;
}) {
  const m = useMessages(provideMessages);
  const n = useMessages(nodeMessages);
  return (
    <section aria-live="polite" aria-label={m("found")} className="flex flex-col gap-2">
      <h3 className="label">{m("found")}</h3>
      <ul className="divide-y divide-line rounded-lg border border-line">
        {nodes.map(({ node, offer, seen_at_ms }) => (
          <li key={node} className="flex flex-wrap items-center justify-between gap-3 px-4 py-3">
            <span className="min-w-0">
              <span className="block font-mono text-[13px] [overflow-wrap:anywhere]">{node}</span>
              <span className="text-[13px] text-ink-soft [overflow-wrap:anywhere]">
                {gpuText(offer) || n("noGpu")} · {m("seen")} <Ago ms={seen_at_ms} />
              </span>
            </span>
            <Button look="primary" onClick={() => onChoose(node)}>
              {m("choose")}
            </Button>
          </li>
        ))}
      </ul>
      <Notice tone="warn">{m("compare")}</Notice>
    </section>
  );
}
