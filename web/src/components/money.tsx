"use client";
/** Amounts with their coin. */

import { COIN_DECIMALS, exactAmount, NATIVE, shortAmount } from "@/lib/money";
import { useConfig } from "./deployment";
import { shortId } from "./ui/copy";

export function useCoin(): { symbol: string; decimals: number } {
  return useConfig()?.chain.coin ?? { symbol: "U2U", decimals: COIN_DECIMALS };
}

export function Money({ amount, token = NATIVE }: { amount: bigint | string; token?: string }) {
  const coin = useCoin();
  const value = BigInt(amount);
  if (token !== NATIVE) {
    // The decimals of a stranger's token are what it says; its smallest unit cannot lie.
    return (
      <span className="whitespace-nowrap" title={token}>
        {value.toString()} units of {shortId(token)}
      </span>
    );
  }
  return (
    <span className="whitespace-nowrap" title={`${exactAmount(value, coin.decimals)} ${coin.symbol}`}>
      {shortAmount(value, coin.decimals)} {coin.symbol}
    </span>
  );
}
