/** The page refuses what the scheduler refuses, and nothing else. */

import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { checkSpec } from "./spec-schema";

const CID = "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni";
const wasm = {
  version: 1,
  name: "mill",
  runtime: { kind: "wasm", module: CID },
  max_run_seconds: 60,
};
const image = `docker.io/library/debian@sha256:${"a".repeat(64)}`;
const docker = { ...wasm, runtime: { kind: "docker", image } };

function issues(spec: unknown): string[] {
  const checked = checkSpec(spec);
  return "issues" in checked ? checked.issues.map(({ path: at, issue }) => `${at}: ${issue}`) : [];
}

describe("checkSpec", () => {
  it("takes the golden specs that this version supports", () => {
    const vectors = path.resolve(import.meta.dirname, "../../../api/vectors.json");
    const specs = JSON.parse(fs.readFileSync(vectors, "utf8")).specs as { written: string }[];
    const refused = specs.flatMap(({ written }) => issues(JSON.parse(written)));
    // Only for what `JobSpec::supported` refuses as well.
    expect(refused.filter((issue) => !/notSupported|wrongForm/.test(issue))).toEqual([]);
    expect(issues(wasm)).toEqual([]);
    expect(issues(docker)).toEqual([]);
  });

  it.each([
    [{ ...wasm, prize: 1 }, "prize: unknownField"],
    [{ ...wasm, resources: { gpuz: 1 } }, "resources.gpuz: unknownField"],
    [{ ...wasm, version: 2 }, "version: version"],
    [{ ...wasm, name: "" }, "name: name"],
    [{ ...wasm, name: "x".repeat(101) }, "name: name"],
    [{ ...wasm, name: "a\nb" }, "name: name"],
    [{ ...wasm, runtime: { kind: "wasm", module: "mill.wasm" } }, "runtime.module: module"],
    [{ ...wasm, runtime: { kind: "wasm", module: CID, fuel: 0 } }, "runtime.fuel: fuel"],
    [{ ...wasm, runtime: { kind: "docker", image: "debian:12" } }, "runtime.image: image"],
    [
      { ...wasm, runtime: { kind: "docker", image: `Debian@sha256:${"a".repeat(64)}` } },
      "runtime.image: image",
    ],
    [
      { ...wasm, runtime: { kind: "docker", image: `a//b@sha256:${"a".repeat(64)}` } },
      "runtime.image: image",
    ],
    [{ ...wasm, command: new Array(65).fill("x") }, "command: command"],
    [{ ...wasm, command: ["\0"] }, "command.0: command"],
    [{ ...wasm, env: { "1A": "x" } }, "env.1A: envName"],
    [{ ...wasm, env: { A: "x".repeat(4097) } }, "env.A: envValue"],
    [{ ...wasm, inputs: [{ uri: "ftp://x", path: "a" }] }, "inputs.0.uri: inputUri"],
    [{ ...wasm, inputs: [{ uri: "ipfs://nothing", path: "a" }] }, "inputs.0.uri: inputCid"],
    [{ ...wasm, inputs: [{ uri: `ipfs://${CID}/..`, path: "a" }] }, "inputs.0.uri: inputCid"],
    [{ ...wasm, inputs: [{ uri: `ipfs://${CID}/a%2Fb`, path: "a" }] }, "inputs.0.uri: inputCid"],
    [{ ...wasm, inputs: [{ uri: "https://x.example/f", path: "a" }] }, "inputs.0.sha256: inputSha256"],
    [
      { ...wasm, inputs: [{ uri: `ipfs://${CID}`, sha256: "a".repeat(64), path: "a" }] },
      "inputs.0.sha256: inputSha256Extra",
    ],
    [{ ...wasm, inputs: [{ uri: `ipfs://${CID}`, path: "../a" }] }, "inputs.0.path: inputPath"],
    [
      {
        ...wasm,
        inputs: [
          { uri: `ipfs://${CID}`, path: "a" },
          { uri: `ipfs://${CID}`, path: "a/b" },
        ],
      },
      "inputs.1.path: inputTwice",
    ],
    [{ ...wasm, resources: { memory_bytes: 1 } }, "resources.memory_bytes: memory"],
    [{ ...wasm, resources: { cpu_millis: 1.5 } }, "resources.cpu_millis: cpus"],
    [{ ...wasm, resources: { vram_bytes: 1 } }, "resources.gpus: gpusZero"],
    [
      { ...wasm, resources: { gpus: 1, compute_capability: "8" } },
      "resources.compute_capability: computeCapability",
    ],
    [{ ...wasm, max_run_seconds: 0 }, "max_run_seconds: maxRun"],
    [{ ...wasm, retries: 11 }, "retries: retries"],
    [{ ...wasm, verification: { level: "approve" } }, "verification.level: notSupported"],
    [{ ...wasm, network: { mode: "open" } }, "network.mode: notSupported"],
    [{ ...wasm, strategy: "dearest" }, "strategy: strategy"],
    [{ ...wasm, secrets: ["KEY"] }, "secrets: notSupported"],
    ["text", ": wrongForm"],
  ])("refuses %j", (spec, expected) => {
    expect(issues(spec)).toContain(expected);
  });
});
