"use client";
/** What the program reads: content on IPFS, links with a hash, and files of this device. */

import { FolderUp, Plus, X } from "lucide-react";
import { type DragEvent, useId, useState } from "react";
import { useFieldArray, useFormContext, useWatch } from "react-hook-form";
import { useInfo } from "@/components/banners";
import { Button, buttonClass } from "@/components/ui/button";
import { Card } from "@/components/ui/page";
import { type Draft, EMPTY_INPUT, type InputSource } from "@/lib/draft";
import { useMessages } from "@/lib/i18n";
import { formatBytes } from "@/lib/quantity";
import { Choice, TextField, useIssue } from "./form-fields";
import { messages } from "./messages";
import { PackedFile, usePacking } from "./packing";

export function DataSection() {
  const t = useMessages(messages);
  const { control } = useFormContext<Draft>();
  const { fields, append, remove } = useFieldArray({ control, name: "inputs" });
  const tooMany = useIssue("inputs");
  const add = () => {
    const path = fields.length === 0 ? "data" : `data-${fields.length + 1}`;
    append({ ...EMPTY_INPUT, path });
  };
  return (
    <Card
      title={t("data.title")}
      action={
        <Button size="sm" onClick={add}>
          <Plus className="size-4" aria-hidden="true" />
          {t("data.add")}
        </Button>
      }
    >
      {fields.length === 0 && <p className="text-ink-soft">{t("data.none")}</p>}
      {tooMany && <p className="mb-2 text-[13px] text-bad">{tooMany}</p>}
      <div className="flex flex-col divide-y divide-line">
        {fields.map((field, at) => (
          <InputFields key={field.id} at={at} onRemove={() => remove(at)} />
        ))}
      </div>
    </Card>
  );
}

function InputFields({ at, onRemove }: { at: number; onRemove: () => void }) {
  const t = useMessages(messages);
  const { control, setValue } = useFormContext<Draft>();
  const input = useWatch({ control, name: `inputs.${at}` });
  const choose = (source: InputSource) => {
    setValue(`inputs.${at}`, { ...input, source, uri: "", sha256: "", file: "" }, { shouldDirty: true });
  };
  const title = t("data.input", { number: at + 1 });
  return (
    <fieldset className="flex min-w-0 flex-col gap-3 py-4 first:pt-0 last:pb-0">
      <legend className="sr-only">{title}</legend>
      <div className="flex flex-wrap items-center justify-between gap-2">
        <Choice
          legend={`${t("data.source")}: ${title}`}
          value={input.source}
          onChange={choose}
          options={[
            { value: "upload", label: t("data.upload") },
            { value: "ipfs", label: t("data.ipfs") },
            { value: "https", label: t("data.https") },
          ]}
        />
        <Button look="quiet" size="sm" onClick={onRemove} aria-label={`${t("remove")}: ${title}`}>
          <X className="size-4" aria-hidden="true" />
        </Button>
      </div>
      {input.source === "upload" && <Dropped at={at} />}
      {input.source === "ipfs" && (
        <TextField name={`inputs.${at}.uri`} label={t("data.uri")} placeholder="bafybei…" mono />
      )}
      {input.source === "https" && (
        <>
          <TextField name={`inputs.${at}.uri`} label={t("data.url")} placeholder="https://" mono />
          <TextField name={`inputs.${at}.sha256`} label={t("data.sha256")} help={t("data.sha256Help")} mono />
        </>
      )}
      <TextField
        name={`inputs.${at}.path`}
        label={t("data.path")}
        help={t("data.pathHelp", { path: input.path || "…" })}
        mono
      />
    </fieldset>
  );
}

/** The paths that this form gives by itself. */
const OWN_PATH = /^data(-\d+)?$/;

/** A place to drop files on, and the same for keyboards. */
function Dropped({ at }: { at: number }) {
  const t = useMessages(messages);
  const { control, getValues, setValue } = useFormContext<Draft>();
  const input = useWatch({ control, name: `inputs.${at}` });
  const info = useInfo();
  const [isOver, setOver] = useState(false);
  const error = useIssue(`inputs.${at}.uri`);
  const packing = usePacking(info.data?.content_bytes_max, ({ cid, bytes }, file) => {
    setValue(`inputs.${at}.file`, `${file} (${formatBytes(bytes)})`, { shouldDirty: true });
    setValue(`inputs.${at}.uri`, `ipfs://${cid}`, { shouldValidate: true, shouldDirty: true });
    // A program looks for its data under the name that it has at home. A path that a person chose stays.
    const isOurs = OWN_PATH.test(getValues(`inputs.${at}.path`));
    if (isOurs) setValue(`inputs.${at}.path`, file, { shouldValidate: true, shouldDirty: true });
  });
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    // The list is gone once this handler ends, so what is in it is taken out at once.
    const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
    const entries = items.flatMap((item) => item.webkitGetAsEntry() ?? []);
    const files = items.flatMap((item) => item.getAsFile() ?? []);
    packing.add(async () => {
      const { fromFileList, readEntries } = await import("./pack/car");
      // Files that were put into the drop by a program have no entries.
      return entries.length > 0 ? readEntries(entries) : fromFileList(files);
    });
  };
  const choose = (files: FileList | null) => {
    // The list empties with the input, so its files are kept.
    const chosen = [...(files ?? [])];
    if (chosen.length === 0) return;
    packing.add(async () => (await import("./pack/car")).fromFileList(chosen));
  };
  const size = info.data ? formatBytes(info.data.content_bytes_max) : "…";
  return (
    <div className="flex flex-col gap-2">
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is a convenience; the buttons inside do the same. */}
      <div
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
        data-drop
        className={`flex flex-col items-center gap-2 rounded-lg border border-dashed px-4 py-6 text-center ${isOver ? "border-brand bg-brand-tint" : "border-line-strong"}`}
      >
        <FolderUp className="size-5 text-ink-soft" aria-hidden="true" />
        <p>{t("data.drop")}</p>
        <div className="flex flex-wrap justify-center gap-2">
          <Picker label={t("data.files")} onChoose={choose} />
          <Picker label={t("data.folder")} onChoose={choose} folder />
        </div>
        <p className="text-[13px] text-ink-soft">{t("data.dropped", { size })}</p>
      </div>
      {packing.note}
      {input.file && input.uri && !packing.note && (
        <PackedFile name={input.file} cid={input.uri.replace("ipfs://", "")} />
      )}
      {error && !packing.note && (
        <p role="alert" className="text-[13px] text-bad">
          {t("data.empty")}
        </p>
      )}
    </div>
  );
}

function Picker({
  label,
  onChoose,
  folder = false,
}: {
  label: string;
  onChoose: (files: FileList | null) => void;
  folder?: boolean;
}) {
  const id = useId();
  return (
    <label
      htmlFor={id}
      className={buttonClass(
        "secondary",
        "sm",
        "cursor-pointer has-focus-visible:outline-2 has-focus-visible:outline-brand",
      )}
    >
      {label}
      <input
        id={id}
        type="file"
        multiple
        className="sr-only"
        {...(folder ? { webkitdirectory: "" } : {})}
        onChange={(event) => {
          onChoose(event.target.files);
          event.target.value = "";
        }}
      />
    </label>
  );
}
