"use client";
/** Chooses a wallet: those that announce themselves in this browser (EIP-6963), and those of a development chain. */

import { FlaskConical, Wallet as WalletIcon } from "lucide-react";
import { useEffect, useState } from "react";
import { Spinner } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { LoadingRows } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import type { ChainClient, WalletChoice } from "@/lib/chain";
import { useT } from "@/lib/i18n";
import { chain } from "@/lib/wallet";

export function ConnectDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useT();
  const [client, setClient] = useState<ChainClient>();
  const [wallets, setWallets] = useState<WalletChoice[]>([]);
  const [waiting, setWaiting] = useState<WalletChoice>();
  const [failure, setFailure] = useState<string>();
  useEffect(() => {
    let stop = () => {};
    let gone = false;
    void chain().then((loaded) => {
      if (gone) return;
      const look = () => setWallets(loaded.wallets());
      setClient(loaded);
      look();
      stop = loaded.onWalletsChange(look);
    });
    return () => {
      gone = true;
      stop();
    };
  }, []);
  const choose = async (wallet: WalletChoice) => {
    if (!client) return;
    setWaiting(wallet);
    setFailure(undefined);
    try {
      await client.connect(wallet.uid);
      onClose();
    } catch (error) {
      const reason = client.explain(error);
      const isDeclined = reason.kind === "declined";
      setFailure(
        isDeclined ? t("wallet.refused") : t("wallet.failed", { wallet: wallet.name, reason: reason.text }),
      );
    } finally {
      setWaiting(undefined);
    }
  };
  const list = (title: string, entries: readonly WalletChoice[], help?: string) => (
    <div className="flex flex-col gap-2">
      <h3 className="label">{title}</h3>
      {help && <p className="text-[13px] text-ink-soft">{help}</p>}
      {entries.map((wallet) => (
        <button
          key={wallet.uid}
          type="button"
          disabled={waiting !== undefined}
          onClick={() => choose(wallet)}
          className="flex min-h-12 items-center gap-3 rounded-lg border border-line px-3 text-left font-medium hover:bg-sunken disabled:opacity-60"
        >
          <Picture wallet={wallet} />
          <span className="min-w-0 flex-1 truncate">{wallet.name}</span>
          {waiting?.uid === wallet.uid && <Spinner />}
        </button>
      ))}
    </div>
  );
  const installed = wallets.filter((wallet) => !wallet.isDevelopment);
  const development = wallets.filter((wallet) => wallet.isDevelopment);
  return (
    <Dialog open={open} onClose={onClose} title={t("wallet.choose")}>
      <div className="flex flex-col gap-5">
        {failure && (
          <Notice tone="bad" live>
            {failure}
          </Notice>
        )}
        {waiting && (
          <Notice tone="info" live>
            {t("wallet.waiting", { wallet: waiting.name })}
          </Notice>
        )}
        {!client && <LoadingRows rows={2} />}
        {installed.length > 0 && list(t("wallet.installed"), installed)}
        {development.length > 0 && list(t("wallet.development"), development, t("wallet.developmentHelp"))}
        {client && wallets.length === 0 && <Notice tone="warn">{t("wallet.none")}</Notice>}
      </div>
    </Dialog>
  );
}

function Picture({ wallet }: { wallet: WalletChoice }) {
  // Only pictures that are part of the announcement: a wallet must not make this page ask anybody for anything.
  const icon = wallet.icon?.trim();
  if (icon?.startsWith("data:image/")) {
    // biome-ignore lint/performance/noImgElement: it is inline data, there is nothing to optimise.
    return <img src={icon} alt="" className="size-6 rounded" />;
  }
  const Icon = wallet.isDevelopment ? FlaskConical : WalletIcon;
  return <Icon className="size-5 text-ink-soft" aria-hidden="true" />;
}
