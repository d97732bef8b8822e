"use client";
/** The output of a job: its files, verified block by block in this browser, with previews and downloads. */

import { Download, FileText, PackageOpen } from "lucide-react";
import { useState } from "react";
import { formatBytes } from "@/components/receipt/bytes";
import { Checks } from "@/components/receipt/checks";
import { type Output, useOutput, useVerification, type Verification } from "@/components/receipt/use-output";
import { Button, buttonClass } from "@/components/ui/button";
import { Empty, ErrorState, errorText, LoadingRows } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Card } from "@/components/ui/page";
import type { JobView, Receipt } from "@/lib/api";
import type { ContentFile } from "@/lib/content";
import { useMessages } from "@/lib/i18n";
import { tar } from "./archive";
import { outcomeWords } from "./event-words";
import { FilePreview } from "./file-preview";
import { resultMessages } from "./result-messages";
import { saveBlob } from "./save-blob";

export function ResultTab({ job }: { job: JobView }) {
  const t = useMessages(resultMessages);
  const reported = job.attempts.findLast(({ receipt }) => receipt);
  const receipt = job.result ?? reported?.receipt;
  if (!receipt) {
    return (
      <Empty icon={PackageOpen} title={t("none")}>
        {t("noneText")}
      </Empty>
    );
  }
  return (
    <div className="flex flex-col gap-4">
      {!job.result && (
        <Notice tone="warn">
          {t("ofFailed", { number: receipt.attempt, outcome: outcomeWords(receipt.outcome) })}
        </Notice>
      )}
      <ResultFiles key={receipt.output_cid} receipt={receipt} />
    </div>
  );
}

function ResultFiles({ receipt }: { receipt: Receipt }) {
  const output = useOutput(receipt);
  const { state, start } = useVerification(receipt, output.data);
  if (output.isError) return <ErrorState error={output.error} onRetry={() => void output.refetch()} />;
  if (!output.data) return <LoadingRows rows={6} />;
  return (
    <>
      <VerificationCard receipt={receipt} state={state} start={start} />
      <Files receipt={receipt} output={output.data} />
    </>
  );
}

function VerificationCard({
  receipt,
  state,
  start,
}: {
  receipt: Receipt;
  state: Verification;
  start: () => void;
}) {
  const t = useMessages(resultMessages);
  switch (state.status) {
    case "reading":
      return (
        <Notice tone="info" live>
          {t("verifying", { share: Math.floor(100 * state.share) })}
        </Notice>
      );
    case "waiting":
      return (
        <Notice
          tone="info"
          action={
            <Button size="sm" onClick={start}>
              {t("verify", { bytes: formatBytes(receipt.output_bytes) })}
            </Button>
          }
        >
          {t("verifyText")}
        </Notice>
      );
    case "too_large":
      return <Notice tone="info">{t("tooLarge", { id: receipt.job_id.slice(0, 12) })}</Notice>;
    case "failed":
      return (
        <Notice tone="bad" live title={t("wrong")}>
          {errorText(state.error)}
        </Notice>
      );
    case "done": {
      const isRight = state.checks.every(({ verdict }) => verdict === "holds");
      return isRight ? (
        <Notice tone="good" live>
          {t("verified")}
        </Notice>
      ) : (
        <Notice tone="bad" live title={t("wrong")}>
          <Checks checks={state.checks} />
        </Notice>
      );
    }
  }
}

function Files({ receipt, output }: { receipt: Receipt; output: Output }) {
  const t = useMessages(resultMessages);
  const { content, files } = output;
  const [chosen, setChosen] = useState<ContentFile | undefined>(files[0]);
  const [share, setShare] = useState<number>();
  const [failure, setFailure] = useState<string>();
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const name = receipt.job_id.slice(0, 12);
  const save = async (wanted: readonly ContentFile[], make: (blobs: Blob[]) => [Blob, string]) => {
    const total = wanted.reduce((sum, file) => sum + file.bytes, 0);
    let read = 0;
    setFailure(undefined);
    setShare(0);
    try {
      const blobs: Blob[] = [];
      const onBytes = (more: number) => {
        read += more;
        setShare(total > 0 ? read / total : 1);
      };
      for (const file of wanted) blobs.push(await content.blob(file, { onBytes }));
      saveBlob(...make(blobs));
    } catch (error) {
      setFailure(errorText(error));
    } finally {
      setShare(undefined);
    }
  };
  const saveOne = (file: ContentFile) =>
    void save([file], ([blob = new Blob()]) => [blob, file.path.split("/").at(-1) ?? file.path]);
  const saveAll = () =>
    void save(files, (blobs) => [
      tar(files.map(({ path }, at) => ({ path, blob: blobs[at] ?? new Blob() }))),
      `${name}.tar`,
    ]);
  if (files.length === 0) {
    return (
      <Empty icon={PackageOpen} title={t("empty")}>
        {t("emptyText")}
      </Empty>
    );
  }
  return (
    <div className="grid items-start gap-4 lg:grid-cols-[minmax(280px,420px)_minmax(0,1fr)]">
      <Card
        flush
        title={t("fileCount", { count: files.length, bytes: formatBytes(bytes) })}
        action={
          <Button size="sm" onClick={saveAll} busy={share !== undefined}>
            {share === undefined ? t("downloadAll") : t("collecting", { share: Math.floor(100 * share) })}
          </Button>
        }
      >
        {failure && (
          <Notice tone="bad" live>
            {failure}
          </Notice>
        )}
        <ul aria-label={t("files")} className="max-h-[600px] overflow-y-auto">
          {files.map((file) => (
            <li
              key={file.path}
              className={`flex items-center gap-1 border-b border-line pr-2 last:border-0 ${file === chosen ? "bg-brand-tint" : "hover:bg-raised"}`}
            >
              <button
                type="button"
                aria-pressed={file === chosen}
                onClick={() => setChosen(file)}
                className="flex min-h-10 min-w-0 flex-1 items-center gap-2 px-4 text-left -outline-offset-2"
              >
                <FileText className="size-4 shrink-0 text-ink-soft" aria-hidden="true" />
                <span className="min-w-0 flex-1 font-mono text-[13px] [overflow-wrap:anywhere]">
                  {file.path}
                </span>
                <span className="text-[13px] whitespace-nowrap text-ink-soft">{formatBytes(file.bytes)}</span>
              </button>
              <button
                type="button"
                aria-label={t("downloadOne", { name: file.path })}
                onClick={() => saveOne(file)}
                className={buttonClass("quiet", "sm")}
              >
                <Download className="size-4" aria-hidden="true" />
              </button>
            </li>
          ))}
        </ul>
      </Card>
      <Card title={chosen ? <span className="font-mono">{chosen.path}</span> : t("preview")}>
        {chosen ? (
          <FilePreview key={chosen.path} content={content} file={chosen} />
        ) : (
          <p className="text-ink-soft">{t("choose")}</p>
        )}
      </Card>
    </div>
  );
}
