/** The job spec: its canonical bytes (RFC 8785) and its hash, as the scheduler and the contract know it. */

import { type Hex, sha256, stringToBytes } from "viem";
import type { JobSpec } from "./api";

export const MIB = 1024 ** 2;
export const GIB = 1024 ** 3;

type Json = string | number | boolean | null | Json[] | { [key: string]: Json | undefined };

/** Canonical JSON, RFC 8785. Of numbers only safe integers, which is all that the protocol has. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (value !== null && typeof value === "object") {
    // Sorted by UTF-16 code units, which is how JavaScript compares strings.
    const entries = Object.entries(value).filter((entry): entry is [string, Json] => entry[1] !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, part]) => `${JSON.stringify(key)}:${canonicalJson(part)}`).join(",")}}`;
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new RangeError(`${value} has no canonical form here`);
  }
  return JSON.stringify(value);
}

const DEFAULT_RESOURCES = {
  cpu_millis: 1000,
  memory_bytes: 512 * MIB,
  disk_bytes: 1024 * MIB,
  gpus: 0,
  gpu_models: [] as string[],
  vram_bytes: 0,
} as const;

/** A spec with every default filled in, so that it has exactly one byte form. Optional fields that are not set are absent. */
export function completeSpec(spec: JobSpec): JobSpec {
  const { strategy, resources, ...rest } = spec;
  const { compute_capability, ...sizes } = resources ?? {};
  const runtime = { ...spec.runtime };
  if (runtime.kind === "wasm" && runtime.fuel == null) delete runtime.fuel;
  return {
    command: [],
    env: {},
    network: { mode: "none" },
    retries: 2,
    secrets: [],
    verification: { level: "receipt" },
    ...rest,
    runtime,
    inputs: (spec.inputs ?? []).map(({ sha256: hash, ...input }) =>
      hash == null ? input : { ...input, sha256: hash },
    ),
    resources: {
      ...DEFAULT_RESOURCES,
      ...sizes,
      gpu_models: [...(sizes.gpu_models ?? [])],
      ...(compute_capability == null ? {} : { compute_capability }),
    },
    ...(strategy == null ? {} : { strategy }),
  } as JobSpec;
}

export function canonicalSpec(spec: JobSpec): string {
  return canonicalJson(completeSpec(spec) as unknown as Json);
}

export function specHash(spec: JobSpec): Hex {
  return sha256(stringToBytes(canonicalSpec(spec)));
}
