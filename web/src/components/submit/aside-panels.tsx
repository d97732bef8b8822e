"use client";
/** Beside the form: which nodes match, what the job costs, and the same job for scripts. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useConfig } from "@/components/deployment";
import { Money } from "@/components/money";
import { CopyButton, shortId } from "@/components/ui/copy";
import { errorText, Skeleton } from "@/components/ui/empty";
import { Card } from "@/components/ui/page";
import { Tabs } from "@/components/ui/tabs";
import type { Info } from "@/lib/api";
import { pythonCall, shellCommand } from "@/lib/command-line";
import type { CheckedDraft } from "@/lib/draft";
import { useMessages } from "@/lib/i18n";
import { basisPoints } from "@/lib/money";
import type { useMatchPreview } from "./market";
import { messages, type SubmitKey } from "./messages";

export function MatchPanel({ preview }: { preview: ReturnType<typeof useMatchPreview> }) {
  const t = useMessages(messages);
  return (
    <Card title={t("match.title")}>
      <div aria-live="polite" className="min-h-16">
        {!preview.data && preview.isError && (
          <p className="text-ink-soft">{t("match.failed", { reason: errorText(preview.error) })}</p>
        )}
        {!preview.data && !preview.isError && preview.fetchStatus === "idle" && (
          <p className="text-ink-soft">{t("match.incomplete")}</p>
        )}
        {!preview.data && preview.fetchStatus === "fetching" && (
          <div role="status" aria-label={t("match.matching")} className="flex flex-col gap-2">
            <Skeleton className="h-7 w-40" />
            <Skeleton className="h-5 w-full" />
          </div>
        )}
        {preview.data && <Match preview={preview.data} />}
      </div>
    </Card>
  );
}

function Match({ preview }: { preview: NonNullable<ReturnType<typeof useMatchPreview>["data"]> }) {
  const t = useMessages(messages);
  const { nodes_matching: matching, nodes_total: total, removed, suggestion } = preview;
  const left = removed.filter(({ nodes }) => nodes > 0);
  return (
    <div className="flex flex-col gap-3">
      <p className="text-lg leading-7 font-semibold">{t("match.of", { matching, total })}</p>
      {total === 0 && <p className="text-ink-soft">{t("match.noNodes")}</p>}
      {total > 0 && matching === 0 && <p className="text-ink-soft">{t("match.none")}</p>}
      {left.length > 0 && (
        <dl className="flex flex-col gap-1.5 text-[13px]">
          {left.map(({ constraint, nodes }) => (
            <div key={constraint} className="flex items-center justify-between gap-3">
              <dt className="text-ink-soft">
                {t("match.removed", { constraint: constraintWord(t, constraint) })}
              </dt>
              <dd className="font-medium">{nodes}</dd>
            </div>
          ))}
        </dl>
      )}
      {suggestion && (
        <div className="border-t border-line pt-3">
          <p className="label">{t("match.suggestion")}</p>
          <p className="mt-1 [overflow-wrap:anywhere] first-letter:uppercase">
            {suggestion.replaceAll(/0x[0-9a-fA-F]{40}/g, shortId)}
          </p>
        </div>
      )}
    </div>
  );
}

/** A constraint in words; one that is newer than this page by its own name. */
function constraintWord(t: (key: SubmitKey) => string, constraint: string): string {
  const key = `constraint.${constraint}`;
  return key in messages.en ? t(key as SubmitKey) : constraint.replaceAll("_", " ");
}

/** About what `open` uses for the native coin, as the contract's gas report has it. */
const OPEN_GAS = 56_000n;

export function CostPanel({ checked, info }: { checked: CheckedDraft; info: Info | undefined }) {
  const t = useMessages(messages);
  const config = useConfig();
  const gasPrice = useQuery({
    queryKey: ["gas-price", config?.chain.id],
    queryFn: async () => (await import("./funding-world")).gasPrice(),
    enabled: config !== undefined,
    refetchInterval: 15_000,
  });
  const { money } = checked;
  const gas = gasPrice.data === undefined ? undefined : OPEN_GAS * gasPrice.data;
  const fee = money && info ? basisPoints(money.bounty, info.fee_bps) : undefined;
  if (!money || fee === undefined || !info) {
    return (
      <Card title={t("cost.title")}>
        <p className="min-h-16 text-ink-soft">{t("cost.unset")}</p>
      </Card>
    );
  }
  const rows = [
    [t("cost.bounty"), money.bounty, false],
    [t("cost.provider"), money.bounty - fee, true],
    [t("cost.fee", { percent: info.fee_bps / 100 }), fee, true],
  ] as const;
  return (
    <Card title={t("cost.title")}>
      <dl className="flex flex-col gap-1.5">
        {rows.map(([name, amount, isPart]) => (
          <div
            key={name}
            className={`flex items-baseline justify-between gap-3 ${isPart ? "pl-4 text-[13px] text-ink-soft" : ""}`}
          >
            <dt>{name}</dt>
            <dd className="text-right">
              <Money amount={amount} />
            </dd>
          </div>
        ))}
        <div className="flex items-baseline justify-between gap-3">
          <dt>{t("cost.gas")}</dt>
          <dd className="text-right">{gas === undefined ? "…" : <Money amount={gas} />}</dd>
        </div>
        <div className="mt-1 flex items-baseline justify-between gap-3 border-t border-line pt-2.5 font-semibold">
          <dt>{t("cost.total")}</dt>
          <dd className="text-right">
            <Money amount={money.bounty + (gas ?? 0n)} />
          </dd>
        </div>
      </dl>
    </Card>
  );
}

export function SameJobPanel({
  checked: { spec, money },
  hasUploads,
}: {
  checked: CheckedDraft;
  hasUploads: boolean;
}) {
  const t = useMessages(messages);
  const [form, setForm] = useState("cli");
  if (!spec || !money) {
    return (
      <Card title={t("same.title")}>
        <p className="text-ink-soft">{t("same.incomplete")}</p>
      </Card>
    );
  }
  const texts = [
    ["cli", t("same.cli"), shellCommand(spec, money)],
    ["python", t("same.python"), pythonCall(spec, money)],
    ["spec", t("same.spec"), JSON.stringify(spec, null, 2)],
  ] as const;
  return (
    <Card title={t("same.title")} flush>
      <div className="px-4 pb-4 sm:px-5">
        <Tabs
          label={t("same.title")}
          selected={form}
          onSelect={setForm}
          tabs={texts.map(([key, label, text]) => ({
            key,
            label,
            content: (
              <div className="-mt-2 flex flex-col items-start gap-3">
                <pre
                  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
                  tabIndex={0}
                  className="max-h-80 w-full overflow-auto rounded-lg bg-sunken p-3 font-mono text-[12px] leading-[18px]"
                >
                  {text}
                </pre>
                <CopyButton text={text} />
              </div>
            ),
          }))}
        />
        {hasUploads && <p className="mt-3 text-[13px] text-ink-soft">{t("same.upload")}</p>}
      </div>
    </Card>
  );
}
