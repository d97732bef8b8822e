"use client";
/** Cancelling a job that the scheduler knows: it is asked to stop the job, the node gives it back, the wallet cancels. */

import { useState } from "react";
import { Button, Spinner } from "@/components/ui/button";
import { errorText } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { TransactionNote, useTransaction } from "@/components/wallet/transaction";
import { ApiError, api } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { ensureSession } from "@/lib/session";
import { chain } from "@/lib/wallet";
import { actionMessages } from "./action-messages";
import { useAmountText } from "./amount-text";
import type { ChainJob } from "./chain-job";
import { ConfirmDialog } from "./way-out-button";

const POLL_MS = 700;
/** How long a node's release may take to be in a block. */
const TAKE_BACK_MS = 120_000;

type Step = { status: "idle" } | { status: "asking" | "waiting" } | { status: "failed"; text: string };

/** Asks the scheduler to stop the job. That it never heard of it, or has stopped it, is for the chain to decide. */
async function askToStop(job: ChainJob): Promise<void> {
  try {
    await ensureSession(job.terms.submitter);
    await api.POST("/v1/jobs/{id}/cancel", { params: { path: { id: job.id } } });
  } catch (error) {
    const isHarmless = error instanceof ApiError && (error.code === "not_found" || error.code === "conflict");
    if (!isHarmless) throw error;
  }
}

/** Whether the node has given the job back in time. */
async function isFree(job: ChainJob): Promise<boolean> {
  const [client, { storedJob }] = await Promise.all([chain(), import("@/lib/escrow")]);
  const giveUp = Date.now() + TAKE_BACK_MS;
  for (;;) {
    if ((await storedJob(client, job.id)).state !== "assigned") return true;
    if (Date.now() > giveUp) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export function CancelButton({
  job,
  onActive,
}: {
  job: ChainJob;
  /** Told when its dialog opens and closes: until then the button must stay, although the job has changed. */
  onActive: (isActive: boolean) => void;
}) {
  const t = useMessages(actionMessages);
  const amount = useAmountText();
  const [open, setOpen] = useState(false);
  const [step, setStep] = useState<Step>({ status: "idle" });
  const { state, run, reset } = useTransaction();
  const isBusy = step.status === "asking" || step.status === "waiting" || state.status === "busy";
  const start = async () => {
    try {
      setStep({ status: "asking" });
      await askToStop(job);
      setStep({ status: "waiting" });
      if (!(await isFree(job))) return setStep({ status: "failed", text: t("cancel.timeout") });
      setStep({ status: "idle" });
      await run({ functionName: "cancel", args: [job.terms] });
    } catch (error) {
      const client = await chain();
      setStep({
        status: "failed",
        text: error instanceof ApiError ? errorText(error) : client.explain(error).text,
      });
    }
  };
  const show = (isShown: boolean) => {
    setOpen(isShown);
    onActive(isShown);
  };
  const close = () => {
    show(false);
    setStep({ status: "idle" });
    reset();
  };
  return (
    <>
      <Button look="danger" aria-haspopup="dialog" onClick={() => show(true)}>
        {t("cancel.button")}
      </Button>
      <ConfirmDialog
        open={open}
        onClose={close}
        title={t("cancel.title")}
        isBusy={isBusy}
        isDone={state.status === "done"}
        onConfirm={() => void start()}
      >
        <p>
          {job.stored.state === "none"
            ? t("cancel.unopened")
            : t("cancel.money", { bounty: amount(job.terms.bounty, job.terms.token) })}
        </p>
        <p className="text-ink-soft">
          {t("cancel.stop")} {t("gas")}
        </p>
        {(step.status === "asking" || step.status === "waiting") && (
          <Notice tone="info" live>
            <span className="flex items-center gap-2">
              <Spinner />
              {t(`cancel.${step.status}`)}
            </span>
          </Notice>
        )}
        {step.status === "failed" && (
          <Notice tone="bad" live>
            {step.text}
          </Notice>
        )}
        <TransactionNote state={state} done={t("cancel.done")} />
      </ConfirmDialog>
    </>
  );
}
