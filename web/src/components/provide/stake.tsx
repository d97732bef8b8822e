"use client";
/** What a provider has in the market, and what its scheduler may lock of it. All of it is read from the chain. */

import { type ReactNode, useState } from "react";
import type { Address } from "viem";
import { useInfo } from "@/components/banners";
import { AddressId } from "@/components/explorer";
import { Money, useCoin } from "@/components/money";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { ErrorState, Skeleton } from "@/components/ui/empty";
import { Field } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { Card, Facts } from "@/components/ui/page";
import { TransactionButton } from "@/components/wallet/transaction";
import type { Call } from "@/lib/escrow";
import { useMessages, useT } from "@/lib/i18n";
import { exactAmount, NATIVE, parseAmount } from "@/lib/money";
import { dashboardMessages } from "./dashboard-messages";
import { useApproval, useMarketBalance } from "./on-chain";

export function Withdrawable({ provider }: { provider: Address }) {
  const m = useMessages(dashboardMessages);
  const balance = useMarketBalance(provider, NATIVE);
  return (
    <Card title={m("withdrawable")}>
      <div className="flex flex-col gap-3">
        <div className="text-xl leading-7 font-semibold">
          {balance.data === undefined ? (
            <Skeleton className="my-1 h-5 w-28" />
          ) : (
            <Money amount={balance.data} />
          )}
        </div>
        <p className="text-[13px] text-ink-soft">{m(balance.data === 0n ? "nothing" : "withdrawText")}</p>
        {balance.isError && <Notice tone="bad">{m("chainDown")}</Notice>}
        <TransactionButton
          disabled={!balance.data}
          done={m("withdrawn")}
          call={() => ({ functionName: "withdraw", args: [NATIVE, provider, balance.data ?? 0n] })}
        >
          {m("withdraw")}
        </TransactionButton>
      </div>
    </Card>
  );
}

export function Stake({ provider }: { provider: Address }) {
  const m = useMessages(dashboardMessages);
  const { symbol } = useCoin();
  const info = useInfo();
  const scheduler = info.data?.scheduler as Address | undefined;
  const approval = useApproval(provider, scheduler, NATIVE);
  const [isTakingBack, setTakingBack] = useState(false);
  if (info.isError && !info.data) {
    return (
      <Card title={m("stake")}>
        <ErrorState error={info.error} onRetry={() => info.refetch()} />
      </Card>
    );
  }
  const known = approval.data;
  return (
    <Card title={m("stake")}>
      <div className="flex flex-col gap-5">
        <Facts
          items={[
            [
              m("approvedSchedulers"),
              scheduler ? (
                <AddressId key="scheduler" value={scheduler} label={m("approvedSchedulers")} />
              ) : (
                "…"
              ),
            ],
            [m("approval"), known ? m(known.approved ? "yes" : "no") : "…"],
            [m("bondLimit"), known ? <Money key="limit" amount={known.bondLimit} /> : "…"],
            [m("bondUsed"), known ? <Money key="used" amount={known.bondUsed} /> : "…"],
          ]}
        />
        {approval.isError && <Notice tone="bad">{m("chainDown")}</Notice>}
        {known && scheduler && (
          <div className="grid gap-5 sm:grid-cols-2">
            <AmountForm
              label={m("limitLabel", { symbol })}
              help={m("limitHelp")}
              done={m("limitSaved")}
              isZeroFine
              call={(amount) => ({ functionName: "approveScheduler", args: [scheduler, NATIVE, amount] })}
            >
              {m(known.approved ? "limitSave" : "approve")}
            </AmountForm>
            <AmountForm
              label={m("depositLabel", { symbol })}
              help={m("depositHelp")}
              done={m("deposited")}
              call={(amount) => ({ functionName: "deposit", args: [NATIVE, amount], value: amount })}
            >
              {m("deposit")}
            </AmountForm>
          </div>
        )}
        {known?.approved && scheduler && (
          <div className="border-t border-line pt-4">
            <Button look="danger" onClick={() => setTakingBack(true)} aria-haspopup="dialog">
              {m("disapprove")}
            </Button>
          </div>
        )}
      </div>
      {isTakingBack && scheduler && (
        <DisapproveDialog scheduler={scheduler} onClose={() => setTakingBack(false)} />
      )}
    </Card>
  );
}

/** One amount and the transaction that it goes into. */
function AmountForm({
  label,
  help,
  done,
  call,
  isZeroFine = false,
  children,
}: {
  label: string;
  help: string;
  done: string;
  call: (amount: bigint) => Call;
  isZeroFine?: boolean;
  children: ReactNode;
}) {
  const m = useMessages(dashboardMessages);
  const { decimals } = useCoin();
  const [text, setText] = useState("");
  const amount = parseAmount(text, decimals);
  const isWrong = text.trim() !== "" && amount === undefined;
  return (
    <div className="flex flex-col gap-3">
      <Field label={label} help={help} error={isWrong ? m("limitInvalid", { decimals }) : undefined}>
        <input
          className="field-box text-right"
          inputMode="decimal"
          placeholder={isZeroFine ? "0" : exactAmount(5n * 10n ** BigInt(decimals - 1), decimals)}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </Field>
      <TransactionButton
        look="secondary"
        disabled={amount === undefined || (amount === 0n && !isZeroFine)}
        done={done}
        onDone={() => setText("")}
        call={() => call(amount ?? 0n)}
      >
        {children}
      </TransactionButton>
    </div>
  );
}

function DisapproveDialog({ scheduler, onClose }: { scheduler: Address; onClose: () => void }) {
  const m = useMessages(dashboardMessages);
  const t = useT();
  return (
    <Dialog
      open
      onClose={onClose}
      title={m("disapproveTitle")}
      footer={<Button onClick={onClose}>{t("action.close")}</Button>}
    >
      <div className="flex flex-col gap-4">
        <p>{m("disapproveText")}</p>
        <TransactionButton
          look="danger"
          done={m("disapproved")}
          call={() => ({ functionName: "disapproveScheduler", args: [scheduler] })}
        >
          {m("disapprove")}
        </TransactionButton>
      </div>
    </Dialog>
  );
}
