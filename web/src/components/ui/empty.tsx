"use client";
/** What a view shows while it has nothing: loading, empty, or failed. Each says what it is and what to do. */

import { CircleAlert, Inbox, type LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError } from "@/lib/api";
import { useT } from "@/lib/i18n";
import { Button } from "./button";
import { CopyButton } from "./copy";

export function Empty({
  icon: Icon = Inbox,
  title,
  children,
  action,
}: {
  icon?: LucideIcon;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className="flex flex-col items-center gap-2 rounded-xl border border-dashed border-line px-6 py-12 text-center">
      <Icon className="size-6 text-ink-soft" aria-hidden="true" />
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-prose text-ink-soft">{children}</div>}
      {action && <div className="mt-2 flex flex-wrap justify-center gap-2">{action}</div>}
    </div>
  );
}

export function ErrorState({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const t = useT();
  const isApi = error instanceof ApiError;
  const text = isApi && error.isUnreachable ? t("error.unreachable") : errorText(error);
  const details = isApi ? `${error.code} (HTTP ${error.status}): ${error.message}` : errorText(error);
  return (
    <div
      role="alert"
      className="flex flex-col items-center gap-2 rounded-xl border border-line px-6 py-12 text-center"
    >
      <CircleAlert className="size-6 text-bad" aria-hidden="true" />
      <p className="font-medium">{isApi && error.title ? error.title : t("error.title")}</p>
      <p className="max-w-prose text-ink-soft [overflow-wrap:anywhere]">{text}</p>
      <div className="mt-2 flex flex-wrap justify-center gap-2">
        {onRetry && (
          <Button look="primary" onClick={onRetry}>
            {t("action.retry")}
          </Button>
        )}
        <CopyButton text={details} label={t("action.details")} />
      </div>
    </div>
  );
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A grey shape in the size of what is to come, so that nothing jumps. */
export function Skeleton({ className = "h-5 w-full" }: { className?: string }) {
  return <div aria-hidden="true" className={`animate-pulse rounded-md bg-sunken ${className}`} />;
}

export function LoadingRows({ rows = 6 }: { rows?: number }) {
  const t = useT();
  return (
    <div role="status" aria-label={t("state.loading")} className="flex flex-col gap-2">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike.
        <Skeleton key={row} className="h-10 w-full" />
      ))}
    </div>
  );
}
