"use client";
/** Tabs after the WAI-ARIA pattern: arrow keys move, one panel shows. */

import { type KeyboardEvent, type ReactNode, useId, useRef } from "react";

export type Tab = { key: string; label: string; content: ReactNode; disabled?: boolean };

export function Tabs({
  tabs,
  selected,
  onSelect,
  label,
}: {
  tabs: readonly Tab[];
  selected: string;
  onSelect: (key: string) => void;
  label: string;
}) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const enabled = tabs.filter((tab) => !tab.disabled);
  const current = enabled.find((tab) => tab.key === selected) ?? enabled[0];
  const move = (event: KeyboardEvent) => {
    const at = enabled.findIndex((tab) => tab.key === current?.key);
    const steps: Record<string, number> = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: enabled.length - 1,
    };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = enabled[(to + enabled.length) % enabled.length];
    if (!next) return;
    onSelect(next.key);
    list.current?.querySelector<HTMLElement>(`[data-key="${next.key}"]`)?.focus();
  };
  return (
    <div>
      <div
        ref={list}
        role="tablist"
        aria-label={label}
        onKeyDown={move}
        className="flex gap-1 overflow-x-auto border-b border-line"
      >
        {tabs.map((tab) => (
          <button
            key={tab.key}
            type="button"
            role="tab"
            data-key={tab.key}
            id={`${id}-${tab.key}`}
            aria-selected={tab.key === current?.key}
            aria-controls={`${id}-${tab.key}-panel`}
            tabIndex={tab.key === current?.key ? 0 : -1}
            disabled={tab.disabled}
            onClick={() => onSelect(tab.key)}
            className="-mb-px border-b-2 border-transparent px-3 py-2.5 text-sm font-medium whitespace-nowrap text-ink-soft -outline-offset-2 hover:text-ink disabled:opacity-50 aria-selected:border-brand aria-selected:text-ink"
          >
            {tab.label}
          </button>
        ))}
      </div>
      {current && (
        <div
          role="tabpanel"
          id={`${id}-${current.key}-panel`}
          aria-labelledby={`${id}-${current.key}`}
          className="pt-5"
        >
          {current.content}
        </div>
      )}
    </div>
  );
}
