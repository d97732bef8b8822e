"use client";
/** The fields of the form: bound to the draft, with the sentences of what is wrong. */

import { ChevronRight } from "lucide-react";
import { cloneElement, type ReactElement, type ReactNode, useId } from "react";
import { type FieldPath, get, useFormContext } from "react-hook-form";
import { Field } from "@/components/ui/field";
import type { Draft } from "@/lib/draft";
import { useMessages } from "@/lib/i18n";
import { type Issue, LIMITS } from "@/lib/spec-schema";
import { issueMessages } from "./issues";
import { messages } from "./messages";

/** The sentence of what is wrong with a field, once it should be said. */
export function useIssue(name: string): string | undefined {
  const { formState } = useFormContext<Draft>();
  const t = useMessages(issueMessages);
  const { message: issue } = (get(formState.errors, name) ?? {}) as { message?: Issue };
  return issue && t(issue, LIMITS);
}

type Common = {
  name: FieldPath<Draft>;
  label: string;
  help?: ReactNode;
  optional?: boolean;
  action?: ReactNode;
};

function Label({ label, optional }: { label: string; optional: boolean | undefined }) {
  const t = useMessages(messages);
  return (
    <>
      {label}
      {optional && <span className="ml-1.5 font-normal text-ink-soft">{t("optional")}</span>}
    </>
  );
}

export function TextField({
  name,
  label,
  help,
  optional,
  action,
  placeholder,
  mono = false,
  numeric = false,
  after,
  onTyped,
}: Common & {
  placeholder?: string;
  mono?: boolean;
  numeric?: boolean;
  after?: ReactNode;
  onTyped?: () => void;
}) {
  const { register } = useFormContext<Draft>();
  const error = useIssue(name);
  return (
    <Field label={<Label label={label} optional={optional} />} help={help} error={error} action={action}>
      <Boxed after={after}>
        <input
          {...register(name, { onChange: onTyped })}
          placeholder={placeholder}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          inputMode={numeric ? "decimal" : undefined}
          className={`field-box ${mono ? "font-mono text-[13px]" : ""}`}
        />
      </Boxed>
    </Field>
  );
}

/** Gives what `Field` says of its control to the input, with a word after it. */
function Boxed({
  after,
  children,
  ...control
}: {
  after: ReactNode;
  children: ReactElement<object>;
  id?: string;
}) {
  const input = cloneElement(children, control);
  if (!after) return input;
  return (
    <div className="flex items-center gap-2">
      {input}
      <span className="shrink-0 text-ink-soft">{after}</span>
    </div>
  );
}

export function TextArea({
  name,
  label,
  help,
  optional,
  action,
  placeholder,
  rows = 3,
}: Common & { placeholder?: string; rows?: number }) {
  const { register } = useFormContext<Draft>();
  const error = useIssue(name);
  return (
    <Field label={<Label label={label} optional={optional} />} help={help} error={error} action={action}>
      <textarea
        {...register(name)}
        rows={rows}
        placeholder={placeholder}
        autoCapitalize="off"
        spellCheck={false}
        className="field-box font-mono text-[13px]"
      />
    </Field>
  );
}

export function SelectField({ name, label, help, children }: Common & { children: ReactNode }) {
  const { register } = useFormContext<Draft>();
  return (
    <Field label={label} help={help} error={useIssue(name)}>
      <select {...register(name)} className="field-box">
        {children}
      </select>
    </Field>
  );
}

/** One of a few, side by side. */
export function Choice<Value extends string>({
  legend,
  value,
  onChange,
  options,
  small = false,
}: {
  legend: string;
  value: Value;
  onChange: (value: Value) => void;
  options: readonly { value: Value; label: string }[];
  small?: boolean;
}) {
  const group = useId();
  return (
    <fieldset className="inline-flex max-w-full self-start overflow-x-auto rounded-lg border border-line-strong p-0.5">
      <legend className="sr-only">{legend}</legend>
      {options.map((option) => (
        <label
          key={option.value}
          className={`cursor-pointer rounded-md whitespace-nowrap text-ink-soft has-checked:bg-brand-tint has-checked:font-medium has-checked:text-ink has-focus-visible:outline-2 has-focus-visible:outline-brand ${small ? "px-2 py-0.5 text-[13px]" : "px-3 py-1"}`}
        >
          <input
            type="radio"
            name={group}
            value={option.value}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
            className="sr-only"
          />
          {option.label}
        </label>
      ))}
    </fieldset>
  );
}

/** A part of the form that most people leave closed. It opens by itself where something in it is wrong. */
export function Advanced({ fields, children }: { fields: readonly string[]; children: ReactNode }) {
  const t = useMessages(messages);
  const { formState } = useFormContext<Draft>();
  const isWrong = fields.some((name) => get(formState.errors, name));
  return (
    <details className="group border-t border-line pt-3" open={isWrong || undefined}>
      <summary className="-mx-1 inline-flex items-center gap-1 rounded px-1 py-1 font-medium select-none">
        <ChevronRight className="size-4 transition-transform group-open:rotate-90" aria-hidden="true" />
        {t("advanced")}
      </summary>
      <div className="grid gap-4 pt-3 sm:grid-cols-2">{children}</div>
    </details>
  );
}
