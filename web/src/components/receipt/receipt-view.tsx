"use client";
/** One receipt: its facts, and every check of it. Prints as a document. */

import Link from "next/link";
import { Money } from "@/components/money";
import { Button, Spinner } from "@/components/ui/button";
import { Id } from "@/components/ui/copy";
import { ErrorState, Skeleton } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Card, Facts } from "@/components/ui/page";
import { useI18n, useMessages } from "@/lib/i18n";
import { receiptHash } from "@/lib/receipt";
import { formatDate, formatDuration } from "@/lib/time";
import { CHECKS, hasFailed, outcomeText, type Proof } from "@/lib/verify";
import { saveBlob } from "../job/save-blob";
import { formatBytes } from "./bytes";
import { Checks } from "./checks";
import { receiptMessages } from "./messages";
import { useChecks } from "./use-checks";

export function ReceiptView({ proof }: { proof: Proof }) {
  const t = useMessages(receiptMessages);
  const { checks, isBusy, output, start, error } = useChecks(proof);
  if (error) return <ErrorState error={error} />;
  const save = () => {
    const name = `${proof.receipt.job_id.slice(0, 12)}.receipt.json`;
    saveBlob(new Blob([JSON.stringify(proof, null, 2)], { type: "application/json" }), name);
  };
  return (
    <div className="flex flex-col gap-4">
      <Summary checks={checks} isBusy={isBusy} />
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <Card
          title={t("checks")}
          action={
            output.status === "waiting" ? (
              <Button size="sm" onClick={start}>
                {t("readOutput")}
              </Button>
            ) : output.status === "reading" ? (
              <span className="flex items-center gap-2 text-[13px] text-ink-soft">
                <Spinner />
                {t("reading", { share: Math.floor(100 * output.share) })}
              </span>
            ) : undefined
          }
        >
          {checks.length === 0 ? <Skeleton className="h-72 w-full" /> : <Checks checks={checks} />}
        </Card>
        <Card
          title={t("receipt")}
          action={
            <span data-no-print className="flex flex-wrap gap-2">
              <Button size="sm" onClick={save}>
                {t("save")}
              </Button>
              <Button size="sm" onClick={() => window.print()}>
                {t("print")}
              </Button>
            </span>
          }
        >
          <ReceiptFacts proof={proof} />
        </Card>
      </div>
    </div>
  );
}

function Summary({ checks, isBusy }: { checks: ReturnType<typeof useChecks>["checks"]; isBusy: boolean }) {
  const t = useMessages(receiptMessages);
  if (hasFailed(checks)) return <Notice tone="bad" live title={t("failed")} />;
  if (isBusy) return <Notice tone="info" live title={t("checking")} />;
  const count =
    CHECKS.length - checks.length + checks.filter(({ verdict }) => verdict === "not_checked").length;
  return count === 0 ? (
    <Notice tone="good" live title={t("verified")} />
  ) : (
    <Notice tone="info" live title={t("partly", { count })} />
  );
}

function ReceiptFacts({ proof }: { proof: Proof }) {
  const t = useMessages(receiptMessages);
  const { language } = useI18n();
  const { receipt, terms, domain, signature } = proof;
  const seconds = (receipt.finished_at_ms - receipt.started_at_ms) / 1000;
  return (
    <Facts
      items={[
        [
          t("job"),
          <Link
            key="job"
            href={`/job/?id=${receipt.job_id}`}
            className="font-mono text-brand hover:underline"
          >
            {receipt.job_id}
          </Link>,
        ],
        [t("attempt"), receipt.attempt],
        [t("node"), <Id key="node" value={receipt.node} />],
        [t("outcome"), outcomeText(receipt.outcome)],
        [
          t("ran"),
          t("ranFor", { from: formatDate(receipt.started_at_ms, language), time: formatDuration(seconds) }),
        ],
        [
          t("output"),
          <span key="output">
            <span className="font-mono text-[13px]">{receipt.output_cid}</span> (
            {formatBytes(receipt.output_bytes)})
          </span>,
        ],
        [t("manifest"), <Id key="manifest" value={receipt.manifest_hash} />],
        [t("logBytes"), formatBytes(receipt.log_bytes)],
        receipt.fuel_used != null && [t("fuel"), receipt.fuel_used.toLocaleString(language)],
        [t("hash"), <Id key="hash" value={receiptHash(receipt)} />],
        [t("signature"), signature ? <Id key="signature" value={signature} /> : t("unsigned")],
        [t("specHash"), <Id key="spec" value={receipt.spec_hash} />],
        [t("bounty"), <Money key="bounty" amount={terms.bounty} token={terms.token} />],
        [t("submitter"), <Id key="submitter" value={terms.submitter} />],
        [
          t("contract"),
          <span key="contract" className="flex flex-wrap items-center gap-x-2">
            <Id value={domain.contract} /> {t("contractOn", { chain: domain.chain_id })}
          </span>,
        ],
      ]}
    />
  );
}
