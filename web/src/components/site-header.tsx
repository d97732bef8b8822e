"use client";
/** The head of every page: where one can go, and the wallet. */

import { Menu } from "lucide-react";
import Link from "next/link";
import { usePathname } from "next/navigation";
import { useState } from "react";
import { useT } from "@/lib/i18n";
import type { MessageKey } from "@/lib/i18n/en";
import { Logo } from "./logo";
import { Dialog } from "./ui/dialog";
import { WalletButton } from "./wallet/wallet-button";

const MAIN: readonly [string, MessageKey][] = [
  ["/submit/", "nav.submit"],
  ["/jobs/", "nav.jobs"],
  ["/provide/", "nav.provide"],
  ["/nodes/", "nav.nodes"],
  ["/market/", "nav.market"],
];
export const MORE: readonly [string, MessageKey][] = [
  ["/provide/dashboard/", "nav.dashboard"],
  ["/recover/", "nav.recover"],
  ["/receipt/", "nav.receipt"],
  ["/status/", "nav.status"],
  ["/settings/", "nav.settings"],
];

export function SiteHeader() {
  const t = useT();
  const path = usePathname();
  const [open, setOpen] = useState(false);
  const current = (href: string) => (path === href ? ("page" as const) : undefined);
  return (
    <header className="sticky top-0 z-20 border-b border-line bg-ground/95 backdrop-blur-sm">
      <div className="mx-auto flex h-14 max-w-[1400px] items-center gap-2 px-4 sm:gap-4 sm:px-6">
        <Link href="/" className="flex items-center gap-2 rounded-md font-semibold tracking-tight">
          <Logo className="size-6 text-brand" />
          <span className="max-[380px]:sr-only">Gristmill</span>
        </Link>
        <nav aria-label="Main" className="ml-2 hidden items-center gap-0.5 md:flex">
          {MAIN.map(([href, key]) => (
            <Link
              key={href}
              href={href}
              aria-current={current(href)}
              className="rounded-md px-2.5 py-1.5 text-ink-soft hover:bg-sunken hover:text-ink aria-[current]:bg-sunken aria-[current]:font-medium aria-[current]:text-ink"
            >
              {t(key)}
            </Link>
          ))}
        </nav>
        <div className="ml-auto flex items-center gap-2">
          <WalletButton />
          <button
            type="button"
            onClick={() => setOpen(true)}
            aria-haspopup="dialog"
            aria-label={t("nav.menu")}
            className="rounded-md p-1.5 hover:bg-sunken"
          >
            <Menu className="size-5" aria-hidden="true" />
          </button>
        </div>
      </div>
      <Dialog open={open} onClose={() => setOpen(false)} title={t("nav.menu")}>
        <nav aria-label={t("nav.menu")} className="-mx-2 grid grid-cols-2 gap-1">
          {[...MAIN, ...MORE].map(([href, key]) => (
            <Link
              key={href}
              href={href}
              onClick={() => setOpen(false)}
              aria-current={current(href)}
              className="rounded-lg px-3 py-2.5 hover:bg-sunken aria-[current]:bg-sunken aria-[current]:font-medium"
            >
              {t(key)}
            </Link>
          ))}
        </nav>
      </Dialog>
    </header>
  );
}
