"use client";
/** The last look before the wallet opens: what is paid, to which contract, for what, and how it comes back. */

import { AddressId } from "@/components/explorer";
import { Money, useCoin } from "@/components/money";
import { Button } from "@/components/ui/button";
import { Id } from "@/components/ui/copy";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/notice";
import { Facts } from "@/components/ui/page";
import { Ago } from "@/components/ui/time";
import type { Quote } from "@/lib/funding-state";
import { useI18n, useMessages } from "@/lib/i18n";
import { exactAmount } from "@/lib/money";
import type { Submission } from "@/lib/submission";
import { formatDate, formatDuration } from "@/lib/time";
import { messages } from "./messages";

export function ReviewDialog({
  submission,
  quote,
  twin,
  onConfirm,
  onBack,
}: {
  submission: Submission;
  quote: Quote;
  twin: Submission | undefined;
  onConfirm: () => void;
  onBack: () => void;
}) {
  const t = useMessages(messages);
  const { language } = useI18n();
  const { symbol, decimals } = useCoin();
  const { terms, spec, contract, jobId } = submission;
  const amount = `${exactAmount(BigInt(terms.bounty), decimals)} ${symbol}`;
  const deadlineMs = terms.deadline * 1000;
  const utc = new Intl.DateTimeFormat(language, {
    dateStyle: "medium",
    timeStyle: "medium",
    timeZone: "UTC",
  });
  const program = spec.runtime.kind === "docker" ? spec.runtime.image : spec.runtime.module;
  const isBonded = terms.bond !== "0" || terms.dispute_bond !== "0";
  return (
    <Dialog
      open
      strict
      size="lg"
      onClose={onBack}
      title={t("review.title", { amount })}
      description={t("review.text")}
      footer={
        <>
          <Button onClick={onBack}>{t("review.back")}</Button>
          <Button look="primary" onClick={onConfirm}>
            {t("review.confirm", { amount })}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-4">
        {twin && (
          <Notice tone="warn" title={t("review.twin")}>
            <Id value={twin.jobId} /> <Ago ms={twin.savedAtMs} />
          </Notice>
        )}
        <Facts
          items={[
            [t("review.bounty"), <strong key="bounty">{amount}</strong>],
            [t("review.fee"), <Money key="fee" amount={terms.fee} />],
            [t("review.gas"), <Money key="gas" amount={quote.gas * quote.gasPrice} />],
            [t("review.balance"), <Money key="balance" amount={quote.balance} />],
            [
              t("review.deadline"),
              <span key="deadline">
                {formatDate(deadlineMs, language)}
                <span className="block text-[13px] text-ink-soft">{utc.format(deadlineMs)} UTC</span>
              </span>,
            ],
            terms.hold_seconds > 0 && [t("review.hold"), formatDuration(terms.hold_seconds)],
            isBonded && [t("review.bond"), <Money key="bond" amount={terms.bond} />],
            isBonded && [t("review.arbiter"), <AddressId key="arbiter" value={terms.arbiter} />],
            [
              t("review.contract"),
              <AddressId key="contract" value={contract} label={t("review.contract")} />,
            ],
            [
              t("review.program"),
              <span key="program" className="font-mono text-[13px]">
                {program}
              </span>,
            ],
            [t("review.spec"), <Id key="spec" value={terms.spec_hash} label={t("review.spec")} />],
            [t("review.job"), <Id key="job" value={jobId} label={t("review.job")} />],
          ]}
        />
        <Notice tone="info">{t("review.refund")}</Notice>
      </div>
    </Dialog>
  );
}
