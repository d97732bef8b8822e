"use client";
/** What the scheduler sent to the chain for a job. */

import { TxId } from "@/components/explorer";
import { Card } from "@/components/ui/page";
import { type Column, Table } from "@/components/ui/table";
import type { Schemas } from "@/lib/api";
import { useI18n, useMessages } from "@/lib/i18n";
import { jobMessages } from "./messages";

type Transaction = Schemas["TransactionView"] & { at: number };

export function TransactionsCard({ transactions }: { transactions: readonly Schemas["TransactionView"][] }) {
  const t = useMessages(jobMessages);
  const { language } = useI18n();
  if (transactions.length === 0) return null;
  const columns: Column<Transaction>[] = [
    { key: "kind", title: t("kind"), cell: ({ kind }) => kind.replaceAll("_", " ") },
    { key: "state", title: t("state"), cell: ({ state }) => state },
    {
      key: "hash",
      title: t("transaction"),
      cell: ({ hash }) =>
        hash ? <TxId value={hash} /> : <span className="text-ink-soft">{t("notSent")}</span>,
    },
    {
      key: "gas",
      title: t("gasUsed"),
      numeric: true,
      cell: ({ gas_used }) => gas_used?.toLocaleString(language) ?? "–",
    },
  ];
  return (
    <Card title={t("transactions")} flush>
      <Table
        columns={columns}
        rows={transactions.map((transaction, at) => ({ ...transaction, at }))}
        rowKey={({ at }) => String(at)}
        caption={t("transactions")}
      />
    </Card>
  );
}
