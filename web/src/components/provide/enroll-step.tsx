"use client";
/** The transactions that make a node a provider's: enroll it, and approve the scheduler, with a stake or without. */

import { Check } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { Address, Hex } from "viem";
import { useCoin } from "@/components/money";
import { shortId } from "@/components/ui/copy";
import { Field } from "@/components/ui/field";
import { TransactionButton } from "@/components/wallet/transaction";
import type { Info } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { exactAmount, NATIVE, parseAmount } from "@/lib/money";
import { signatureWords } from "@/lib/terms";
import { provideMessages } from "./messages";
import { useMarketBalance } from "./on-chain";
import type { WaitingNode } from "./provider-data";

export function EnrollStep({
  wallet,
  waiting,
  isEnrolled,
  isApproved,
  token,
  info,
}: {
  wallet: Address;
  /** The node's consent; not needed any more once the node is enrolled. */
  waiting: WaitingNode | undefined;
  isEnrolled: boolean;
  isApproved: boolean;
  token: string;
  info: Info;
}) {
  const m = useMessages(provideMessages);
  return (
    <ol className="flex flex-col gap-3">
      <Part title={m("enrollTitle")} text={m("enrollText")} isDone={isEnrolled}>
        {!isEnrolled && waiting && (
          <TransactionButton
            done={m("enrolled")}
            call={() => ({
              functionName: "enroll",
              args: [waiting.node as Address, waiting.expires, signatureWords(waiting.signature as Hex)],
            })}
          >
            {m("enroll")}
          </TransactionButton>
        )}
      </Part>
      <Part
        title={m("approveTitle")}
        text={m("approveText", { scheduler: shortId(info.scheduler) })}
        isDone={isApproved}
      >
        {isEnrolled && !isApproved && (
          <Approve wallet={wallet} scheduler={info.scheduler as Address} token={token as Address} />
        )}
      </Part>
    </ol>
  );
}

function Part({
  title,
  text,
  isDone,
  children,
}: {
  title: string;
  text: string;
  isDone: boolean;
  children: ReactNode;
}) {
  const m = useMessages(provideMessages);
  return (
    <li className="flex flex-col gap-3 rounded-lg border border-line px-4 py-3.5">
      <div>
        <h3 className="flex items-center gap-2 font-medium">
          {title}
          {isDone && (
            <span className="inline-flex items-center gap-1 text-[13px] text-good">
              <Check className="size-4" aria-hidden="true" /> {m("done")}
            </span>
          )}
        </h3>
        <p className="mt-0.5 text-ink-soft">{text}</p>
      </div>
      {children}
    </li>
  );
}

/** Approves a scheduler with a limit for bonds, which is nothing unless the provider wants it otherwise. */
function Approve({ wallet, scheduler, token }: { wallet: Address; scheduler: Address; token: Address }) {
  const m = useMessages(provideMessages);
  const { symbol, decimals } = useCoin();
  const [text, setText] = useState("");
  const balance = useMarketBalance(wallet, token);
  const isNative = token === NATIVE;
  const limit = text.trim() === "" ? 0n : parseAmount(text, decimals);
  const missing =
    limit !== undefined && balance.data !== undefined && limit > balance.data ? limit - balance.data : 0n;
  return (
    <>
      <details className="rounded-lg border border-line px-3 py-2">
        <summary className="font-medium">{m("stake")}</summary>
        <div className="flex flex-col gap-3 pt-3 pb-1">
          <p className="text-[13px] text-ink-soft">{m("stakeText")}</p>
          {isNative ? (
            <Field
              label={m("stakeLabel", { symbol })}
              error={limit === undefined ? m("stakeInvalid", { decimals }) : undefined}
            >
              <input
                className="field-box max-w-48 text-right"
                inputMode="decimal"
                placeholder="0"
                value={text}
                onChange={(event) => setText(event.target.value)}
              />
            </Field>
          ) : (
            <p>{m("otherToken")}</p>
          )}
          {missing > 0n && (
            <>
              <p className="text-[13px]">
                {m("depositFirst", { balance: exactAmount(balance.data ?? 0n, decimals), symbol })}
              </p>
              <TransactionButton
                look="secondary"
                call={() => ({ functionName: "deposit", args: [NATIVE, missing], value: missing })}
              >
                {m("deposit", { amount: exactAmount(missing, decimals), symbol })}
              </TransactionButton>
            </>
          )}
        </div>
      </details>
      <TransactionButton
        disabled={limit === undefined || missing > 0n}
        done={m("approved")}
        call={() => ({ functionName: "approveScheduler", args: [scheduler, token, limit ?? 0n] })}
      >
        {m("approve")}
      </TransactionButton>
    </>
  );
}
