"use client";
/** How long the job may take, what it pays, and who checks the result. */

import { useFormContext, useWatch } from "react-hook-form";
import { useCoin } from "@/components/money";
import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/page";
import { useNow } from "@/components/ui/time";
import type { Draft } from "@/lib/draft";
import { useI18n, useMessages } from "@/lib/i18n";
import { bountyFor, exactAmount, shortAmount } from "@/lib/money";
import { parseDuration } from "@/lib/time";
import { Advanced, TextField } from "./form-fields";
import type { MatchPreview } from "./market";
import { messages } from "./messages";

export function MoneySection({
  floors,
  feeBps,
}: {
  floors: MatchPreview["price_floors"] | undefined;
  feeBps: number | undefined;
}) {
  const t = useMessages(messages);
  const { symbol } = useCoin();
  return (
    <Card title={t("money.title")}>
      <div className="flex flex-col gap-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <div className="flex flex-col gap-2">
            <TextField
              name="bounty"
              label={t("money.bounty")}
              help={t("money.bountyHelp")}
              placeholder="1.5"
              numeric
              after={symbol}
            />
            {floors && feeBps !== undefined && <Floors floors={floors} feeBps={feeBps} />}
          </div>
          <div className="flex flex-col gap-1.5">
            <TextField
              name="deadline"
              label={t("money.deadline")}
              help={t("money.deadlineHelp")}
              placeholder="24h"
            />
            <DeadlineAt />
          </div>
          <TextField name="maxRun" label={t("money.maxRun")} help={t("money.maxRunHelp")} placeholder="1h" />
          <TextField name="retries" label={t("money.retries")} help={t("money.retriesHelp")} numeric />
        </div>
        <VerificationFields />
        <Advanced fields={["hold", "bond", "disputeBond", "arbiter"]}>
          <TextField name="hold" label={t("money.hold")} help={t("money.holdHelp")} placeholder="0s" />
          <TextField
            name="bond"
            label={t("money.bond")}
            help={t("money.bondHelp")}
            placeholder="0"
            optional
            numeric
            after={symbol}
          />
          <TextField
            name="disputeBond"
            label={t("money.disputeBond")}
            help={t("money.disputeBondHelp")}
            placeholder="0"
            optional
            numeric
            after={symbol}
          />
          <TextField
            name="arbiter"
            label={t("money.arbiter")}
            help={t("money.arbiterHelp")}
            placeholder="0x…"
            optional
            mono
          />
        </Advanced>
      </div>
    </Card>
  );
}

/** What nodes that fit otherwise ask for, as bounties: they are paid what is left of one after the fee. */
function Floors({
  floors: { min, median, max },
  feeBps,
}: {
  floors: MatchPreview["price_floors"];
  feeBps: number;
}) {
  const t = useMessages(messages);
  const { setValue } = useFormContext<Draft>();
  const { symbol, decimals } = useCoin();
  if (min == null || median == null || max == null || BigInt(max) === 0n) return null;
  const bounty = (floor: string) => bountyFor(BigInt(floor), feeBps);
  const money = (floor: string) => `${shortAmount(bounty(floor), decimals)} ${symbol}`;
  const use = () =>
    setValue("bounty", exactAmount(bounty(median), decimals), { shouldDirty: true, shouldValidate: true });
  return (
    <div className="flex flex-col items-start gap-1.5 text-[13px] text-ink-soft">
      <p>{t("money.floors", { min: money(min), median: money(median), max: money(max) })}</p>
      {BigInt(median) > 0n && (
        <Button size="sm" onClick={use}>
          {t("money.useMedian", { amount: money(median) })}
        </Button>
      )}
    </div>
  );
}

/** The deadline as two clocks show it. */
function DeadlineAt() {
  const t = useMessages(messages);
  const { language } = useI18n();
  const { control } = useFormContext<Draft>();
  const seconds = parseDuration(useWatch({ control, name: "deadline" }));
  const now = useNow(10_000);
  if (!now || seconds === undefined || seconds > 365 * 86_400) return <p className="h-[18px]" />;
  const at = now + seconds * 1000;
  const format = (timeZone?: string) =>
    new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", timeZone }).format(at);
  return (
    <p className="text-[13px] leading-[18px] text-ink-soft">
      {t("money.deadlineAt", { local: format(), utc: format("UTC") })}
    </p>
  );
}

function VerificationFields() {
  const t = useMessages(messages);
  const later = [t("money.rerun"), t("money.replicate"), t("money.approve")];
  return (
    <fieldset className="min-w-0">
      <legend className="mb-1.5 text-sm font-medium">{t("money.verification")}</legend>
      <div className="flex flex-col gap-2">
        <label className="flex items-start gap-2.5">
          <input type="radio" name="verification" checked readOnly className="mt-1 accent-(--brand)" />
          <span>
            {t("money.receipt")}
            <span className="block text-[13px] leading-[18px] text-ink-soft">{t("money.receiptHelp")}</span>
          </span>
        </label>
        {later.map((level) => (
          <label key={level} className="flex items-start gap-2.5 text-ink-soft">
            <input type="radio" name="verification" disabled className="mt-1" />
            <span>
              {level} <span className="text-[13px]">({t("money.notYet")})</span>
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
