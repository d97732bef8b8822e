"use client";
/** A form field: a visible label, a line of help, and an error that is read out with the control. */

import { CircleAlert } from "lucide-react";
import { cloneElement, type ReactElement, type ReactNode, useId } from "react";
import { useT } from "@/lib/i18n";

type ControlProps = { id?: string; "aria-describedby"?: string; "aria-invalid"?: boolean };

export function Field({
  label,
  help,
  error,
  optional,
  action,
  children,
}: {
  label: ReactNode;
  help?: ReactNode;
  error?: string | undefined;
  optional?: boolean;
  /** A small control beside the label, such as an example button. */
  action?: ReactNode;
  children: ReactElement<ControlProps>;
}) {
  const t = useT();
  const made = useId();
  const id = children.props.id ?? made;
  const described = [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <div className="flex flex-wrap items-baseline justify-between gap-x-3 gap-y-1">
        <label htmlFor={id} className="text-sm font-medium">
          {label}
          {optional && <span className="ml-1.5 font-normal text-ink-soft">{t("field.optional")}</span>}
        </label>
        {action}
      </div>
      {cloneElement(children, {
        id,
        "aria-describedby": described || undefined,
        "aria-invalid": error ? true : undefined,
      })}
      {error && (
        <p id={`${id}-error`} className="flex items-start gap-1.5 text-[13px] text-bad">
          <CircleAlert className="mt-0.5 size-3.5 shrink-0" aria-hidden="true" />
          {error}
        </p>
      )}
      {help && (
        <p id={`${id}-help`} className="text-[13px] leading-[18px] text-ink-soft">
          {help}
        </p>
      )}
    </div>
  );
}
