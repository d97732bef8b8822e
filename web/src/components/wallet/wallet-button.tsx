"use client";
/** The wallet in the page's header: connect, or account, balance and disconnect. */

import { ChevronDown } from "lucide-react";
import dynamic from "next/dynamic";
import { useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Skeleton } from "@/components/ui/empty";
import { useT } from "@/lib/i18n";
import { useWallet } from "@/lib/wallet";

const ConnectDialog = dynamic(() => import("./connect-dialog").then((module) => module.ConnectDialog), {
  ssr: false,
});
const Account = dynamic(() => import("./account").then((module) => module.Account), { ssr: false });

export function WalletButton() {
  const t = useT();
  const wallet = useWallet();
  const [open, setOpen] = useState(false);
  if (wallet.status === "starting") return <Skeleton className="h-7 w-28" />;
  if (wallet.status === "none") return <ConnectButton />;
  const { address, name } = wallet;
  return (
    <>
      <Button size="sm" onClick={() => setOpen(true)} aria-haspopup="dialog">
        <span className="size-2 rounded-full bg-good" aria-hidden="true" />
        <span className="font-mono">
          {address.slice(0, 6)}…{address.slice(-4)}
        </span>
        <ChevronDown className="size-3.5" aria-hidden="true" />
      </Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={name || t("wallet.account")}>
        <Account address={address} onClose={() => setOpen(false)} />
      </Dialog>
    </>
  );
}

/** Opens the choice of wallets. */
export function ConnectButton({ size = "sm" }: { size?: "sm" | "md" }) {
  const t = useT();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button look="primary" size={size} onClick={() => setOpen(true)} aria-haspopup="dialog">
        {t("wallet.connect")}
      </Button>
      {open && <ConnectDialog open onClose={() => setOpen(false)} />}
    </>
  );
}
