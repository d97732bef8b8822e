/** The session with the scheduler (Sign-In with Ethereum). The token lives in this tab's session only. */

import type { Address } from "viem";
import { api, body, setBearer } from "./api";
import { API_URL } from "./config";
import { chain } from "./wallet";

const STORED = "gristmill:session";
/** A token that ends within this time is as good as none. */
const MARGIN_MS = 60_000;

type Session = { address: Address; token: string; expiresAtMs: number };

function stored(address: Address): Session | undefined {
  try {
    const session = JSON.parse(sessionStorage.getItem(STORED) ?? "null") as Session | null;
    const isOurs = session?.address.toLowerCase() === address.toLowerCase();
    return session && isOurs && session.expiresAtMs - MARGIN_MS > Date.now() ? session : undefined;
  } catch {
    return undefined;
  }
}

/** Takes up the session of this wallet, if there is one. */
function resume(address: Address | undefined): boolean {
  const session = address && stored(address);
  setBearer(session?.token);
  return session !== undefined;
}

/** Signs in with the connected wallet; opens it only where there is no session yet. */
export async function ensureSession(address: Address): Promise<void> {
  if (resume(address)) return;
  const [client, { loginMessage }] = await Promise.all([chain(), import("./login")]);
  const { nonce } = await body(api.POST("/v1/auth/nonce"));
  const uri = API_URL || window.location.origin;
  const message = loginMessage(uri, address, client.chainId, nonce, new Date());
  const signature = await client.signMessage(message);
  const login = await body(api.POST("/v1/auth/login", { body: { message, signature } }));
  const session: Session = { address, token: login.token, expiresAtMs: login.expires_at_ms };
  sessionStorage.setItem(STORED, JSON.stringify(session));
  setBearer(login.token);
}

export async function endSession(): Promise<void> {
  sessionStorage.removeItem(STORED);
  try {
    await api.POST("/v1/auth/logout");
  } finally {
    setBearer(undefined);
  }
}
