"use client";
/** Submissions that a closed tab, a refusing wallet or a chain has left unfinished, in their true state. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import type { Address } from "viem";
import { Money } from "@/components/money";
import { Button, ButtonLink } from "@/components/ui/button";
import { Id } from "@/components/ui/copy";
import { Ago } from "@/components/ui/time";
import { TransactionButton } from "@/components/wallet/transaction";
import type { Unfinished as Found } from "@/lib/funding-state";
import { useMessages } from "@/lib/i18n";
import { ESCROW_STATUS } from "@/lib/status";
import type { Submission } from "@/lib/submission";
import { fromWire } from "@/lib/terms";
import { messages, type SubmitKey } from "./messages";

export function Unfinished({
  address,
  onContinue,
  onLook,
}: {
  address: Address;
  onContinue: (submission: Submission) => void;
  onLook: (submission: Submission) => void;
}) {
  const t = useMessages(messages);
  const queries = useQueryClient();
  const found = useQuery({
    queryKey: ["unfinished", address],
    queryFn: async () => {
      const [{ unfinished }, { fundingWorld }] = await Promise.all([
        import("@/lib/funding"),
        import("./funding-world"),
      ]);
      return unfinished(await fundingWorld(address));
    },
    // A refetch would take back the notice of what was found paid.
    staleTime: Number.POSITIVE_INFINITY,
  });
  const items = found.data ?? [];
  if (items.length === 0) return null;
  const again = () => void queries.invalidateQueries({ queryKey: ["unfinished"] });
  const forget = async (jobId: string) => {
    const { Submissions } = await import("@/lib/submission");
    new Submissions().forget(jobId);
    again();
  };
  const title = items.length === 1 ? t("unfinished.one") : t("unfinished.many", { count: items.length });
  return (
    <section aria-label={title} className="mb-6 rounded-xl border border-warn bg-warn-tint">
      <h2 className="px-4 pt-3 text-sm font-semibold sm:px-5">{title}</h2>
      <ul className="flex flex-col divide-y divide-line">
        {items.map((item) => (
          <Item
            key={item.submission.jobId}
            item={item}
            onContinue={onContinue}
            onLook={onLook}
            onForget={forget}
            onCancelled={again}
          />
        ))}
      </ul>
    </section>
  );
}

function sentence({ submission: { step }, escrow, isExpired }: Found): SubmitKey {
  if (escrow === "unknown") return "unfinished.unknown";
  if (escrow === "open") return "unfinished.open";
  if (escrow !== "none") return "unfinished.moved";
  if (isExpired) return "unfinished.expired";
  return step === "open" ? "unfinished.undone" : "unfinished.asked";
}

function Item({
  item,
  onContinue,
  onLook,
  onForget,
  onCancelled,
}: {
  item: Found;
  onContinue: (submission: Submission) => void;
  onLook: (submission: Submission) => void;
  onForget: (jobId: string) => void;
  onCancelled: () => void;
}) {
  const t = useMessages(messages);
  const { submission, escrow, isExpired } = item;
  const { jobId, terms, spec, savedAtMs } = submission;
  const state = escrow === "unknown" ? "" : ESCROW_STATUS[escrow].word;
  const isUnpaid = escrow === "none" && !isExpired;
  const isPaid = escrow !== "none" && escrow !== "unknown";
  const forget = () => {
    if (isPaid || isExpired || window.confirm(t("unfinished.forgetConfirm"))) onForget(jobId);
  };
  return (
    <li className="flex flex-wrap items-start justify-between gap-x-6 gap-y-3 px-4 py-3 sm:px-5">
      <div className="min-w-0">
        <p className="flex flex-wrap items-center gap-x-2 [overflow-wrap:anywhere]">
          <span className="font-medium">{spec.name}</span>
          <Money amount={terms.bounty} />
          <span className="text-ink-soft">
            <Ago ms={savedAtMs} />
          </span>
          <Id value={jobId} />
        </p>
        <p className="mt-0.5">{t(sentence(item), { state })}</p>
      </div>
      <div className="flex flex-wrap items-start gap-2">
        {isPaid && (
          <ButtonLink href={`/job/?id=${jobId}`} look="primary">
            {t("open.see")}
          </ButtonLink>
        )}
        {isUnpaid && (
          <Button look="primary" onClick={() => onContinue(submission)}>
            {t("unfinished.continue")}
          </Button>
        )}
        {!isPaid && <Button onClick={() => onLook(submission)}>{t("unfinished.look")}</Button>}
        {isUnpaid && (
          <TransactionButton
            look="secondary"
            call={() => ({ functionName: "cancel", args: [fromWire(terms)] })}
            done={t("unfinished.cancelled")}
            onDone={onCancelled}
          >
            {t("unfinished.cancel")}
          </TransactionButton>
        )}
        <Button look="quiet" onClick={forget}>
          {t("unfinished.forget")}
        </Button>
      </div>
    </li>
  );
}
