"use client";
/** A modal dialog: the browser's own `<dialog>`, which traps focus, closes on Escape and gives focus back. */

import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { useT } from "@/lib/i18n";

export function Dialog({
  open,
  onClose,
  title,
  description,
  children,
  footer,
  size = "md",
  /** Money at stake: neither Escape nor a stray click may close it. */
  strict = false,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  children: ReactNode;
  footer?: ReactNode;
  size?: "md" | "lg";
  strict?: boolean;
}) {
  const t = useT();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (!element) return;
    if (open && !element.open) element.showModal();
    if (!open && element.open) element.close();
  }, [open]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a click beside the dialog is a convenience; Escape does the same.
    <dialog
      ref={dialog}
      aria-labelledby={`${id}-title`}
      aria-describedby={description ? `${id}-description` : undefined}
      onCancel={(event) => {
        event.preventDefault();
        if (!strict) onClose();
      }}
      onClose={(event) => {
        // A browser closes on a second Escape whatever is said to it. Where money is at stake it opens again.
        if (!open || event.target !== event.currentTarget) return;
        if (strict) event.currentTarget.showModal();
        else onClose();
      }}
      onClick={(event) => {
        if (!strict && event.target === event.currentTarget) onClose();
      }}
      className={`m-auto max-h-[92dvh] w-[calc(100vw-32px)] ${size === "lg" ? "max-w-2xl" : "max-w-md"} overflow-hidden rounded-xl border border-line bg-ground p-0 text-ink shadow-float`}
    >
      {open && (
        <div className="flex max-h-[92dvh] flex-col">
          <div className="flex items-start justify-between gap-4 border-b border-line px-5 py-4">
            <div>
              <h2 id={`${id}-title`} className="text-base font-semibold">
                {title}
              </h2>
              {description && (
                <p id={`${id}-description`} className="mt-1 text-ink-soft">
                  {description}
                </p>
              )}
            </div>
            <button
              type="button"
              aria-label={t("action.close")}
              onClick={onClose}
              className="-m-1 rounded-md p-1.5 text-ink-soft hover:bg-sunken"
            >
              <X className="size-4" aria-hidden="true" />
            </button>
          </div>
          <div className="overflow-y-auto px-5 py-4">{children}</div>
          {footer && (
            <div className="flex flex-wrap justify-end gap-2 border-t border-line px-5 py-4">{footer}</div>
          )}
        </div>
      )}
    </dialog>
  );
}
