/** A job as a command line and as a Python call, so that what was clicked together can be scripted. */

import type { JobSpec } from "./api";
import type { JobMoney } from "./draft";
import { exactAmount } from "./money";
import { typedBytes, typedCpus } from "./quantity";

/** Quotes a word for a POSIX shell, where it needs it. */
export function quoteShell(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Splits a line into words as a POSIX shell does: quotes and backslashes, nothing else. No variables, pipes or patterns:
 * the program is started directly, and they are plain characters. Says nothing where a quote is not closed.
 */
export function parseShell(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? "";
    if (quote === "'") {
      if (character === "'") quote = undefined;
      else word += character;
    } else if (character === "\\") {
      const next = line[++at];
      if (next === undefined) return undefined;
      // Between double quotes a backslash stands before a few characters only, and for itself otherwise.
      const isEscape = quote === undefined || '"\\$`\n'.includes(next);
      if (next !== "\n") word = (word ?? "") + (isEscape ? next : `\\${next}`);
    } else if (quote === '"') {
      if (character === '"') quote = undefined;
      else word += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote !== undefined) return undefined;
  if (word !== undefined) words.push(word);
  return words;
}

/** The arguments of `gristmill submit` that stand for this job. */
export function submitArguments(spec: JobSpec, money: JobMoney): string[] {
  const { runtime, resources } = spec;
  const flags: string[] = [];
  const flag = (name: string, value: string | undefined) => {
    // One word each: a value may begin with a dash.
    if (value !== undefined) flags.push(`--${name}=${value}`);
  };
  flag("bounty", exactAmount(money.bounty));
  flag("deadline", typedSeconds(money.deadlineSeconds));
  flag("hold", money.holdSeconds > 0 ? typedSeconds(money.holdSeconds) : undefined);
  flag("bond", money.bond > 0n ? exactAmount(money.bond) : undefined);
  flag("dispute-bond", money.disputeBond > 0n ? exactAmount(money.disputeBond) : undefined);
  flag("arbiter", money.arbiter);
  flag("name", spec.name);
  if (runtime.kind === "docker") flag("image", runtime.image);
  else {
    flag("wasm", runtime.module);
    flag("fuel", runtime.fuel == null ? undefined : String(runtime.fuel));
  }
  for (const { path, uri, sha256 } of spec.inputs ?? []) {
    flag("input", `${path}=${uri}${sha256 == null ? "" : `#sha256=${sha256}`}`);
  }
  for (const [name, value] of Object.entries(spec.env ?? {})) flag("env", `${name}=${value}`);
  flag("gpus", resources?.gpus ? String(resources.gpus) : undefined);
  for (const model of resources?.gpu_models ?? []) flag("gpu-model", model);
  flag("vram", resources?.vram_bytes ? typedBytes(resources.vram_bytes) : undefined);
  flag("compute-capability", resources?.compute_capability ?? undefined);
  flag("cpus", differs(resources?.cpu_millis, 1000, typedCpus));
  flag("memory", differs(resources?.memory_bytes, 512 * 1024 ** 2, typedBytes));
  flag("disk", differs(resources?.disk_bytes, 1024 ** 3, typedBytes));
  flag("max-run", differs(spec.max_run_seconds, 3600, typedSeconds));
  flag("retries", differs(spec.retries, 2, String));
  flag("strategy", spec.strategy ?? undefined);
  const command = spec.command ?? [];
  return ["submit", ...flags, ...(command.length > 0 ? ["--", ...command] : [])];
}

/** Seconds exactly, in as many units as they take. */
function typedSeconds(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  return parts.map(([count, unit]) => (count > 0 ? `${count}${unit}` : "")).join("") || "0s";
}

function differs(value: number | undefined, usual: number, write: (value: number) => string) {
  return value === undefined || value === usual ? undefined : write(value);
}

/** The job as a command to paste into a shell, one option a line. */
export function shellCommand(spec: JobSpec, money: JobMoney): string {
  const [verb = "", ...words] = submitArguments(spec, money);
  const end = words.indexOf("--");
  const flags = (end < 0 ? words : words.slice(0, end)).map(quoteFlag);
  const program = end < 0 ? [] : [words.slice(end).map(quoteShell).join(" ")];
  return [`gristmill ${verb}`, ...flags, ...program].join(" \\\n  ");
}

/** `--name value`, or `--name=value` where the value could be taken for an option. */
function quoteFlag(word: string): string {
  const match = /^(--[a-z-]+)=([\s\S]*)$/.exec(word);
  if (!match) return quoteShell(word);
  const [, name, value = ""] = match;
  return `${name}${value.startsWith("-") ? "=" : " "}${quoteShell(value)}`;
}

/** The job as a call of the Python package. */
export function pythonCall(spec: JobSpec, money: JobMoney): string {
  const options = [
    `bounty=${python(exactAmount(money.bounty))}`,
    `deadline=${python(typedSeconds(money.deadlineSeconds))}`,
    money.holdSeconds > 0 && `hold=${python(typedSeconds(money.holdSeconds))}`,
    money.bond > 0n && `bond=${python(exactAmount(money.bond))}`,
    money.disputeBond > 0n && `dispute_bond=${python(exactAmount(money.disputeBond))}`,
    money.arbiter && `arbiter=${python(money.arbiter)}`,
  ].filter((option) => typeof option === "string");
  const written = python(JSON.parse(JSON.stringify(spec)), "    ");
  return `import gristmill

client = gristmill.Client()
job = client.jobs.submit(
    ${written},
${options.map((option) => `    ${option},`).join("\n")}
)
for line in job.logs(follow=True):
    print(line)
job.wait().raise_for_status()
`;
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** A value as a Python literal. A JSON string is one of Python too. */
function python(value: Json, indent = ""): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const [open, close, parts] = Array.isArray(value)
    ? ["[", "]", value.map((part) => python(part, deeper))]
    : [
        "{",
        "}",
        Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}: ${python(part, deeper)}`),
      ];
  if (parts.length === 0) return open + close;
  return `${open}\n${parts.map((part) => `${deeper}${part},`).join("\n")}\n${indent}${close}`;
}
