"use client";
/** Copying: a button, and identifiers that show their ends and copy the whole. */

import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { useT } from "@/lib/i18n";
import { buttonClass } from "./button";

function useCopied(): [boolean, (text: string) => void] {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  return [copied, (text) => void navigator.clipboard.writeText(text).then(() => setCopied(true))];
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const t = useT();
  const [copied, copy] = useCopied();
  const Icon = copied ? Check : Copy;
  return (
    <button
      type="button"
      onClick={() => copy(text)}
      className={buttonClass("secondary", label ? "md" : "sm")}
    >
      <Icon className="size-4" aria-hidden="true" />
      <span aria-live="polite">{copied ? t("action.copied") : (label ?? t("action.copy"))}</span>
    </button>
  );
}

export function shortId(id: string): string {
  return id.length > 16 ? `${id.slice(0, 8)}…${id.slice(-6)}` : id;
}

/** A long identifier: short on screen, whole in the title and in the clipboard. */
export function Id({ value, href, label }: { value: string; href?: string | undefined; label?: string }) {
  const t = useT();
  const [copied, copy] = useCopied();
  const Icon = copied ? Check : Copy;
  const text = <span title={value}>{shortId(value)}</span>;
  return (
    <span className="inline-flex items-center gap-1 font-mono text-[13px] whitespace-nowrap">
      {href ? (
        <a href={href} className="text-brand underline-offset-2 hover:underline" {...external(href)}>
          {text}
        </a>
      ) : (
        text
      )}
      <button
        type="button"
        onClick={() => copy(value)}
        aria-label={`${copied ? t("action.copied") : t("action.copy")} ${label ?? shortId(value)}`}
        className="rounded p-[5px] text-ink-soft hover:bg-sunken hover:text-ink"
      >
        <Icon className="size-3.5" aria-hidden="true" />
      </button>
    </span>
  );
}

export function external(href: string): { target?: string; rel?: string } {
  return /^https?:/.test(href) ? { target: "_blank", rel: "noreferrer" } : {};
}
