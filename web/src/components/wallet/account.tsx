"use client";
/** The connected account: address, balance, and the way out. */

import { useQuery } from "@tanstack/react-query";
import type { Address } from "viem";
import { AddressId } from "@/components/explorer";
import { Money } from "@/components/money";
import { Button } from "@/components/ui/button";
import { Facts } from "@/components/ui/page";
import { useT } from "@/lib/i18n";
import { endSession } from "@/lib/session";
import { chain } from "@/lib/wallet";

export function Account({ address, onClose }: { address: Address; onClose: () => void }) {
  const t = useT();
  const balance = useQuery({
    queryKey: ["balance", address],
    queryFn: async () => (await chain()).balance(address),
    refetchInterval: 5000,
  });
  const leave = async () => {
    await endSession().catch(() => {});
    await (await chain()).disconnect();
    onClose();
  };
  return (
    <div className="flex flex-col gap-4">
      <Facts
        items={[
          [t("wallet.account"), <AddressId key="address" value={address} />],
          [
            t("wallet.balance"),
            balance.data === undefined ? "…" : <Money key="balance" amount={balance.data} />,
          ],
        ]}
      />
      <Button onClick={leave}>{t("wallet.disconnect")}</Button>
    </div>
  );
}
