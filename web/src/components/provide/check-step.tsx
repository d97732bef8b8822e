"use client";
/** What the node says of itself, before a wallet ties itself to it. */

import { useState } from "react";
import { useCoin } from "@/components/money";
import { Gpus, HardwareFacts, PriceFacts } from "@/components/node/offer-facts";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Notice } from "@/components/ui/notice";
import { useMessages } from "@/lib/i18n";
import { provideMessages } from "./messages";
import type { WaitingNode } from "./provider-data";

export function CheckStep({ waiting, onConfirm }: { waiting: WaitingNode; onConfirm: () => void }) {
  const m = useMessages(provideMessages);
  const { symbol } = useCoin();
  const [isAgreed, setIsAgreed] = useState(false);
  const { offer } = waiting;
  return (
    <>
      <div className="rounded-lg border border-line px-4 py-3">
        <p className="label">{m("node")}</p>
        <p className="mt-1 font-mono text-[13px] [overflow-wrap:anywhere]">{waiting.node}</p>
        <p className="mt-1.5 text-[13px] text-ink-soft">{m("compare")}</p>
      </div>
      <section className="flex flex-col gap-3">
        <h3 className="flex flex-wrap items-center gap-2 font-medium">
          {m("hardware")}
          <Badge tone="neutral">{`${m("measured")}: ${m("notMeasured")}`}</Badge>
        </h3>
        <Gpus offer={offer} />
        <HardwareFacts offer={offer} />
      </section>
      <section className="flex flex-col gap-3">
        <h3 className="font-medium">{m("price")}</h3>
        <PriceFacts offer={offer} />
        {offer.price_floor === "0" && <Notice tone="warn">{m("priceNone")}</Notice>}
        <p className="text-[13px] text-ink-soft">{m("priceHelp", { symbol })}</p>
      </section>
      <label className="flex cursor-pointer items-start gap-2.5">
        <input
          type="checkbox"
          className="mt-0.5 size-4 shrink-0 accent-brand"
          checked={isAgreed}
          onChange={(event) => setIsAgreed(event.target.checked)}
        />
        {m("confirm")}
      </label>
      <Button look="primary" className="self-start" disabled={!isAgreed} onClick={onConfirm}>
        {m("goOn")}
      </Button>
    </>
  );
}
