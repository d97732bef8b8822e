"use client";
/** The dialog that cancels the selected jobs. */

import { useState } from "react";
import { useAmountText } from "@/components/job/amount-text";
import { ConfirmDialog } from "@/components/job/way-out-button";
import { Button, Spinner } from "@/components/ui/button";
import { shortId } from "@/components/ui/copy";
import { errorText } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { TransactionNote, useTransaction } from "@/components/wallet/transaction";
import type { JobSummary } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { NATIVE } from "@/lib/money";
import { ensureSession } from "@/lib/session";
import { chain, useAddress } from "@/lib/wallet";
import type { CancelOutcome, CancelStep } from "./cancel-jobs";
import { jobsMessages } from "./messages";

type Progress =
  | { status: "idle" }
  | { status: "busy"; step: CancelStep | undefined }
  | { status: "done"; outcome: CancelOutcome }
  | { status: "failed"; text: string };

export function BulkCancel({
  jobs,
  onActive,
}: {
  jobs: readonly JobSummary[];
  /** Told when its dialog opens and closes: until then it must stay, although the list has changed. */
  onActive: (isActive: boolean) => void;
}) {
  const t = useMessages(jobsMessages);
  const address = useAddress();
  const amount = useAmountText();
  const [chosen, setChosen] = useState<readonly JobSummary[]>();
  const [progress, setProgress] = useState<Progress>({ status: "idle" });
  const { state, run, reset } = useTransaction();
  const count = chosen?.length ?? 0;
  const start = async () => {
    if (!address || !chosen) return;
    setProgress({ status: "busy", step: undefined });
    try {
      await ensureSession(address);
      const [client, { cancelJobs }] = await Promise.all([chain(), import("./cancel-jobs")]);
      const ids = chosen.map(({ id }) => id);
      const outcome = await cancelJobs(client, ids, (step) => setProgress({ status: "busy", step }), run);
      setProgress({ status: "done", outcome });
    } catch (error) {
      setProgress({ status: "failed", text: errorText(error) });
    }
  };
  const close = () => {
    setChosen(undefined);
    setProgress({ status: "idle" });
    reset();
    onActive(false);
  };
  const open = () => {
    setChosen(jobs);
    onActive(true);
  };
  const bounties = chosen?.filter(({ token }) => token === NATIVE) ?? [];
  const sum = bounties.reduce((total, { bounty }) => total + BigInt(bounty), 0n);
  return (
    <>
      <Button look="danger" size="sm" disabled={jobs.length === 0} onClick={open}>
        {t("cancel")}
      </Button>
      <ConfirmDialog
        open={chosen !== undefined}
        onClose={close}
        title={t("cancelTitle", { count })}
        isBusy={progress.status === "busy"}
        isDone={progress.status === "done"}
        onConfirm={() => void start()}
      >
        <p>{t("cancelText", { amount: amount(sum, NATIVE) })}</p>
        {progress.status === "busy" && progress.step && state.status === "idle" && (
          <Notice tone="info" live>
            <span className="flex items-center gap-2">
              <Spinner />
              {t(`step.${progress.step.step}`, { done: progress.step.done, count })}
            </span>
          </Notice>
        )}
        {progress.status !== "done" && <TransactionNote state={state} />}
        {progress.status === "failed" && (
          <Notice tone="bad" live>
            {progress.text}
          </Notice>
        )}
        {progress.status === "done" && <Outcome outcome={progress.outcome} count={count} />}
      </ConfirmDialog>
    </>
  );
}

function Outcome({ outcome, count }: { outcome: CancelOutcome; count: number }) {
  const t = useMessages(jobsMessages);
  return (
    <Notice
      tone={outcome.cancelled === count ? "good" : "warn"}
      live
      title={t("cancelled", { done: outcome.cancelled, count })}
    >
      {outcome.left.length > 0 && (
        <>
          <p>{t("left")}</p>
          <ul className="mt-1 text-[13px]">
            {outcome.left.map(({ id, why }) => (
              <li key={id}>
                <span className="font-mono">{shortId(id)}</span> {typeof why === "string" ? t(why) : why.text}
              </li>
            ))}
          </ul>
        </>
      )}
    </Notice>
  );
}
