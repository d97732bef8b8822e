"use client";
/** The local data of this site: as a file, from a file, or away with it. */

import { useEffect, useRef, useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Notice } from "@/components/ui/notice";
import { Card, Facts } from "@/components/ui/page";
import { useMessages, useT } from "@/lib/i18n";
import { applyTheme } from "@/lib/theme";
import { countEntries, exportData, forget, importData, type Refusal, readData } from "./local-data";
import { settingsMessages } from "./messages";

type Outcome =
  | { kind: "imported"; added: number; kept: number }
  | { kind: "refused"; why: Refusal | "full" }
  | { kind: "forgotten" };

export function DataSetting() {
  const m = useMessages(settingsMessages);
  const t = useT();
  const file = useRef<HTMLInputElement>(null);
  const [counts, setCounts] = useState<ReturnType<typeof countEntries>>();
  const [outcome, setOutcome] = useState<Outcome>();
  const [isAsking, setIsAsking] = useState(false);
  const count = () => setCounts(countEntries(localStorage));
  useEffect(count, []);

  const save = () => {
    const url = URL.createObjectURL(new Blob([exportData(localStorage)], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = "gristmill-data.json";
    link.click();
    URL.revokeObjectURL(url);
  };
  const load = async (chosen: File) => {
    const data = readData(await chosen.text());
    if (typeof data === "string") return setOutcome({ kind: "refused", why: data });
    try {
      setOutcome({ kind: "imported", ...importData(localStorage, data) });
    } catch {
      setOutcome({ kind: "refused", why: "full" });
    }
    count();
  };
  const away = () => {
    forget(localStorage, sessionStorage);
    applyTheme("system");
    setOutcome({ kind: "forgotten" });
    setIsAsking(false);
    count();
  };

  return (
    <Card title={m("data")}>
      <div className="flex flex-col gap-4">
        <p className="text-ink-soft">{m("dataLead")}</p>
        <Facts
          items={[
            [m("records"), counts?.submissions ?? "…"],
            [m("others"), counts?.others ?? "…"],
          ]}
        />
        <div className="flex flex-wrap gap-2">
          <Button onClick={save}>{m("export")}</Button>
          <Button onClick={() => file.current?.click()}>{m("import")}</Button>
          <input
            ref={file}
            type="file"
            accept="application/json,.json"
            aria-label={m("import")}
            className="hidden"
            onChange={(event) => {
              const chosen = event.target.files?.[0];
              event.target.value = "";
              if (chosen) void load(chosen);
            }}
          />
          <Button look="danger" onClick={() => setIsAsking(true)} aria-haspopup="dialog">
            {m("forget")}
          </Button>
        </div>
        <div aria-live="polite">
          {outcome?.kind === "imported" && (
            <Notice tone="good">{m("imported", { added: outcome.added, kept: outcome.kept })}</Notice>
          )}
          {outcome?.kind === "refused" && <Notice tone="bad">{m(`refused.${outcome.why}`)}</Notice>}
          {outcome?.kind === "forgotten" && <Notice tone="good">{m("forgotten")}</Notice>}
        </div>
      </div>
      <Dialog
        open={isAsking}
        onClose={() => setIsAsking(false)}
        title={m("forgetTitle")}
        footer={
          <>
            <Button onClick={() => setIsAsking(false)}>{t("action.cancel")}</Button>
            <Button look="danger" onClick={away}>
              {m("forget")}
            </Button>
          </>
        }
      >
        <p>{m("forgetText", { submissions: counts?.submissions ?? 0 })}</p>
      </Dialog>
    </Card>
  );
}
