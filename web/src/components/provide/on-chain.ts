/** What the contract says about a provider: its nodes, the schedulers that it approved, its balance. Needs only an RPC. */

import { useQuery } from "@tanstack/react-query";
import type { Address } from "viem";
import { chain } from "@/lib/wallet";

/** A contract changes only with blocks, so asking more often tells nothing new. */
const EVERY_MS = 4000;

async function read<T>(name: "node" | "approval" | "balance", args: readonly unknown[]): Promise<T> {
  const [client, { readContract }] = await Promise.all([chain(), import("@/lib/escrow")]);
  return (await readContract(client, name, args as never)) as T;
}

export type Enrollment = { provider: Address; revoked: boolean };

const NOBODY = "0x0000000000000000000000000000000000000000";

/** Who enrolled a node; `null` where nobody has. */
export function useEnrollment(node: string | undefined) {
  return useQuery({
    queryKey: ["chain", "node", node],
    queryFn: async (): Promise<Enrollment | null> => {
      const [provider, revoked] = await read<readonly [Address, boolean]>("node", [node]);
      return provider === NOBODY ? null : { provider, revoked };
    },
    enabled: node !== undefined,
    refetchInterval: EVERY_MS,
  });
}

export type Approval = { approved: boolean; bondLimit: bigint; bondUsed: bigint };

export function useApproval(
  provider: Address | undefined,
  scheduler: string | undefined,
  token: string | undefined,
) {
  return useQuery({
    queryKey: ["chain", "approval", provider, scheduler, token],
    queryFn: async (): Promise<Approval> => {
      const args = [provider, scheduler, token];
      const [approved, bondLimit, bondUsed] = await read<readonly [boolean, bigint, bigint]>(
        "approval",
        args,
      );
      return { approved, bondLimit, bondUsed };
    },
    enabled: provider !== undefined && scheduler !== undefined && token !== undefined,
    refetchInterval: EVERY_MS,
  });
}

/** What an owner has in the market and can take out now: stake that no bond locks, and payments that came back. */
export function useMarketBalance(owner: Address | undefined, token: string) {
  return useQuery({
    queryKey: ["chain", "balance", owner, token],
    queryFn: () => read<bigint>("balance", [owner, token]),
    enabled: owner !== undefined,
    refetchInterval: EVERY_MS,
  });
}
