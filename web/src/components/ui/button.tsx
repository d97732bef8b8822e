/** Buttons and links that look like buttons. */

import Link from "next/link";
import type { ButtonHTMLAttributes, ReactNode } from "react";

type Look = "primary" | "secondary" | "quiet" | "danger";
type Size = "md" | "sm";

const LOOKS: Record<Look, string> = {
  primary: "bg-brand text-on-brand hover:bg-brand-hover border-transparent",
  secondary: "bg-ground text-ink border-line-strong hover:bg-sunken",
  quiet: "bg-transparent text-ink border-transparent hover:bg-sunken",
  danger: "bg-ground text-bad border-bad hover:bg-bad-tint",
};
const SIZES: Record<Size, string> = {
  md: "min-h-9 px-3.5 text-sm",
  sm: "min-h-7 px-2.5 text-[13px]",
};
const BASE =
  "inline-flex items-center justify-center gap-2 rounded-lg border font-medium whitespace-nowrap transition-colors " +
  "disabled:opacity-55 disabled:cursor-not-allowed aria-disabled:opacity-55 select-none";

export function buttonClass(look: Look = "secondary", size: Size = "md", extra = ""): string {
  return `${BASE} ${LOOKS[look]} ${SIZES[size]} ${extra}`;
}

export function Button({
  look,
  size,
  busy = false,
  className = "",
  children,
  disabled,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { look?: Look; size?: Size; busy?: boolean }) {
  return (
    <button
      type="button"
      {...rest}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={buttonClass(look, size, className)}
    >
      {busy && <Spinner />}
      {children}
    </button>
  );
}

export function ButtonLink({
  href,
  look,
  size,
  className,
  children,
}: {
  href: string;
  look?: Look;
  size?: Size;
  className?: string;
  children: ReactNode;
}) {
  return (
    <Link href={href} className={buttonClass(look, size, className)}>
      {children}
    </Link>
  );
}

export function Spinner({ className = "size-4" }: { className?: string }) {
  return (
    <svg className={`${className} animate-spin shrink-0`} viewBox="0 0 16 16" aria-hidden="true" fill="none">
      <circle cx="8" cy="8" r="6.5" stroke="currentColor" strokeOpacity="0.25" strokeWidth="2" />
      <path d="M14.5 8A6.5 6.5 0 0 0 8 1.5" stroke="currentColor" strokeWidth="2" strokeLinecap="round" />
    </svg>
  );
}
