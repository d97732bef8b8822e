"use client";
/** A whole spec at once. Fields that are unknown are refused by their names. */

import { useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { errorText } from "@/components/ui/empty";
import { Field } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import type { JobSpec } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { checkSpec, LIMITS } from "@/lib/spec-schema";
import { issueMessages } from "./issues";
import { messages } from "./messages";

/** Blanks may take room that the canonical form does not. */
const CHARS_MAX = 4 * LIMITS.specBytes;
const PROBLEMS_MAX = 8;

export function PasteDialog({ onClose, onSpec }: { onClose: () => void; onSpec: (spec: JobSpec) => void }) {
  const t = useMessages(messages);
  const sentence = useMessages(issueMessages);
  const [text, setText] = useState("");
  const [problems, setProblems] = useState<string[]>([]);
  const apply = () => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      setProblems([t("paste.notJson", { reason: errorText(error) })]);
      return;
    }
    const checked = checkSpec(value);
    if ("spec" in checked) {
      onSpec(checked.spec);
      onClose();
      return;
    }
    const described = checked.issues.map(({ path, issue }) =>
      t("paste.field", { field: path || "spec", problem: sentence(issue, LIMITS) }),
    );
    setProblems(described.slice(0, PROBLEMS_MAX));
  };
  return (
    <Dialog
      open
      size="lg"
      onClose={onClose}
      title={t("paste")}
      footer={
        <Button look="primary" disabled={text.trim() === ""} onClick={apply}>
          {t("paste.apply")}
        </Button>
      }
    >
      <div className="flex flex-col gap-3">
        <Field label={t("paste.label")} help={t("paste.help")}>
          <textarea
            rows={14}
            maxLength={CHARS_MAX}
            spellCheck={false}
            value={text}
            onChange={(event) => setText(event.target.value)}
            className="field-box font-mono text-[13px]"
          />
        </Field>
        {problems.length > 0 && (
          <Notice tone="bad" live>
            <ul className="flex flex-col gap-1">
              {problems.map((problem) => (
                <li key={problem}>{problem}</li>
              ))}
            </ul>
          </Notice>
        )}
      </div>
    </Dialog>
  );
}
