/** The message that a person signs to sign in (EIP-4361), the same as the command line's. */

import { type Address, getAddress } from "viem";

const STATEMENT = "Sign in to Gristmill. This costs nothing and moves no money.";

export function loginMessage(
  uri: string,
  address: Address,
  chainId: number,
  nonce: string,
  at: Date,
): string {
  const domain = new URL(uri).host;
  const issued = at.toISOString().replace(/\.\d+Z$/, "Z");
  return (
    `${domain} wants you to sign in with your Ethereum account:\n${getAddress(address)}\n\n${STATEMENT}\n\n` +
    `URI: ${uri}\nVersion: 1\nChain ID: ${chainId}\nNonce: ${nonce}\nIssued At: ${issued}`
  );
}
