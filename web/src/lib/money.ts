/** Amounts: integers in the token's smallest unit, decimal strings in JSON and forms. Never a JavaScript number. */

export const COIN_DECIMALS = 18;

/** The native coin where a token is named. */
export const NATIVE = "0x0000000000000000000000000000000000000000";

/** Reads `1.25` as an amount; says nothing for what is no amount. */
export function parseAmount(text: string, decimals = COIN_DECIMALS): bigint | undefined {
  const match = /^(\d{1,30})(?:\.(\d*))?$/.exec(text.trim());
  if (!match) return undefined;
  const [, whole = "0", fraction = ""] = match;
  if (fraction.length > decimals) return undefined;
  return BigInt(whole) * 10n ** BigInt(decimals) + BigInt(fraction.padEnd(decimals, "0") || "0");
}

/** Writes an amount exactly, without trailing zeros. */
export function exactAmount(amount: bigint, decimals = COIN_DECIMALS): string {
  const unit = 10n ** BigInt(decimals);
  const sign = amount < 0n ? "-" : "";
  const value = amount < 0n ? -amount : amount;
  const fraction = (value % unit).toString().padStart(decimals, "0").replace(/0+$/, "");
  return `${sign}${value / unit}${fraction && `.${fraction}`}`;
}

/** Writes an amount for reading: at most six digits behind the point, and never `0` for something. */
export function shortAmount(amount: bigint, decimals = COIN_DECIMALS): string {
  const exact = exactAmount(amount, decimals);
  const [whole = "0", fraction = ""] = exact.split(".");
  if (fraction.length <= 6) return exact;
  if (/^-?0$/.test(whole) && /^0{6}/.test(fraction)) return amount > 0n ? "< 0.000001" : "> -0.000001";
  const cut = fraction.slice(0, 6).replace(/0+$/, "");
  return cut ? `${whole}.${cut}` : whole;
}

/** The scheduler's least fee, rounded down as the protocol does. */
export function basisPoints(amount: bigint, points: number): bigint {
  return (amount * BigInt(points)) / 10_000n;
}

/** The least bounty of which `share` is left after a fee of so many basis points. */
export function bountyFor(share: bigint, points: number): bigint {
  const left = BigInt(10_000 - points);
  // The fee is rounded down, so a bounty that is one unit less may do as well.
  return left <= 0n ? share : (share * 10_000n + left - 1n) / left;
}
