"use client";
/** The page on which anybody checks a receipt: of a job by its id, or from a file. */

import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "next/navigation";
import { useState } from "react";
import { useConfig } from "@/components/deployment";
import { Button } from "@/components/ui/button";
import { Empty, ErrorState, LoadingRows } from "@/components/ui/empty";
import { api, body } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { type Proof, proofOf } from "@/lib/verify";
import { receiptMessages } from "./messages";
import { ReceiptForm } from "./receipt-form";
import { ReceiptView } from "./receipt-view";

export function ReceiptPage() {
  const t = useMessages(receiptMessages);
  const id = useSearchParams().get("id");
  const [proof, setProof] = useState<Proof>();
  const go = (job: string | undefined) => {
    setProof(undefined);
    window.history.replaceState(null, "", job ? `?id=${job}` : window.location.pathname);
  };
  if (!proof && !id) return <ReceiptForm onProof={setProof} onJob={go} />;
  return (
    <div className="flex flex-col gap-4">
      <div data-no-print>
        <Button onClick={() => go(undefined)}>{t("another")}</Button>
      </div>
      {proof ? <ReceiptView proof={proof} /> : <ReceiptOfJob id={id ?? ""} />}
    </div>
  );
}

/** The receipt of a job that the scheduler knows. */
export function ReceiptOfJob({ id }: { id: string }) {
  const t = useMessages(receiptMessages);
  const config = useConfig();
  const job = useQuery({
    queryKey: ["job", id],
    queryFn: () => body(api.GET("/v1/jobs/{id}", { params: { path: { id } } })),
  });
  if (job.isError) return <ErrorState error={job.error} onRetry={() => void job.refetch()} />;
  if (!job.data || !config) return <LoadingRows rows={8} />;
  const proof = proofOf(job.data, { chain_id: config.chain.id, contract: config.contract });
  return proof ? <ReceiptView proof={proof} /> : <Empty title={t("none")}>{t("noneText")}</Empty>;
}
