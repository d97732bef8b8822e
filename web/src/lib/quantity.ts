/** Sizes and shares of a CPU: as the command line writes and reads them. Whole bytes and thousandths only. */

import { exactAmount, parseAmount } from "./money";

const UNITS: readonly [string, number][] = [
  ["TiB", 1024 ** 4],
  ["GiB", 1024 ** 3],
  ["MiB", 1024 ** 2],
  ["KiB", 1024],
  ["TB", 1e12],
  ["GB", 1e9],
  ["MB", 1e6],
  ["KB", 1e3],
  ["B", 1],
];

/** Reads `512MiB` or `1.5 GB` as bytes; says nothing for what is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^([\d.]+)\s*([a-z]+)$/i.exec(text.trim());
  const factor = UNITS.find(([name]) => name.toLowerCase() === match?.[2]?.toLowerCase())?.[1];
  const billionths = parseAmount(match?.[1] ?? "", 9);
  if (factor === undefined || billionths === undefined) return undefined;
  const product = billionths * BigInt(factor);
  if (product % 1_000_000_000n !== 0n) return undefined;
  const bytes = Number(product / 1_000_000_000n);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Writes bytes exactly, in the largest binary unit that divides them. */
export function typedBytes(bytes: number): string {
  const unit = UNITS.slice(0, 4).find(([, size]) => bytes > 0 && bytes % size === 0);
  return unit ? `${bytes / unit[1]}${unit[0]}` : `${bytes}B`;
}

/** Writes bytes for reading: `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const unit = UNITS.slice(0, 4).find(([, size]) => bytes >= size);
  if (!unit) return `${bytes} B`;
  return `${Number((bytes / unit[1]).toFixed(1))} ${unit[0]}`;
}

/** Reads `0.5` as thousandths of a CPU. */
export function parseCpus(text: string): number | undefined {
  const millis = parseAmount(text, 3);
  return millis === undefined || millis > 1_000_000_000n ? undefined : Number(millis);
}

export function typedCpus(millis: number): string {
  return exactAmount(BigInt(millis), 3);
}
