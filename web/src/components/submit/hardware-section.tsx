"use client";
/** The hardware that the job needs: cards with what is there now and what it asks for, and everything exactly. */

import { useId } from "react";
import { useFormContext, useWatch } from "react-hook-form";
import { useMarket } from "@/components/market/market-data";
import { useCoin } from "@/components/money";
import { useNodes } from "@/components/node/node-data";
import { Skeleton } from "@/components/ui/empty";
import { Card } from "@/components/ui/page";
import type { Draft } from "@/lib/draft";
import { useMessages } from "@/lib/i18n";
import { shortAmount } from "@/lib/money";
import { formatBytes, typedBytes } from "@/lib/quantity";
import { Advanced, SelectField, TextField } from "./form-fields";
import { gpuClasses, type Supply, supplyOf } from "./market";
import { messages } from "./messages";

type GpuWish = Pick<Draft, "gpus" | "gpuModels" | "vram" | "computeCapability">;
type GpuCard = {
  title: string;
  help: string;
  wish: GpuWish;
  supply: Supply;
  paid?: string | null | undefined;
};

const GIB = 1024 ** 3;
const NO_GPU: GpuWish = { gpus: "0", gpuModels: "", vram: "", computeCapability: "" };
/** Sizes that people ask for, where at least one node has them or more. */
const VRAM_STEPS = [8 * GIB, 24 * GIB, 80 * GIB];
/** More classes than these are chosen by their model's name. */
const CLASSES_MAX = 12;

function useCards(): { cards: GpuCard[]; isLoading: boolean; isFailed: boolean } {
  const t = useMessages(messages);
  const nodes = useNodes();
  const market = useMarket();
  const items = nodes.data?.pages.flatMap((page) => page.items) ?? [];
  const count = (least: number) =>
    supplyOf(items, (gpus) => gpus?.filter((gpu) => gpu.vram_bytes >= least).length ?? 0);
  const one = (change: Partial<GpuWish>): GpuWish => ({ ...NO_GPU, gpus: "1", ...change });
  const classes = gpuClasses(items).slice(0, CLASSES_MAX);
  const steps = VRAM_STEPS.filter((least) => classes.some(({ vramBytes }) => vramBytes >= least));
  const cards = [
    { title: t("gpu.none"), help: t("gpu.noneHelp"), wish: NO_GPU, supply: supplyOf(items, () => 1) },
    { title: t("gpu.any"), help: t("gpu.anyHelp"), wish: one({}), supply: count(0) },
    ...steps.map((least) => ({
      title: t("gpu.vram", { size: formatBytes(least) }),
      help: t("gpu.vramHelp"),
      wish: one({ vram: typedBytes(least) }),
      supply: count(least),
    })),
    ...classes.map(({ model, vramBytes, ...supply }) => ({
      title: model,
      help: formatBytes(vramBytes),
      wish: one({ gpuModels: model, vram: typedBytes(vramBytes) }),
      supply,
      paid: market.data?.classes.find((known) => known.model === model && known.vram_bytes === vramBytes)
        ?.paid_median,
    })),
  ];
  return { cards, isLoading: nodes.isPending, isFailed: nodes.isError };
}

function isChosen(draft: GpuWish, wish: GpuWish): boolean {
  if (wish.gpus === "0") return draft.gpus.trim() === "0";
  return (
    draft.gpus.trim() !== "0" &&
    draft.gpuModels === wish.gpuModels &&
    draft.vram === wish.vram &&
    draft.computeCapability === wish.computeCapability
  );
}

export function HardwareSection() {
  const t = useMessages(messages);
  const { control, setValue } = useFormContext<Draft>();
  const draft = useWatch({ control }) as Draft;
  const { cards, isLoading, isFailed } = useCards();
  const group = useId();
  const choose = (wish: GpuWish) => {
    for (const [name, value] of Object.entries(wish)) {
      setValue(name as keyof GpuWish, value, { shouldDirty: true, shouldValidate: true });
    }
  };
  return (
    <Card title={t("gpu.title")}>
      <div className="flex flex-col gap-4">
        <fieldset className="min-w-0">
          <legend className="sr-only">{t("gpu.legend")}</legend>
          <div className="grid grid-cols-2 gap-2 sm:grid-cols-3 xl:grid-cols-4">
            {cards.map((card) => (
              <GpuOption
                key={`${card.title} ${card.help}`}
                card={card}
                group={group}
                isLoading={isLoading}
                isFailed={isFailed}
                checked={isChosen(draft, card.wish)}
                onChoose={() => choose(card.wish)}
              />
            ))}
          </div>
          {isFailed && <p className="mt-2 text-[13px] text-ink-soft">{t("gpu.failed")}</p>}
        </fieldset>
        <Advanced fields={["gpus", "gpuModels", "vram", "computeCapability", "cpus", "memory", "disk"]}>
          <TextField name="gpus" label={t("gpu.count")} numeric />
          <TextField name="vram" label={t("gpu.minVram")} placeholder="24GiB" optional />
          <TextField name="gpuModels" label={t("gpu.models")} help={t("gpu.modelsHelp")} optional />
          <TextField
            name="computeCapability"
            label={t("gpu.capability")}
            help={t("gpu.capabilityHelp")}
            placeholder="8.6"
            optional
            numeric
          />
          <TextField name="cpus" label={t("gpu.cpus")} numeric />
          <TextField name="memory" label={t("gpu.memory")} placeholder="512MiB" />
          <TextField name="disk" label={t("gpu.disk")} help={t("gpu.diskHelp")} placeholder="1GiB" />
          <SelectField name="strategy" label={t("gpu.strategy")}>
            <option value="">{t("gpu.strategyDefault")}</option>
            <option value="best_fit">{t("gpu.best_fit")}</option>
            <option value="round_robin">{t("gpu.round_robin")}</option>
            <option value="cheapest">{t("gpu.cheapest")}</option>
            <option value="reputation">{t("gpu.reputation")}</option>
          </SelectField>
        </Advanced>
      </div>
    </Card>
  );
}

function GpuOption({
  card: { title, help, supply, paid },
  group,
  checked,
  isLoading,
  isFailed,
  onChoose,
}: {
  card: GpuCard;
  group: string;
  checked: boolean;
  isLoading: boolean;
  isFailed: boolean;
  onChoose: () => void;
}) {
  const t = useMessages(messages);
  const { symbol, decimals } = useCoin();
  const money = (amount: bigint) => `${shortAmount(amount, decimals)} ${symbol}`;
  return (
    <label className="relative flex min-w-0 cursor-pointer flex-col gap-0.5 rounded-lg border border-line px-3 py-2.5 hover:bg-raised has-checked:border-brand has-checked:bg-brand-tint has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-brand">
      <input type="radio" name={group} checked={checked} onChange={onChoose} className="sr-only" />
      <span className="font-semibold [overflow-wrap:anywhere]">{title}</span>
      <span className="text-[13px] text-ink-soft">{help}</span>
      <span className="mt-1.5 flex min-h-10 flex-col text-[13px] leading-5 text-ink-soft">
        {isLoading && <Skeleton className="h-4 w-24" />}
        {!isLoading && !isFailed && (
          <>
            <span className="flex items-center gap-1.5">
              <span
                className={`size-2 shrink-0 rounded-full ${supply.idle > 0 ? "bg-good" : "border border-line-strong"}`}
                aria-hidden="true"
              />
              {supply.total > 0
                ? t("gpu.idle", { idle: supply.idle, total: supply.total })
                : t("gpu.offline")}
            </span>
            {supply.floor !== undefined && supply.floor > 0n && (
              <span>{t("gpu.from", { amount: money(supply.floor) })}</span>
            )}
            {paid != null && <span>{t("gpu.paid", { amount: money(BigInt(paid)) })}</span>}
          </>
        )}
      </span>
    </label>
  );
}
