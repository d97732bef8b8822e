/** The form's content: texts as they were typed, kept over reloads, and the job spec and money that they stand for. */

import { type Address, isAddress, isAddressEqual } from "./address";
import type { JobSpec } from "./api";
import { parseShell, quoteShell } from "./command-line";
import { COIN_DECIMALS, parseAmount } from "./money";
import { parseBytes, parseCpus, typedBytes, typedCpus } from "./quantity";
import { byteLength, checkSpec, type Issue, LIMITS } from "./spec-schema";
import { parseDuration, typedDuration } from "./time";

export type InputSource = "ipfs" | "https" | "upload";
export type InputDraft = {
  path: string;
  source: InputSource;
  uri: string;
  sha256: string;
  /** What was dropped, where it was. */
  file: string;
};

export type Draft = {
  name: string;
  runtime: "docker" | "wasm";
  /** As typed; a tag counts only together with `resolved`. */
  image: string;
  resolved: { reference: string; image: string } | null;
  module: string;
  moduleFile: string;
  fuel: string;
  commandForm: "lines" | "shell";
  command: string;
  env: { name: string; value: string }[];
  inputs: InputDraft[];
  gpus: string;
  gpuModels: string;
  vram: string;
  computeCapability: string;
  cpus: string;
  memory: string;
  disk: string;
  maxRun: string;
  retries: string;
  strategy: "" | "best_fit" | "round_robin" | "cheapest" | "reputation";
  bounty: string;
  deadline: string;
  hold: string;
  bond: string;
  disputeBond: string;
  arbiter: string;
};

export const EMPTY_DRAFT: Draft = {
  name: "",
  runtime: "docker",
  image: "",
  resolved: null,
  module: "",
  moduleFile: "",
  fuel: "",
  commandForm: "lines",
  command: "",
  env: [],
  inputs: [],
  gpus: "0",
  gpuModels: "",
  vram: "",
  computeCapability: "",
  cpus: "1",
  memory: "512MiB",
  disk: "1GiB",
  maxRun: "1h",
  retries: "2",
  strategy: "",
  bounty: "",
  deadline: "24h",
  hold: "0s",
  bond: "",
  disputeBond: "",
  arbiter: "",
};

export const EMPTY_INPUT: InputDraft = { path: "data", source: "upload", uri: "", sha256: "", file: "" };

/** What the job pays, and when. */
export type JobMoney = {
  bounty: bigint;
  deadlineSeconds: number;
  holdSeconds: number;
  bond: bigint;
  disputeBond: bigint;
  /** Whom the scheduler proposes where absent. */
  arbiter?: Address;
};

/** Who else is in the terms: with a bond at stake, neither may be the arbiter. */
export type Parties = { submitter?: string | undefined; scheduler?: string; arbiter?: string };

/** By the path of the form's field. */
export type DraftIssues = Record<string, Issue>;
export type CheckedDraft = { spec?: JobSpec; money?: JobMoney; issues: DraftIssues };

const DAY_SECONDS = 86_400;
const AMOUNT_MAX = (1n << 128n) - 1n;

/** Reads a draft. Spec and money are there where nothing of them is wrong. */
export function checkDraft(draft: Draft, parties: Parties = {}): CheckedDraft {
  const specPart = readSpec(draft);
  const moneyPart = readMoney(draft, parties, specPart.spec?.max_run_seconds);
  return {
    ...(specPart.spec ? { spec: specPart.spec } : {}),
    ...(moneyPart.money ? { money: moneyPart.money } : {}),
    issues: { ...specPart.issues, ...moneyPart.issues },
  };
}

/** The name that the form uses where none is typed: the last part of the program's. */
export function defaultName({ runtime, image, moduleFile }: Draft): string {
  const program = runtime === "docker" ? (image.split("@")[0] ?? "") : moduleFile || "module";
  const last = program.split("/").at(-1) ?? "";
  const name = runtime === "docker" ? last.split(":")[0] : last.replace(/\.wasm$/, "");
  return (name || "job").slice(0, LIMITS.nameChars);
}

/** The image by digest, if it is known. */
export function pinnedImage({ image, resolved }: Draft): string | undefined {
  const typed = image.trim();
  if (typed.includes("@sha256:")) return typed;
  return resolved && resolved.reference === typed ? resolved.image : undefined;
}

export function commandOf(draft: Draft): string[] | undefined {
  if (draft.commandForm === "shell") return parseShell(draft.command);
  return draft.command.split("\n").filter((line) => line !== "");
}

function readSpec(draft: Draft): { spec?: JobSpec; issues: DraftIssues } {
  const issues: DraftIssues = {};
  /** Reads a text, or notes what is wrong with it and goes on with a value that is right. */
  function read<T>(field: string, value: T | undefined, issue: Issue, meanwhile: T): T {
    if (value !== undefined) return value;
    issues[field] = issue;
    return meanwhile;
  }
  const { issues: envIssues, env } = readEnv(draft);
  Object.assign(issues, envIssues);
  const gpus = read("gpus", wholeNumber(draft.gpus), "gpus", 0);
  const spec: JobSpec = {
    version: 1,
    name: draft.name.trim() || defaultName(draft),
    runtime: readRuntime(draft, issues),
    command: read("command", commandOf(draft), "commandQuotes", []),
    env,
    inputs: draft.inputs.map((input) => ({
      path: input.path.trim(),
      uri: normalUri(input),
      ...(input.source === "https" ? { sha256: input.sha256.trim().toLowerCase() } : {}),
    })),
    resources: {
      cpu_millis: read("cpus", parseCpus(draft.cpus), "cpus", 1000),
      memory_bytes: read("memory", parseBytes(draft.memory), "size", 512 * 1024 ** 2),
      disk_bytes: read("disk", parseBytes(draft.disk), "size", 1024 ** 3),
      gpus,
      gpu_models: gpus > 0 ? listOf(draft.gpuModels) : [],
      vram_bytes: gpus > 0 && draft.vram.trim() ? read("vram", parseBytes(draft.vram), "size", 0) : 0,
      ...(gpus > 0 && draft.computeCapability.trim()
        ? { compute_capability: draft.computeCapability.trim() }
        : {}),
    },
    network: { mode: "none" },
    max_run_seconds: read("maxRun", parseDuration(draft.maxRun), "duration", 3600),
    retries: read("retries", wholeNumber(draft.retries), "retries", 0),
    verification: { level: "receipt" },
    secrets: [],
    ...(draft.strategy ? { strategy: draft.strategy } : {}),
  };
  const checked = checkSpec(spec);
  if ("issues" in checked) {
    for (const { path, issue } of checked.issues) issues[fieldOf(path, draft)] ??= issue;
  } else if (byteLength(JSON.stringify(spec)) > LIMITS.specBytes) {
    issues.command ??= "tooLarge";
  }
  return Object.keys(issues).length > 0 ? { issues } : { spec, issues };
}

function readRuntime(draft: Draft, issues: DraftIssues): JobSpec["runtime"] {
  if (draft.runtime === "docker") {
    const image = pinnedImage(draft);
    if (!draft.image.trim()) issues.image = "imageMissing";
    else if (!image) issues.image = "imageTag";
    return { kind: "docker", image: image ?? "" };
  }
  if (!draft.module.trim()) issues.module = "moduleMissing";
  const fuel = draft.fuel.trim() ? wholeNumber(draft.fuel) : null;
  if (fuel === undefined) issues.fuel = "fuel";
  return { kind: "wasm", module: draft.module.trim(), ...(fuel == null ? {} : { fuel }) };
}

function readEnv({ env }: Draft): { env: Record<string, string>; issues: DraftIssues } {
  const read: Record<string, string> = {};
  const issues: DraftIssues = {};
  for (const [at, { name, value }] of env.entries()) {
    if (Object.hasOwn(read, name)) issues[`env.${at}.name`] = "envTwice";
    // `__proto__` would set what it names; it is no variable that a program reads.
    else if (name === "__proto__") issues[`env.${at}.name`] = "envName";
    else read[name] = value;
  }
  return { env: read, issues };
}

function normalUri({ source, uri }: InputDraft): string {
  const text = uri.trim();
  if (source === "https") return text;
  return text === "" || text.startsWith("ipfs://") ? text || "ipfs://" : `ipfs://${text}`;
}

function listOf(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function wholeNumber(text: string): number | undefined {
  const value = /^\d{1,16}$/.test(text.trim()) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

const FIELDS: Record<string, string> = {
  "runtime.image": "image",
  "runtime.module": "module",
  "runtime.fuel": "fuel",
  "resources.cpu_millis": "cpus",
  "resources.memory_bytes": "memory",
  "resources.disk_bytes": "disk",
  "resources.gpus": "gpus",
  "resources.vram_bytes": "vram",
  "resources.compute_capability": "computeCapability",
  max_run_seconds: "maxRun",
};

/** Where in the form a part of the spec is typed. */
function fieldOf(path: string, draft: Draft): string {
  if (path.startsWith("env.")) {
    const at = draft.env.findIndex(({ name }) => name === path.slice("env.".length));
    return at < 0 ? "env" : `env.${at}.name`;
  }
  if (path.startsWith("resources.gpu_models")) return "gpuModels";
  if (path.startsWith("command")) return "command";
  return FIELDS[path] ?? path;
}

function readMoney(
  draft: Draft,
  parties: Parties,
  runSeconds: number | undefined,
): { money?: JobMoney; issues: DraftIssues } {
  const issues: DraftIssues = {};
  const amount = (field: "bounty" | "bond" | "disputeBond") => {
    const text = draft[field].trim();
    const read = text === "" ? 0n : parseAmount(text, COIN_DECIMALS);
    if (read === undefined || read > AMOUNT_MAX) issues[field] = "amount";
    return read ?? 0n;
  };
  const bounty = amount("bounty");
  if (!draft.bounty.trim()) issues.bounty = "bountyMissing";
  else if (bounty === 0n) issues.bounty ??= "bountyZero";
  const [bond, disputeBond] = [amount("bond"), amount("disputeBond")];
  const deadlineSeconds = parseDuration(draft.deadline);
  if (deadlineSeconds === undefined) issues.deadline = "duration";
  else if (deadlineSeconds <= (runSeconds ?? 0)) issues.deadline = "deadlineShort";
  else if (deadlineSeconds > 365 * DAY_SECONDS) issues.deadline = "deadlineLong";
  const holdSeconds = draft.hold.trim() ? parseDuration(draft.hold) : 0;
  if (holdSeconds === undefined || holdSeconds > 30 * DAY_SECONDS) issues.hold = "hold";
  const arbiter = draft.arbiter.trim();
  if (arbiter && !isAddress(arbiter)) issues.arbiter = "arbiter";
  else if (bond > 0n || disputeBond > 0n) {
    const named = arbiter || parties.arbiter;
    const isParty = [parties.submitter, parties.scheduler].some(
      (party) => named !== undefined && party !== undefined && isAddressEqual(party, named),
    );
    if (isParty) issues.arbiter = "arbiterParty";
  }
  if (Object.keys(issues).length > 0 || deadlineSeconds === undefined || holdSeconds === undefined) {
    return { issues };
  }
  const money = { bounty, deadlineSeconds, holdSeconds, bond, disputeBond };
  return { money: isAddress(arbiter) ? { ...money, arbiter } : money, issues };
}

/** Puts a spec into the form; money and times on chain stay as they are. */
export function draftOf(spec: JobSpec, over: Draft = EMPTY_DRAFT): Draft {
  const { runtime, resources, command = [] } = spec;
  const isPlain = command.every((argument) => argument !== "" && !argument.includes("\n"));
  return {
    ...over,
    name: spec.name,
    runtime: runtime.kind,
    image: runtime.kind === "docker" ? runtime.image : "",
    resolved: null,
    module: runtime.kind === "wasm" ? runtime.module : "",
    moduleFile: "",
    fuel: runtime.kind === "wasm" && runtime.fuel != null ? String(runtime.fuel) : "",
    commandForm: isPlain ? "lines" : "shell",
    command: isPlain ? command.join("\n") : command.map(quoteShell).join(" "),
    env: Object.entries(spec.env ?? {}).map(([name, value]) => ({ name, value })),
    inputs: (spec.inputs ?? []).map(({ path, uri, sha256 }) => ({
      path,
      source: uri.startsWith("ipfs://") ? "ipfs" : "https",
      uri,
      sha256: sha256 ?? "",
      file: "",
    })),
    gpus: String(resources?.gpus ?? 0),
    gpuModels: (resources?.gpu_models ?? []).join(", "),
    vram: resources?.vram_bytes ? typedBytes(resources.vram_bytes) : "",
    computeCapability: resources?.compute_capability ?? "",
    cpus: typedCpus(resources?.cpu_millis ?? 1000),
    memory: typedBytes(resources?.memory_bytes ?? 512 * 1024 ** 2),
    disk: typedBytes(resources?.disk_bytes ?? 1024 ** 3),
    maxRun: typedDuration(spec.max_run_seconds),
    retries: String(spec.retries ?? 2),
    strategy: spec.strategy ?? "",
  };
}

const STORED = "gristmill:draft";

/** The draft of the last visit. What an older version of the form has stored is taken as far as it fits. */
export function loadDraft(): Draft {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? "{}") as Record<string, unknown>;
    const fits = Object.entries(stored).filter(
      ([name, value]) =>
        name in EMPTY_DRAFT &&
        (name === "resolved" || Array.isArray(value) === Array.isArray(EMPTY_DRAFT[name as keyof Draft])) &&
        (name === "resolved" || typeof value === typeof EMPTY_DRAFT[name as keyof Draft]),
    );
    const draft: Draft = { ...EMPTY_DRAFT, ...Object.fromEntries(fits) };
    // A list whose entries are of another form fails here, not in the middle of the page.
    checkDraft(draft);
    return draft;
  } catch {
    return EMPTY_DRAFT;
  }
}

export function saveDraft(draft: Draft): void {
  try {
    localStorage.setItem(STORED, JSON.stringify(draft));
  } catch {
    // A browser without room for it only loses the draft on reload.
  }
}

export function forgetDraft(): void {
  try {
    localStorage.removeItem(STORED);
  } catch {
    // Then there is none.
  }
}
