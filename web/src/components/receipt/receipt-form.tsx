"use client";
/** Takes a receipt file (pasted, dropped or chosen), or the id of a job. */

import { type DragEvent, type FormEvent, useId, useState } from "react";
import { Button, buttonClass } from "@/components/ui/button";
import { Field } from "@/components/ui/field";
import { Card } from "@/components/ui/page";
import { useMessages } from "@/lib/i18n";
import { PROOF_BYTES_MAX, type Proof, ProofError, readProof } from "@/lib/verify";
import { receiptMessages } from "./messages";

const JOB_ID = /^0x[0-9a-f]{64}$/;

export function ReceiptForm({
  onProof,
  onJob,
}: {
  onProof: (proof: Proof) => void;
  onJob: (id: string) => void;
}) {
  const t = useMessages(receiptMessages);
  const fileId = useId();
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string>();
  const [isOver, setOver] = useState(false);
  const [job, setJob] = useState("");
  const [jobProblem, setJobProblem] = useState<string>();
  const words = (error: unknown) => {
    if (!(error instanceof ProofError)) throw error;
    if (error.kind === "too_large") return t("tooLarge");
    return error.kind === "not_json" ? t("notJson") : t("badPart", { part: error.part });
  };
  const take = (given: string) => {
    try {
      onProof(readProof(given));
    } catch (error) {
      setProblem(words(error));
    }
  };
  const takeFile = async (file: File | undefined) => {
    if (!file) return;
    if (file.size > PROOF_BYTES_MAX) return setProblem(t("tooLarge"));
    const given = await file.text();
    setText(given);
    take(given);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void takeFile(event.dataTransfer.files[0]);
  };
  const show = (event: FormEvent) => {
    event.preventDefault();
    const id = job.trim().toLowerCase();
    if (JOB_ID.test(id)) onJob(id);
    else setJobProblem(t("badId"));
  };
  return (
    <div className="grid items-start gap-4 lg:grid-cols-2">
      <Card>
        <form
          className={`flex flex-col gap-4 rounded-lg ${isOver ? "outline-2 outline-offset-8 outline-brand outline-dashed" : ""}`}
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={drop}
          onSubmit={(event) => {
            event.preventDefault();
            take(text);
          }}
        >
          <Field label={t("paste")} help={isOver ? t("drop") : t("pasteHelp")} error={problem}>
            <textarea
              className="field-box min-h-64 font-mono text-[12px]"
              spellCheck={false}
              value={text}
              onChange={(event) => {
                setText(event.target.value);
                setProblem(undefined);
              }}
            />
          </Field>
          <div className="flex flex-wrap gap-2">
            <Button type="submit" look="primary">
              {t("verify")}
            </Button>
            <label
              htmlFor={fileId}
              className={`${buttonClass("secondary")} cursor-pointer has-focus-visible:outline-2 has-focus-visible:outline-brand`}
            >
              {t("choose")}
              <input
                id={fileId}
                type="file"
                accept="application/json,.json"
                className="sr-only"
                onChange={(event) => void takeFile(event.target.files?.[0])}
              />
            </label>
          </div>
        </form>
      </Card>
      <Card title={t("or")}>
        <form onSubmit={show} className="flex flex-col gap-4">
          <Field label={t("jobId")} error={jobProblem}>
            <input
              className="field-box font-mono"
              spellCheck={false}
              autoComplete="off"
              value={job}
              onChange={(event) => {
                setJob(event.target.value);
                setJobProblem(undefined);
              }}
            />
          </Field>
          <Button type="submit" className="self-start">
            {t("show")}
          </Button>
        </form>
      </Card>
    </div>
  );
}
