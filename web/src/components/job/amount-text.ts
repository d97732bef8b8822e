"use client";
/** Amounts within sentences. */

import { useCoin } from "@/components/money";
import { shortId } from "@/components/ui/copy";
import { exactAmount, NATIVE } from "@/lib/money";

/** Writes an amount of a token exactly: it stands in sentences about what happens to money. */
export function useAmountText(): (amount: bigint, token: string) => string {
  const coin = useCoin();
  return (amount, token) =>
    token === NATIVE
      ? `${exactAmount(amount, coin.decimals)} ${coin.symbol}`
      : `${amount.toString()} units of ${shortId(token)}`;
}
