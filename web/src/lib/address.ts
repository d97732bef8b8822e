/** Addresses, without the chain's libraries: the first load of a page needs no checksum. */

import type { Address } from "viem";

export type { Address };

export function isAddress(text: string): text is Address {
  return /^0x[0-9a-fA-F]{40}$/.test(text);
}

export function isAddressEqual(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
