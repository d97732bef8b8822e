"use client";
/** The filters of the list of jobs. They live in the address, so that a view can be shared. */

import { useEffect, useState } from "react";
import { Button } from "@/components/ui/button";
import type { JobState } from "@/lib/api";
import { useI18n, useMessages } from "@/lib/i18n";
import { JOB_STATUS, statusWords } from "@/lib/status";
import { isNode, type JobsFilter, ROLES } from "./jobs-query";
import { jobsMessages } from "./messages";

/** The list is asked for when one pauses, not with each letter. */
const PAUSE_MS = 300;

export function JobsFilters({
  filter,
  onChange,
}: {
  filter: JobsFilter;
  onChange: (filter: JobsFilter) => void;
}) {
  const t = useMessages(jobsMessages);
  const { language } = useI18n();
  const [q, setQ] = useState(filter.q ?? "");
  const [node, setNode] = useState(filter.node ?? "");
  const isNodeWrong = node !== "" && !isNode(node.toLowerCase());
  // biome-ignore lint/correctness/useExhaustiveDependencies: only what is typed here starts the pause.
  useEffect(() => {
    const { q: _q, node: _node, ...rest } = filter;
    const text = q.trim();
    const wanted = node.trim().toLowerCase();
    if (text === (filter.q ?? "") && wanted === (filter.node ?? "")) return;
    if (wanted !== "" && !isNode(wanted)) return;
    const timer = setTimeout(
      () => onChange({ ...rest, ...(text ? { q: text } : {}), ...(wanted ? { node: wanted } : {}) }),
      PAUSE_MS,
    );
    return () => clearTimeout(timer);
  }, [q, node]);
  const choose = (state: string) => {
    const { state: _state, ...rest } = filter;
    onChange(state === "" ? rest : { ...rest, state: state as JobState });
  };
  const clear = () => {
    setQ("");
    setNode("");
    onChange({ role: filter.role });
  };
  const isFiltered = filter.q !== undefined || filter.node !== undefined || filter.state !== undefined;
  return (
    <div className="flex flex-wrap items-center gap-3">
      <fieldset className="flex rounded-lg border border-line p-0.5">
        <legend className="sr-only">{t("role")}</legend>
        {ROLES.map((role) => (
          <label
            key={role}
            className="flex min-h-8 cursor-pointer items-center rounded-md px-3 text-[13px] font-medium text-ink-soft has-checked:bg-sunken has-checked:text-ink has-focus-visible:outline-2 has-focus-visible:outline-brand"
          >
            <input
              type="radio"
              name="role"
              className="sr-only"
              checked={filter.role === role}
              onChange={() => onChange({ ...filter, role })}
            />
            {t(`role.${role}`)}
          </label>
        ))}
      </fieldset>
      <select
        aria-label={t("state")}
        className="field-box w-auto min-w-36"
        value={filter.state ?? ""}
        onChange={(event) => choose(event.target.value)}
      >
        <option value="">{t("anyState")}</option>
        {(Object.keys(JOB_STATUS) as JobState[]).map((state) => (
          <option key={state} value={state}>
            {statusWords(JOB_STATUS[state], language).word}
          </option>
        ))}
      </select>
      <input
        type="search"
        aria-label={t("search")}
        placeholder={t("search")}
        className="field-box w-auto min-w-0 flex-1 basis-44 sm:max-w-64"
        value={q}
        maxLength={100}
        onChange={(event) => setQ(event.target.value)}
      />
      <div className="min-w-0 flex-1 basis-44 sm:max-w-64">
        <input
          aria-label={t("node")}
          placeholder={`${t("node")} ${t("nodePlaceholder")}`}
          className="field-box font-mono"
          spellCheck={false}
          value={node}
          aria-invalid={isNodeWrong || undefined}
          title={isNodeWrong ? t("badNode") : undefined}
          onChange={(event) => setNode(event.target.value)}
        />
      </div>
      {isFiltered && (
        <Button look="quiet" onClick={clear}>
          {t("clear")}
        </Button>
      )}
    </div>
  );
}
