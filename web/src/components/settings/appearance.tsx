"use client";
/** Theme and language. Both apply at once. */

import { useEffect, useId, useState } from "react";
import { Card } from "@/components/ui/page";
import { LANGUAGES, useI18n, useMessages } from "@/lib/i18n";
import { applyTheme, storedTheme, type Theme } from "@/lib/theme";
import { settingsMessages } from "./messages";

const THEMES = ["system", "light", "dark"] as const satisfies readonly Theme[];

export function Appearance() {
  const m = useMessages(settingsMessages);
  const { language, choose } = useI18n();
  const [theme, setTheme] = useState<Theme>("system");
  useEffect(() => setTheme(storedTheme()), []);
  return (
    <Card title={m("look")}>
      <div className="flex flex-col gap-5">
        <Choice
          title={m("theme")}
          options={THEMES.map((value) => ({ value, name: m(value) }))}
          selected={theme}
          onSelect={(value) => {
            applyTheme(value);
            setTheme(value);
          }}
        />
        <Choice
          title={m("language")}
          options={LANGUAGES.map(({ code, name }) => ({ value: code, name, lang: code }))}
          selected={language}
          onSelect={choose}
        />
      </div>
    </Card>
  );
}

/** One of a few, as radio buttons that look like one control. */
function Choice<T extends string>({
  title,
  options,
  selected,
  onSelect,
}: {
  title: string;
  options: readonly { value: T; name: string; lang?: string }[];
  selected: T;
  onSelect: (value: T) => void;
}) {
  const name = useId();
  return (
    <fieldset>
      <legend className="mb-1.5 text-sm font-medium">{title}</legend>
      <div className="inline-flex flex-wrap gap-1 rounded-lg border border-line bg-raised p-1">
        {options.map(({ value, name: text, lang }) => (
          <label
            key={value}
            lang={lang}
            className="cursor-pointer rounded-md px-3 py-1 has-[:checked]:bg-ground has-[:checked]:font-medium has-[:checked]:ring-1 has-[:checked]:ring-line-strong has-[:focus-visible]:outline-2 has-[:focus-visible]:outline-brand"
          >
            <input
              type="radio"
              name={name}
              className="sr-only"
              checked={selected === value}
              onChange={() => onSelect(value)}
            />
            {text}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
