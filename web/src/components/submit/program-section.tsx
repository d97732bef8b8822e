"use client";
/** What runs: an image or a module, its arguments and its environment. */

import { Plus, X } from "lucide-react";
import { useId, useState } from "react";
import { useFieldArray, useFormContext, useWatch } from "react-hook-form";
import { useInfo } from "@/components/banners";
import { Button } from "@/components/ui/button";
import { errorText } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Card } from "@/components/ui/page";
import { quoteShell } from "@/lib/command-line";
import { commandOf, type Draft, defaultName, pinnedImage } from "@/lib/draft";
import { useMessages } from "@/lib/i18n";
import { formatBytes } from "@/lib/quantity";
import { Choice, TextArea, TextField, useIssue } from "./form-fields";
import { resolveImage } from "./market";
import { messages } from "./messages";
import { PackedFile, usePacking } from "./packing";

export function ProgramSection() {
  const t = useMessages(messages);
  const { setValue, control } = useFormContext<Draft>();
  const draft = useWatch({ control }) as Draft;
  return (
    <Card title={t("program.title")}>
      <div className="flex flex-col gap-4">
        <Choice
          legend={t("program.kind")}
          value={draft.runtime}
          onChange={(kind) => setValue("runtime", kind, { shouldValidate: true, shouldDirty: true })}
          options={[
            { value: "docker", label: t("program.docker") },
            { value: "wasm", label: t("program.wasm") },
          ]}
        />
        {draft.runtime === "docker" ? <ImageField draft={draft} /> : <ModuleFields draft={draft} />}
        <CommandField draft={draft} />
        <EnvironmentFields />
        <TextField
          name="name"
          label={t("program.name")}
          optional
          placeholder={defaultName(draft)}
          help={t("program.nameHelp")}
        />
      </div>
    </Card>
  );
}

function ImageField({ draft }: { draft: Draft }) {
  const t = useMessages(messages);
  const { setValue } = useFormContext<Draft>();
  const [state, setState] = useState<{ busy?: boolean; failure?: string; platform?: string }>({});
  const reference = draft.image.trim();
  const pinned = pinnedImage(draft);
  const resolve = async () => {
    setState({ busy: true });
    try {
      const { image, platform, bytes } = await resolveImage(reference);
      setValue("resolved", { reference, image }, { shouldDirty: true });
      // Only now the field is right.
      setValue("image", reference, { shouldValidate: true });
      setState({ platform: bytes == null ? platform : `${platform}, ${formatBytes(bytes)}` });
    } catch (error) {
      setState({ failure: errorText(error) });
    }
  };
  return (
    <div className="flex flex-col gap-2">
      <TextField
        name="image"
        label={t("program.image")}
        help={t("program.imageHelp")}
        placeholder="pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime"
        mono
        action={
          reference !== "" && !pinned ? (
            <Button size="sm" busy={state.busy ?? false} onClick={resolve}>
              {t("program.resolve")}
            </Button>
          ) : undefined
        }
      />
      <div aria-live="polite">
        {state.busy && <p className="text-[13px] text-ink-soft">{t("program.resolving")}</p>}
        {state.failure && !pinned && <Notice tone="bad">{state.failure}</Notice>}
        {pinned && draft.resolved?.reference === reference && (
          <p className="text-[13px] text-ink-soft">
            {t("program.resolved", { platform: state.platform ?? "linux/amd64" })}{" "}
            <span className="font-mono text-ink [overflow-wrap:anywhere]">{pinned}</span>
          </p>
        )}
      </div>
    </div>
  );
}

function ModuleFields({ draft }: { draft: Draft }) {
  const t = useMessages(messages);
  const { setValue } = useFormContext<Draft>();
  const info = useInfo();
  const packing = usePacking(info.data?.content_bytes_max, ({ cid }, file) => {
    setValue("moduleFile", file, { shouldDirty: true });
    setValue("module", cid, { shouldValidate: true, shouldDirty: true });
  });
  const id = useId();
  return (
    <>
      <div className="flex flex-col gap-2">
        <TextField
          name="module"
          label={t("program.module")}
          help={t("program.moduleHelp")}
          placeholder="bafkrei…"
          mono
          // What is typed is no longer the file.
          onTyped={() => setValue("moduleFile", "")}
          action={
            <label
              htmlFor={id}
              className="cursor-pointer text-[13px] font-medium text-brand underline-offset-2 hover:underline has-focus-visible:outline-2"
            >
              {t("program.moduleFile")}
              <input
                id={id}
                type="file"
                accept=".wasm,application/wasm"
                className="sr-only"
                onChange={(event) => {
                  const [file] = event.target.files ?? [];
                  if (file) packing.add(() => [{ name: file.name, file }]);
                  event.target.value = "";
                }}
              />
            </label>
          }
        />
        {packing.note}
        {draft.moduleFile && draft.module && !packing.note && (
          <PackedFile name={draft.moduleFile} cid={draft.module} />
        )}
      </div>
      <TextField name="fuel" label={t("program.fuel")} help={t("program.fuelHelp")} optional numeric mono />
    </>
  );
}

function CommandField({ draft }: { draft: Draft }) {
  const t = useMessages(messages);
  const { setValue } = useFormContext<Draft>();
  const choose = (form: Draft["commandForm"]) => {
    // The same arguments in the other form, where it can hold them.
    const words = commandOf(draft);
    if (!words || form === draft.commandForm) return;
    if (form === "lines" && words.some((word) => word === "" || word.includes("\n"))) return;
    const text = form === "lines" ? words.join("\n") : words.map(quoteShell).join(" ");
    setValue("commandForm", form, { shouldDirty: true });
    setValue("command", text, { shouldValidate: true, shouldDirty: true });
  };
  return (
    <TextArea
      name="command"
      label={t("program.command")}
      optional
      help={t("program.commandHelp")}
      placeholder={
        draft.commandForm === "lines" ? "python\ntrain.py\n--epochs=3" : "python train.py --epochs=3"
      }
      action={
        <Choice
          legend={t("program.command")}
          small
          value={draft.commandForm}
          onChange={choose}
          options={[
            { value: "lines", label: t("program.commandLines") },
            { value: "shell", label: t("program.commandShell") },
          ]}
        />
      }
    />
  );
}

function EnvironmentFields() {
  const t = useMessages(messages);
  const { control } = useFormContext<Draft>();
  const { fields, append, remove } = useFieldArray({ control, name: "env" });
  const tooMany = useIssue("env");
  return (
    <fieldset className="flex min-w-0 flex-col gap-2">
      <legend className="mb-1.5 text-sm font-medium">
        {t("program.env")} <span className="ml-1 font-normal text-ink-soft">{t("optional")}</span>
      </legend>
      {fields.map((field, at) => (
        <Variable key={field.id} at={at} onRemove={() => remove(at)} />
      ))}
      {tooMany && <p className="text-[13px] text-bad">{tooMany}</p>}
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <Button size="sm" onClick={() => append({ name: "", value: "" })}>
          <Plus className="size-4" aria-hidden="true" />
          {t("program.envAdd")}
        </Button>
        <span className="text-[13px] text-ink-soft">{t("program.envHelp")}</span>
      </div>
    </fieldset>
  );
}

function Variable({ at, onRemove }: { at: number; onRemove: () => void }) {
  const t = useMessages(messages);
  const { register } = useFormContext<Draft>();
  const nameError = useIssue(`env.${at}.name`);
  const valueError = useIssue(`env.${at}.value`);
  const errorId = useId();
  const error = nameError ?? valueError;
  const number = at + 1;
  return (
    <div className="flex flex-col gap-1">
      <div className="flex items-center gap-2">
        <input
          {...register(`env.${at}.name`)}
          aria-label={t("program.envName", { number })}
          aria-invalid={nameError ? true : undefined}
          aria-describedby={error ? errorId : undefined}
          placeholder="NAME"
          autoComplete="off"
          spellCheck={false}
          className="field-box max-w-48 font-mono text-[13px]"
        />
        <span aria-hidden="true">=</span>
        <input
          {...register(`env.${at}.value`)}
          aria-label={t("program.envValue", { number })}
          autoComplete="off"
          spellCheck={false}
          className="field-box font-mono text-[13px]"
        />
        <Button look="quiet" size="sm" onClick={onRemove} aria-label={`${t("remove")} ${number}`}>
          <X className="size-4" aria-hidden="true" />
        </Button>
      </div>
      {error && (
        <p id={errorId} className="text-[13px] text-bad">
          {error}
        </p>
      )}
    </div>
  );
}
