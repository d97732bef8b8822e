"use client";
/** The filters above the list of nodes. Every change goes into the page's address. */

import { useEffect, useState } from "react";
import { useCoin } from "@/components/money";
import { Button } from "@/components/ui/button";
import { Field } from "@/components/ui/field";
import type { NodeView } from "@/lib/api";
import { useI18n, useMessages } from "@/lib/i18n";
import { parseAmount } from "@/lib/money";
import { NODE_STATUS, statusWords } from "@/lib/status";
import {
  isFiltered,
  NODE_STATES,
  type NodeFilters,
  RUNTIMES,
  SORTS,
  type Sort,
  WITHOUT_GPU,
} from "./filters";
import { nodeMessages } from "./messages";

const VRAM_CHOICES_GIB = [8, 12, 16, 24, 40, 48, 80] as const;

export function FilterBar({
  nodes,
  filters,
  onChange,
  onClear,
}: {
  nodes: readonly NodeView[];
  filters: NodeFilters;
  onChange: (change: Partial<NodeFilters>) => void;
  onClear: () => void;
}) {
  const m = useMessages(nodeMessages);
  const { language } = useI18n();
  const coin = useCoin();
  const known = nodes.flatMap(({ offer }) => (offer.gpus ?? []).map(({ model }) => model));
  const isNamed = filters.gpu && filters.gpu !== WITHOUT_GPU;
  const models = [...new Set([...known, ...(isNamed ? [filters.gpu as string] : [])])].sort();
  return (
    <search
      aria-label={m("filters")}
      className="grid grid-cols-2 items-start gap-3 md:grid-cols-3 xl:grid-cols-6"
    >
      <Field label={m("gpu")}>
        <select
          className="field-box"
          value={filters.gpu ?? ""}
          onChange={(event) => onChange({ gpu: event.target.value || undefined })}
        >
          <option value="">{m("anyGpu")}</option>
          <option value={WITHOUT_GPU}>{m("noGpu")}</option>
          {models.map((model) => (
            <option key={model} value={model}>
              {model}
            </option>
          ))}
        </select>
      </Field>
      <Field label={m("vram")}>
        <select
          className="field-box"
          value={filters.vramGib ?? ""}
          onChange={(event) => onChange({ vramGib: Number(event.target.value) || undefined })}
        >
          <option value="">{m("anyVram")}</option>
          {VRAM_CHOICES_GIB.map((gib) => (
            <option key={gib} value={gib}>
              {m("vramLeast", { gib })}
            </option>
          ))}
        </select>
      </Field>
      <PriceField
        label={`${m("price")}, ${coin.symbol}`}
        price={filters.price}
        decimals={coin.decimals}
        onChange={(price) => onChange({ price })}
      />
      <Field label={m("runtime")}>
        <select
          className="field-box"
          value={filters.runtime ?? ""}
          onChange={(event) => onChange({ runtime: RUNTIMES.find((one) => one === event.target.value) })}
        >
          <option value="">{m("anyRuntime")}</option>
          {RUNTIMES.map((runtime) => (
            <option key={runtime} value={runtime}>
              {runtime === "wasm" ? "WASM" : "Docker"}
            </option>
          ))}
        </select>
      </Field>
      <Field label={m("state")}>
        <select
          className="field-box"
          value={filters.state ?? ""}
          onChange={(event) => onChange({ state: NODE_STATES.find((one) => one === event.target.value) })}
        >
          <option value="">{m("anyState")}</option>
          {NODE_STATES.map((state) => (
            <option key={state} value={state}>
              {statusWords(NODE_STATUS[state], language).word}
            </option>
          ))}
        </select>
      </Field>
      <Field label={m("sort")}>
        <select
          className="field-box"
          value={`${filters.descending ? "-" : ""}${filters.sort}`}
          onChange={(event) => {
            const { value } = event.target;
            const sort = SORTS.find((one) => one === value.replace(/^-/, "")) as Sort;
            onChange({ sort, descending: value.startsWith("-") });
          }}
        >
          {SORTS.flatMap((sort) => [
            <option key={sort} value={sort}>
              {m(`sort.${sort}`)} ↑
            </option>,
            <option key={`-${sort}`} value={`-${sort}`}>
              {m(`sort.${sort}`)} ↓
            </option>,
          ])}
        </select>
      </Field>
      {isFiltered(filters) && (
        <Button size="sm" onClick={onClear} className="col-span-full justify-self-start">
          {m("clear")}
        </Button>
      )}
    </search>
  );
}

/** Typed freely; what is an amount counts at once, what is none yet does not. */
function PriceField({
  label,
  price,
  decimals,
  onChange,
}: {
  label: string;
  price: string | undefined;
  decimals: number;
  onChange: (price: string | undefined) => void;
}) {
  const [text, setText] = useState(price ?? "");
  useEffect(() => setText((typed) => (typed.trim() === (price ?? "") ? typed : (price ?? ""))), [price]);
  const isWrong = text.trim() !== "" && parseAmount(text, decimals) === undefined;
  return (
    <Field label={label}>
      <input
        className="field-box text-right"
        inputMode="decimal"
        placeholder="1.5"
        aria-invalid={isWrong || undefined}
        value={text}
        onChange={(event) => {
          const typed = event.target.value;
          setText(typed);
          if (typed.trim() === "") onChange(undefined);
          else if (parseAmount(typed, decimals) !== undefined) onChange(typed.trim());
        }}
      />
    </Field>
  );
}
