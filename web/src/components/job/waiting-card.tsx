"use client";
/** Why a job waits, and what would help: which conditions remove how many nodes. */

import { useQuery } from "@tanstack/react-query";
import { Skeleton } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Card } from "@/components/ui/page";
import { api, body } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { jobMessages } from "./messages";

export function WaitingCard({ id }: { id: string }) {
  const t = useMessages(jobMessages);
  const explanation = useQuery({
    queryKey: ["job", id, "explain"],
    queryFn: () => body(api.GET("/v1/jobs/{id}/explain", { params: { path: { id } } })),
    refetchInterval: 5000,
  });
  const found = explanation.data;
  if (!found) {
    // A job that is not explained still has its sentence in the head of the page.
    return explanation.isError ? null : <Skeleton className="h-40 w-full" />;
  }
  const { nodes_total: total, nodes_matching: matching, removed, suggestion, summary } = found;
  return (
    <Card
      title={t("whyWaiting")}
      action={<span className="text-[13px] text-ink-soft">{t("nodesMatch", { matching, total })}</span>}
    >
      <p>{summary}</p>
      {removed.length > 0 && (
        <>
          <h3 className="label mt-4 mb-2">{t("removedBy")}</h3>
          <ul className="flex flex-col gap-2 text-[13px]">
            {removed.map(({ constraint, nodes }) => (
              <li key={constraint} className="grid grid-cols-[140px_minmax(0,1fr)_40px] items-center gap-3">
                <span className="truncate">{constraint.replaceAll("_", " ")}</span>
                <span className="h-2 rounded-full bg-sunken" aria-hidden="true">
                  <span
                    className="block h-2 rounded-full bg-warn"
                    style={{ width: `${total > 0 ? (100 * nodes) / total : 0}%` }}
                  />
                </span>
                <span className="text-right">{nodes}</span>
              </li>
            ))}
          </ul>
        </>
      )}
      {suggestion && (
        <div className="mt-4">
          <Notice tone="info" title={t("wouldHelp")}>
            {suggestion}
          </Notice>
        </div>
      )}
    </Card>
  );
}
