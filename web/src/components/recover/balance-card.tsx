"use client";
/** What a wallet has in the market outside of jobs, and the way to take it out. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Address } from "viem";
import { useAmountText } from "@/components/job/amount-text";
import { ConfirmDialog } from "@/components/job/way-out-button";
import { Money } from "@/components/money";
import { Button } from "@/components/ui/button";
import { shortId } from "@/components/ui/copy";
import { ErrorState, Skeleton } from "@/components/ui/empty";
import { Card } from "@/components/ui/page";
import { TransactionNote, useTransaction } from "@/components/wallet/transaction";
import { useMessages } from "@/lib/i18n";
import { chain } from "@/lib/wallet";
import type { Balance } from "./find-money";
import { recoverMessages } from "./messages";

export function BalanceCard({ address }: { address: Address }) {
  const t = useMessages(recoverMessages);
  const balances = useQuery({
    queryKey: ["market-balances", address],
    queryFn: async () => {
      const [client, { balancesOf }] = await Promise.all([chain(), import("./find-money")]);
      return balancesOf(client, address);
    },
  });
  // What is being taken out stays until its dialog is closed.
  const [active, setActive] = useState<Balance>();
  const shown = balances.data?.filter(({ token }) => token !== active?.token) ?? [];
  if (active) shown.push(active);
  return (
    <Card title={t("balance")}>
      {balances.isError ? (
        <ErrorState error={balances.error} onRetry={() => void balances.refetch()} />
      ) : balances.isPending ? (
        <Skeleton className="h-9 w-56" />
      ) : shown.length === 0 ? (
        <p className="min-h-9 py-2 text-ink-soft">{t("noBalance")}</p>
      ) : (
        <ul className="flex flex-col gap-2">
          {shown.map((balance) => (
            <li key={balance.token} className="flex min-h-9 flex-wrap items-center justify-between gap-3">
              <span className="text-lg font-semibold">
                <Money amount={balance.amount} token={balance.token} />
              </span>
              <Withdraw balance={balance} address={address} onActive={setActive} />
            </li>
          ))}
          <li className="max-w-prose text-[13px] text-ink-soft">{t("balanceText")}</li>
        </ul>
      )}
    </Card>
  );
}

function Withdraw({
  balance,
  address,
  onActive,
}: {
  balance: Balance;
  address: Address;
  onActive: (balance: Balance | undefined) => void;
}) {
  const t = useMessages(recoverMessages);
  const amount = useAmountText();
  const [open, setOpen] = useState(false);
  const { state, run, reset } = useTransaction();
  // What is asked for is what was shown, even if more comes in meanwhile.
  const [wanted, setWanted] = useState(balance);
  const start = () => {
    setWanted(balance);
    setOpen(true);
    onActive(balance);
  };
  const args = [wanted.token, address, wanted.amount] as const;
  return (
    <>
      <Button onClick={start} aria-haspopup="dialog">
        {t("withdraw")}
      </Button>
      <ConfirmDialog
        open={open}
        onClose={() => {
          setOpen(false);
          onActive(undefined);
          reset();
        }}
        title={t("withdrawTitle")}
        isBusy={state.status === "busy"}
        isDone={state.status === "done"}
        onConfirm={() => void run({ functionName: "withdraw", args })}
      >
        <p>{t("withdrawText", { amount: amount(wanted.amount, wanted.token), wallet: shortId(address) })}</p>
        <TransactionNote state={state} done={t("withdrawn")} />
      </ConfirmDialog>
    </>
  );
}
