/**
 * The limits of a job spec, as the scheduler checks them, so that a form can say what is wrong before anything is sent.
 * The messages are keys of the sentences in `components/submit/issues.ts`.
 */

import * as v from "valibot";
import type { JobSpec } from "./api";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** The numbers that the sentences of the issues name. */
export const LIMITS = {
  nameChars: 100,
  args: 64,
  argBytes: 4096,
  envEntries: 64,
  envNameBytes: 64,
  envValueBytes: 4096,
  inputs: 32,
  uriBytes: 2048,
  pathBytes: 512,
  imageBytes: 512,
  gpus: 16,
  gpuModels: 16,
  gpuModelChars: 64,
  retries: 10,
  runSeconds: 30 * 86_400,
  specBytes: 64 * 1024,
} as const;

export const ISSUES = [
  "version",
  "name",
  "image",
  "imageTag",
  "imageMissing",
  "module",
  "moduleMissing",
  "fuel",
  "command",
  "commandQuotes",
  "envName",
  "envValue",
  "envTwice",
  "envMany",
  "inputUri",
  "inputCid",
  "inputSha256",
  "inputSha256Extra",
  "inputPath",
  "inputTwice",
  "inputMany",
  "size",
  "cpus",
  "memory",
  "disk",
  "gpus",
  "gpuModels",
  "vram",
  "computeCapability",
  "gpusZero",
  "duration",
  "maxRun",
  "retries",
  "strategy",
  "notSupported",
  "tooLarge",
  "unknownField",
  "wrongForm",
  "amount",
  "bountyMissing",
  "bountyZero",
  "deadlineShort",
  "deadlineLong",
  "hold",
  "arbiter",
  "arbiterParty",
] as const;
/** What can be wrong; each has a sentence that says what to do. */
export type Issue = (typeof ISSUES)[number];

function key(issue: Issue): Issue {
  return issue;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const SHA256 = /^[0-9a-f]{64}$/;
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const IMAGE = /^(?![/:.-])(?!.*\/\/)[a-z0-9.\-_/:]+@sha256:[0-9a-f]{64}$/;
/** A CID in the forms that people meet; whether its inside is right the scheduler says. */
const CID = /^(Qm[1-9A-HJ-NP-Za-km-z]{44}|b[a-z2-7]{30,}|k[0-9a-z]{30,}|z[1-9A-HJ-NP-Za-km-z]{30,})$/;

export function isCid(text: string): boolean {
  return text.length <= LIMITS.uriBytes && CID.test(text);
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function isPlainName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !CONTROL.test(name);
}

function isIpfsUri(uri: string): boolean {
  const [root, ...path] = uri.slice("ipfs://".length).split("/");
  return isCid(root ?? "") && path.length <= 64 && path.every((name) => isPlainName(decoded(name)));
}

function decoded(segment: string): string {
  try {
    const name = decodeURIComponent(segment);
    return name.includes("/") ? "" : name;
  } catch {
    return "";
  }
}

function isWebUri(uri: string): boolean {
  return /^(https:\/\/|http:\/\/127\.0\.0\.1)/.test(uri) && URL.canParse(uri) && !/\s/.test(uri);
}

const whole = (least: number, most: number, issue: Issue) =>
  v.pipe(v.number(issue), v.safeInteger(issue), v.minValue(least, issue), v.maxValue(most, issue));

const runtime = v.variant(
  "kind",
  [
    v.strictObject({
      kind: v.literal("docker"),
      image: v.pipe(
        v.string(key("image")),
        v.maxBytes(LIMITS.imageBytes, key("image")),
        v.regex(IMAGE, key("image")),
      ),
    }),
    v.strictObject({
      kind: v.literal("wasm"),
      module: v.pipe(v.string(key("module")), v.check(isCid, key("module"))),
      fuel: v.optional(v.nullable(whole(1, Number.MAX_SAFE_INTEGER, "fuel"))),
    }),
  ],
  key("wrongForm"),
);

const input = v.pipe(
  v.strictObject({
    uri: v.pipe(
      v.string(key("inputUri")),
      v.maxBytes(LIMITS.uriBytes, key("inputUri")),
      v.check((uri) => uri.startsWith("ipfs://") || isWebUri(uri), key("inputUri")),
      v.check((uri) => !uri.startsWith("ipfs://") || isIpfsUri(uri), key("inputCid")),
    ),
    sha256: v.optional(v.nullable(v.pipe(v.string(), v.regex(SHA256, key("inputSha256"))))),
    path: v.pipe(
      v.string(key("inputPath")),
      v.maxBytes(LIMITS.pathBytes, key("inputPath")),
      v.check((path) => !path.includes("\\") && path.split("/").every(isPlainName), key("inputPath")),
    ),
  }),
  v.forward(
    v.check(({ uri, sha256 }) => !uri.startsWith("ipfs://") || sha256 == null, key("inputSha256Extra")),
    ["sha256"],
  ),
  v.forward(
    v.check(({ uri, sha256 }) => uri.startsWith("ipfs://") || sha256 != null, key("inputSha256")),
    ["sha256"],
  ),
);

/** A path that another input has as well, or has as a folder. */
function clash(inputs: readonly { path: string }[]): number {
  return inputs.findIndex(({ path }, at) =>
    inputs.some((other, index) => index < at && overlap(path, other.path)),
  );
}

function overlap(one: string, other: string): boolean {
  return one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`);
}

const inputs = v.pipe(
  v.array(input, key("wrongForm")),
  v.maxLength(LIMITS.inputs, key("inputMany")),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const at = clash(dataset.value);
    const entry = dataset.value[at];
    if (!entry) return;
    addIssue({
      message: key("inputTwice"),
      path: [
        { type: "array", origin: "value", input: dataset.value, key: at, value: entry },
        { type: "object", origin: "value", input: entry, key: "path", value: entry.path },
      ],
    });
  }),
);

const resources = v.pipe(
  v.strictObject({
    cpu_millis: v.optional(whole(100, 256_000, "cpus")),
    memory_bytes: v.optional(whole(16 * MIB, 4096 * GIB, "memory")),
    disk_bytes: v.optional(whole(MIB, 65_536 * GIB, "disk")),
    gpus: v.optional(whole(0, LIMITS.gpus, "gpus")),
    gpu_models: v.optional(
      v.pipe(
        v.array(
          v.pipe(
            v.string(key("gpuModels")),
            v.minBytes(1, key("gpuModels")),
            v.maxBytes(LIMITS.gpuModelChars, key("gpuModels")),
            v.check((model) => !CONTROL.test(model), key("gpuModels")),
          ),
        ),
        v.maxLength(LIMITS.gpuModels, key("gpuModels")),
      ),
    ),
    vram_bytes: v.optional(whole(0, 1024 * GIB, "vram")),
    compute_capability: v.optional(
      v.nullable(v.pipe(v.string(), v.regex(/^\d{1,2}\.\d{1,2}$/, key("computeCapability")))),
    ),
  }),
  v.forward(
    v.check((wanted) => {
      const asksForGpu =
        (wanted.gpu_models?.length ?? 0) > 0 ||
        (wanted.vram_bytes ?? 0) > 0 ||
        wanted.compute_capability != null;
      return (wanted.gpus ?? 0) > 0 || !asksForGpu;
    }, key("gpusZero")),
    ["gpus"],
  ),
);

const env = v.pipe(
  v.record(
    v.pipe(v.string(), v.maxBytes(LIMITS.envNameBytes, key("envName")), v.regex(ENV_NAME, key("envName"))),
    v.pipe(
      v.string(key("envValue")),
      v.maxBytes(LIMITS.envValueBytes, key("envValue")),
      v.check((value) => !value.includes("\0"), key("envValue")),
    ),
  ),
  v.maxEntries(LIMITS.envEntries, key("envMany")),
);

/** A spec of version 1, of which every part is one that the scheduler supports. Unknown fields are refused by name. */
export const specSchema = v.strictObject({
  version: v.literal(1, key("version")),
  name: v.pipe(
    v.string(key("name")),
    v.check(
      (name) => name !== "" && [...name].length <= LIMITS.nameChars && !CONTROL.test(name),
      key("name"),
    ),
  ),
  runtime,
  command: v.optional(
    v.pipe(
      v.array(
        v.pipe(
          v.string(key("command")),
          v.maxBytes(LIMITS.argBytes, key("command")),
          v.check((argument) => !argument.includes("\0"), key("command")),
        ),
      ),
      v.maxLength(LIMITS.args, key("command")),
    ),
  ),
  env: v.optional(env),
  inputs: v.optional(inputs),
  resources: v.optional(resources),
  network: v.optional(v.strictObject({ mode: v.literal("none", key("notSupported")) })),
  max_run_seconds: whole(1, LIMITS.runSeconds, "maxRun"),
  retries: v.optional(whole(0, LIMITS.retries, "retries")),
  verification: v.optional(v.strictObject({ level: v.literal("receipt", key("notSupported")) })),
  strategy: v.optional(
    v.nullable(v.picklist(["best_fit", "round_robin", "cheapest", "reputation"], key("strategy"))),
  ),
  secrets: v.optional(v.pipe(v.array(v.string()), v.maxLength(0, key("notSupported")))),
});

/** One thing that is wrong, and where: `inputs.0.path`. */
export type SpecIssue = { path: string; issue: Issue };

/** Checks a spec from anywhere. What it lists is what the scheduler would refuse. */
export function checkSpec(value: unknown): { spec: JobSpec } | { issues: SpecIssue[] } {
  const result = v.safeParse(specSchema, value);
  if (result.success) return { spec: result.output as JobSpec };
  return { issues: result.issues.map(readIssue) };
}

function readIssue(issue: v.BaseIssue<unknown>): SpecIssue {
  const path = v.getDotPath(issue) ?? "";
  if (issue.type === "strict_object" && issue.expected === "never") return { path, issue: "unknownField" };
  const known = ISSUES.find((name) => name === issue.message);
  return { path, issue: known ?? "wrongForm" };
}
