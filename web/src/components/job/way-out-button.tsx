"use client";
/** One deed with a job's money: a button, and a dialog that says what happens to the money before the wallet is asked. */

import { type ReactNode, useState } from "react";
import { Button } from "@/components/ui/button";
import { shortId } from "@/components/ui/copy";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/notice";
import { TransactionNote, useTransaction } from "@/components/wallet/transaction";
import type { Call } from "@/lib/escrow";
import { useMessages } from "@/lib/i18n";
import { NATIVE } from "@/lib/money";
import { formatDuration } from "@/lib/time";
import { poolOf, type Verb } from "@/lib/ways-out";
import { actionMessages } from "./action-messages";
import { useAmountText } from "./amount-text";
import type { ChainJob } from "./chain-job";

const RULINGS = ["pay", "refund", "reopen"] as const;
type Ruling = (typeof RULINGS)[number];

function callOf(verb: Verb, { terms }: ChainJob, ruling: Ruling): Call {
  const args = [terms] as const;
  switch (verb) {
    case "cancel":
      return { functionName: "cancel", args };
    case "lapse":
      return { functionName: "lapse", args };
    case "refund":
      return { functionName: "refund", args };
    case "claim":
      return { functionName: "claim", args };
    case "dispute":
      return {
        functionName: "dispute",
        args,
        ...(terms.token === NATIVE ? { value: terms.disputeBond } : {}),
      };
    case "rule":
      return { functionName: "rule", args: [terms, RULINGS.indexOf(ruling)] };
  }
}

/** The values of the sentences about money. */
function useMoneyValues(job: ChainJob): Record<string, string> {
  const amount = useAmountText();
  const { terms, stored } = job;
  const whole = terms.bounty + poolOf(terms, stored);
  return {
    bounty: amount(whole, terms.token),
    bond: amount(terms.bond, terms.token),
    disputeBond: amount(terms.disputeBond, terms.token),
    submitter: shortId(terms.submitter),
    provider: shortId(job.provider),
    arbiter: shortId(terms.arbiter),
    ruling: formatDuration(terms.rulingSeconds),
  };
}

export function WayOutButton({
  job,
  verb,
  size = "md",
  look = "secondary",
  onActive,
}: {
  job: ChainJob;
  verb: Verb;
  size?: "md" | "sm";
  look?: "primary" | "secondary" | "danger";
  /** Told when its dialog opens and closes: until then the button must stay, although its deed is done. */
  onActive: (isActive: boolean) => void;
}) {
  const t = useMessages(actionMessages);
  const [open, setOpen] = useState(false);
  const { state, run, reset } = useTransaction();
  const [ruling, setRuling] = useState<Ruling>("pay");
  const values = useMoneyValues(job);
  const needsAllowance = verb === "dispute" && job.terms.token !== NATIVE && job.terms.disputeBond > 0n;
  const show = (isShown: boolean) => {
    setOpen(isShown);
    onActive(isShown);
  };
  const close = () => {
    show(false);
    reset();
  };
  return (
    <>
      <Button look={look} size={size} aria-haspopup="dialog" onClick={() => show(true)}>
        {t(`${verb}.button`)}
      </Button>
      <ConfirmDialog
        open={open}
        onClose={close}
        title={t(`${verb}.title`)}
        isBusy={state.status === "busy"}
        isDone={state.status === "done"}
        canConfirm={!needsAllowance}
        onConfirm={() => void run(callOf(verb, job, ruling))}
      >
        {verb === "rule" ? (
          <RulingChoice
            ruling={ruling}
            onChoose={setRuling}
            values={values}
            disabled={state.status !== "idle"}
          />
        ) : (
          <p>
            {t(
              verb === "cancel" && job.stored.state === "none" ? "cancel.unopened" : `${verb}.money`,
              values,
            )}
          </p>
        )}
        <p className="text-ink-soft">{t("gas")}</p>
        {needsAllowance && <Notice tone="warn">{t("dispute.token")}</Notice>}
        <TransactionNote state={state} done={t(`${verb}.done`)} />
      </ConfirmDialog>
    </>
  );
}

/** Says what will happen, and asks. While the wallet has the word it cannot be closed by accident. */
export function ConfirmDialog({
  open,
  onClose,
  title,
  isBusy,
  isDone,
  canConfirm = true,
  onConfirm,
  children,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  isBusy: boolean;
  isDone: boolean;
  canConfirm?: boolean;
  onConfirm: () => void;
  children: ReactNode;
}) {
  const t = useMessages(actionMessages);
  const footer = isDone ? (
    <Button look="primary" onClick={onClose}>
      {t("close")}
    </Button>
  ) : (
    <>
      <Button onClick={onClose} disabled={isBusy}>
        {t("keep")}
      </Button>
      <Button look="primary" busy={isBusy} disabled={!canConfirm} onClick={onConfirm}>
        {t("confirm")}
      </Button>
    </>
  );
  return (
    <Dialog open={open} onClose={onClose} title={title} strict={isBusy} footer={footer}>
      <div className="flex flex-col gap-3">{children}</div>
    </Dialog>
  );
}

function RulingChoice({
  ruling,
  onChoose,
  values,
  disabled,
}: {
  ruling: Ruling;
  onChoose: (ruling: Ruling) => void;
  values: Record<string, string>;
  disabled: boolean;
}) {
  const t = useMessages(actionMessages);
  return (
    <fieldset disabled={disabled} className="flex flex-col gap-2">
      <legend className="label mb-2">{t("rule.choice")}</legend>
      {RULINGS.map((choice) => (
        <label
          key={choice}
          className="flex items-start gap-3 rounded-lg border border-line px-3 py-2.5 has-checked:border-brand has-checked:bg-brand-tint"
        >
          <input
            type="radio"
            name="ruling"
            className="mt-1"
            checked={ruling === choice}
            onChange={() => onChoose(choice)}
          />
          <span>
            <span className="block font-medium">{t(`rule.${choice}`)}</span>
            <span className="block text-ink-soft">{t(`rule.${choice}Money`, values)}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
