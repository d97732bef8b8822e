"use client";
/** The node makes its offer by itself; this waits for it, and says what to do where it does not come. */

import type { ReactNode } from "react";
import { ButtonLink, Spinner } from "@/components/ui/button";
import { Notice } from "@/components/ui/notice";
import type { NodeView } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { provideMessages } from "./messages";

export function OnlineStep({ view }: { view: NodeView | undefined }) {
  const m = useMessages(provideMessages);
  if (view) return <Notice tone="warn">{m("onlineSilent")}</Notice>;
  return (
    <p
      role="status"
      className="flex items-center gap-2.5 rounded-lg border border-dashed border-line px-4 py-3"
    >
      <Spinner /> {m("onlineWaiting")}
    </p>
  );
}

export function OnlineDone({ node, onMore }: { node: string; onMore: ReactNode }) {
  const m = useMessages(provideMessages);
  return (
    <Notice tone="good" live title={m("onlineDone")}>
      <span className="mt-2 flex flex-wrap gap-2">
        <ButtonLink href="/provide/dashboard/" look="primary">
          {m("toDashboard")}
        </ButtonLink>
        <ButtonLink href={`/node/?id=${node}`}>{m("toNode")}</ButtonLink>
        {onMore}
      </span>
    </Notice>
  );
}
