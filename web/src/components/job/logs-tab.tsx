"use client";
/** The logs of a job, live: one attempt at a time, searched, followed and downloaded. */

import { ArrowDown, ArrowUp, Download, ScrollText } from "lucide-react";
import { type KeyboardEvent, useDeferredValue, useState } from "react";
import { Button, buttonClass } from "@/components/ui/button";
import { Empty, errorText } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { call, type JobView } from "@/lib/api";
import { useI18n, useMessages } from "@/lib/i18n";
import { LogLines } from "./log-lines";
import { logMessages } from "./log-messages";
import { saveBlob } from "./save-blob";
import { MATCHES_MAX, useLog, useLogSearch } from "./use-log";

export function LogsTab({ job }: { job: JobView }) {
  const t = useMessages(logMessages);
  const [chosen, setChosen] = useState<number>();
  const newest = job.attempts.at(-1)?.number;
  const attempt = chosen ?? newest;
  if (attempt === undefined) {
    return (
      <Empty icon={ScrollText} title={t("noAttempt")}>
        {t("noAttemptText")}
      </Empty>
    );
  }
  const choice = job.attempts.length > 1 && (
    <label className="flex items-center gap-2 text-[13px]">
      {t("attempt")}
      <select
        className="field-box w-auto min-w-16"
        value={attempt}
        onChange={(event) => setChosen(Number(event.target.value))}
      >
        {job.attempts.map(({ number }) => (
          <option key={number} value={number}>
            {number}
          </option>
        ))}
      </select>
    </label>
  );
  return <AttemptLog key={attempt} id={job.id} attempt={attempt} choice={choice} />;
}

function AttemptLog({ id, attempt, choice }: { id: string; attempt: number; choice: React.ReactNode }) {
  const t = useMessages(logMessages);
  const { language } = useI18n();
  const log = useLog(id, attempt);
  const [text, setText] = useState("");
  const wanted = useDeferredValue(text.trim());
  const matches = useLogSearch(log, wanted);
  const [at, setAt] = useState(0);
  const [wrap, setWrap] = useState(false);
  const [follow, setFollow] = useState(true);
  const [failure, setFailure] = useState<string>();
  const match = matches.length > 0 ? matches[Math.min(at, matches.length - 1)] : undefined;
  const go = (step: number) => {
    if (matches.length === 0) return;
    setFollow(false);
    setAt((before) => (before + step + matches.length) % matches.length);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    go(event.shiftKey ? -1 : 1);
  };
  const download = async () => {
    try {
      const answer = await call(`/v1/jobs/${id}/logs?attempt=${attempt}`);
      saveBlob(await answer.blob(), `${id.slice(0, 10)}-${attempt}.log`);
    } catch (error) {
      setFailure(errorText(error));
    }
  };
  const count = log.buffer.end - log.buffer.first;
  const many = matches.length >= MATCHES_MAX;
  const problem = log.error?.message ?? failure;
  return (
    <div className="overflow-hidden rounded-xl border border-line">
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-2.5">
        <input
          type="search"
          aria-label={t("search")}
          placeholder={t("search")}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
            setFollow(event.target.value === "" && follow);
          }}
          onKeyDown={onKey}
          className="field-box max-w-64 min-w-0 flex-1 basis-40"
        />
        {wanted !== "" && (
          <span className="flex items-center gap-1 text-[13px] text-ink-soft">
            <span aria-live="polite" className="min-w-20">
              {matches.length === 0
                ? t("none")
                : t(many ? "foundMany" : "found", { at: at + 1, count: matches.length })}
            </span>
            <button
              type="button"
              aria-label={t("previous")}
              className={buttonClass("quiet", "sm")}
              onClick={() => go(-1)}
            >
              <ArrowUp className="size-4" aria-hidden="true" />
            </button>
            <button
              type="button"
              aria-label={t("next")}
              className={buttonClass("quiet", "sm")}
              onClick={() => go(1)}
            >
              <ArrowDown className="size-4" aria-hidden="true" />
            </button>
          </span>
        )}
        <span className="ml-auto flex flex-wrap items-center gap-x-4 gap-y-2">
          {choice}
          <Toggle label={t("wrap")} checked={wrap} onChange={setWrap} />
          <Toggle label={t("follow")} checked={follow} onChange={setFollow} />
          <Button size="sm" onClick={() => void download()}>
            <Download className="size-4" aria-hidden="true" />
            {t("download")}
          </Button>
        </span>
      </div>
      {problem && (
        <Notice tone="bad" live>
          {t("failed", { reason: problem })}
        </Notice>
      )}
      {log.buffer.first > 0 && (
        <p className="border-b border-line px-4 py-2 text-[13px] text-ink-soft">
          {t("dropped", { count: log.buffer.first.toLocaleString(language) })}
        </p>
      )}
      <LogLines
        log={log}
        label={t("log", { number: attempt })}
        wrap={wrap}
        follow={follow}
        onFollow={setFollow}
        marked={match}
      />
      <p className="label flex flex-wrap justify-between gap-2 border-t border-line px-4 py-2">
        <span>
          {count > 0
            ? t("lines", { count: log.buffer.end.toLocaleString(language) })
            : t(log.state === "ended" ? "nothing" : "nothingYet")}
        </span>
        <span role="status">{t(log.state)}</span>
      </p>
    </div>
  );
}

function Toggle({
  label,
  checked,
  onChange,
}: {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}) {
  return (
    <label className="flex min-h-6 items-center gap-2 text-[13px]">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      {label}
    </label>
  );
}
