"use client";
/** The language of the page: English in the first load, others fetched when they are chosen. */

import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { en, type MessageKey, type Messages } from "./en";

export type Language = "en" | "vi";
export const LANGUAGES: readonly { code: Language; name: string }[] = [
  { code: "en", name: "English" },
  { code: "vi", name: "Tiếng Việt" },
];
const STORED = "gristmill:language";

type Values = Record<string, string | number>;
export type Translate = (key: MessageKey, values?: Values) => string;

const I18n = createContext<{ language: Language; t: Translate; choose: (language: Language) => void }>({
  language: "en",
  t: (key, values) => fill(en[key], values),
  choose: () => {},
});

function fill(text: string, values?: Values): string {
  return values ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : text;
}

function initial(): Language {
  try {
    const stored = localStorage.getItem(STORED);
    if (LANGUAGES.some(({ code }) => code === stored)) return stored as Language;
  } catch {
    // Without storage the browser's language decides.
  }
  return navigator.language.startsWith("vi") ? "vi" : "en";
}

export function I18nProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState<Language>("en");
  const [messages, setMessages] = useState<Messages>(en);
  const show = useCallback(async (wanted: Language) => {
    const loaded = wanted === "vi" ? (await import("./vi")).vi : en;
    setMessages(loaded);
    setLanguage(wanted);
    document.documentElement.lang = wanted;
  }, []);
  useEffect(() => {
    void show(initial());
  }, [show]);
  const value = useMemo(
    () => ({
      language,
      t: (key: MessageKey, values?: Values) => fill(messages[key], values),
      choose: (wanted: Language) => {
        localStorage.setItem(STORED, wanted);
        void show(wanted);
      },
    }),
    [language, messages, show],
  );
  return <I18n.Provider value={value}>{children}</I18n.Provider>;
}

export function useI18n() {
  return useContext(I18n);
}

export function useT(): Translate {
  return useContext(I18n).t;
}

/** The sentences of one area, in every language; they lie beside its components, so that no page carries another's. */
export type AreaMessages<Key extends string> = { en: Record<Key, string>; vi: Record<Key, string> };

export function useMessages<Key extends string>(
  messages: AreaMessages<Key>,
): (key: Key, values?: Values) => string {
  const { language } = useI18n();
  return useCallback((key, values) => fill(messages[language][key], values), [messages, language]);
}
