"use client";
/** Draws a view that needs a wallet, and asks for one until it is there. */

import { Wallet as WalletIcon } from "lucide-react";
import type { ReactNode } from "react";
import type { Address } from "viem";
import { useDeployment } from "@/components/deployment";
import { Empty, ErrorState, LoadingRows } from "@/components/ui/empty";
import { useT } from "@/lib/i18n";
import { useWallet } from "@/lib/wallet";
import { ConnectButton } from "./wallet-button";

export function WalletGate({ children, why }: { children: (address: Address) => ReactNode; why: string }) {
  const t = useT();
  const deployment = useDeployment();
  const wallet = useWallet();
  if (deployment.state === "failed")
    return <ErrorState error={deployment.error} onRetry={deployment.retry} />;
  if (wallet.status === "connected") return children(wallet.address);
  if (deployment.state === "loading" || wallet.status === "starting") return <LoadingRows />;
  return (
    <Empty icon={WalletIcon} title={t("wallet.needed")} action={<ConnectButton size="md" />}>
      {why}
    </Empty>
  );
}
