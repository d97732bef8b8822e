"use client";
/** The foot of every page: what is not in the head, and which market this is. */

import Link from "next/link";
import { useT } from "@/lib/i18n";
import { WithConfig } from "./deployment";
import { AddressId } from "./explorer";
import { MORE } from "./site-header";

export function SiteFooter() {
  const t = useT();
  return (
    <footer className="mt-10 border-t border-line">
      <div className="mx-auto flex max-w-[1400px] flex-wrap items-center justify-between gap-x-6 gap-y-3 px-4 py-5 text-[13px] text-ink-soft sm:px-6">
        <nav aria-label="More" className="flex flex-wrap gap-x-4 gap-y-1">
          {MORE.map(([href, key]) => (
            <Link key={href} href={href} className="py-1 underline-offset-2 hover:text-ink hover:underline">
              {t(key)}
            </Link>
          ))}
        </nav>
        <WithConfig>
          {(config) => (
            <span className="flex flex-wrap items-center gap-x-2">
              {config.chain.name} · <AddressId value={config.contract} label="contract" /> ·{" "}
              {config.scheduler_version}
            </span>
          )}
        </WithConfig>
      </div>
    </footer>
  );
}
