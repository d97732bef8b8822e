"use client";
/** The nodes that had a job, one try each, and how each try ended. */

import Link from "next/link";
import { StatusBadge } from "@/components/ui/badge";
import { shortId } from "@/components/ui/copy";
import { Card } from "@/components/ui/page";
import { type Column, Table } from "@/components/ui/table";
import { Ago, useNow } from "@/components/ui/time";
import type { AttemptView } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { ATTEMPT_STATUS } from "@/lib/status";
import { formatDuration } from "@/lib/time";
import { jobMessages } from "./messages";

export function AttemptsCard({ attempts }: { attempts: readonly AttemptView[] }) {
  const t = useMessages(jobMessages);
  const now = useNow();
  const columns: Column<AttemptView>[] = [
    { key: "number", title: t("attempt"), cell: ({ number }) => number },
    {
      key: "node",
      title: t("node"),
      cell: ({ node }) => (
        <Link href={`/node/?id=${node}`} title={node} className="font-mono text-brand hover:underline">
          {shortId(node)}
        </Link>
      ),
    },
    { key: "state", title: t("state"), cell: ({ state }) => <StatusBadge status={ATTEMPT_STATUS[state]} /> },
    { key: "began", title: t("began"), cell: ({ assigned_at_ms }) => <Ago ms={assigned_at_ms} /> },
    {
      key: "took",
      title: t("took"),
      numeric: true,
      cell: ({ assigned_at_ms: from, ended_at_ms: to }) =>
        now ? formatDuration(Math.max(0, ((to ?? now) - from) / 1000)) : "…",
    },
    {
      key: "reason",
      title: t("reason"),
      cell: ({ reason }) => <span className="[overflow-wrap:anywhere]">{reason ?? "–"}</span>,
    },
  ];
  return (
    <Card title={t("attempts")} flush>
      {attempts.length > 0 ? (
        <Table
          columns={columns}
          rows={attempts}
          rowKey={({ number }) => String(number)}
          caption={t("attempts")}
        />
      ) : (
        <p className="px-4 py-4 text-ink-soft sm:px-5">{t("noAttempts")}</p>
      )}
    </Card>
  );
}
