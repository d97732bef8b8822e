/** What is shown to be pasted means the same job. The real command line reads it in tests/browser/submit.test.mjs. */

import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { JobSpec } from "./api";
import { parseShell, pythonCall, quoteShell, shellCommand, submitArguments } from "./command-line";

const CID = "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni";
const HOSTILE = [
  "it's",
  'say "hi"',
  "$(rm -rf /)",
  "`id`",
  "a b",
  "-x",
  "",
  "new\nline",
  "ü☃",
  "\\",
  "a\\'b",
  "*",
];

describe("shell words", () => {
  it("what is quoted is read as it was, here and by a real shell", () => {
    const line = HOSTILE.map(quoteShell).join(" ");
    expect(parseShell(line)).toEqual(HOSTILE);
    const printed = execFileSync("sh", ["-c", `for word in ${line}; do printf '%s\\0' "$word"; done`]);
    expect(printed.toString().split("\0").slice(0, -1)).toEqual(HOSTILE);
  });

  it.each([
    ["", []],
    ["  a   b ", ["a", "b"]],
    [`"a b"'c d'e`, ["a bc de"]],
    [`"a\\"b\\c"`, ['a"b\\c']],
    ["a\\ b", ["a b"]],
    ["a \\\n b", ["a", "b"]],
    ["''", [""]],
    ["echo $HOME | wc > x", ["echo", "$HOME", "|", "wc", ">", "x"]],
  ])("%j", (line, words) => {
    expect(parseShell(line)).toEqual(words);
  });

  it.each(["'open", '"open', "end\\"])("%j is not finished", (line) => {
    expect(parseShell(line)).toBeUndefined();
  });
});

const spec: JobSpec = {
  version: 1,
  name: "train it",
  runtime: { kind: "wasm", module: CID, fuel: 5 },
  command: ["--epochs=3", "it's"],
  env: { SEED: "1=2", FLAG: "-x" },
  inputs: [
    { path: "data", uri: `ipfs://${CID}/a` },
    { path: "more", uri: "https://x.example/f?a=b", sha256: "a".repeat(64) },
  ],
  resources: {
    cpu_millis: 1500,
    memory_bytes: 2 * 1024 ** 3,
    disk_bytes: 1024 ** 3,
    gpus: 1,
    gpu_models: ["RTX 4090", "A100"],
    vram_bytes: 24 * 1024 ** 3,
    compute_capability: "8.6",
  },
  network: { mode: "none" },
  max_run_seconds: 5401,
  retries: 0,
  verification: { level: "receipt" },
  secrets: [],
  strategy: "cheapest",
};
const money = {
  bounty: 1_500_000_000_000_000_000n,
  deadlineSeconds: 86_400,
  holdSeconds: 90,
  bond: 1n,
  disputeBond: 0n,
};

describe("the command", () => {
  it("has a word for everything that is not usual", () => {
    expect(submitArguments(spec, money)).toMatchInlineSnapshot(`
      [
        "submit",
        "--bounty=1.5",
        "--deadline=1d",
        "--hold=1m30s",
        "--bond=0.000000000000000001",
        "--name=train it",
        "--wasm=bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni",
        "--fuel=5",
        "--input=data=ipfs://bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni/a",
        "--input=more=https://x.example/f?a=b#sha256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "--env=SEED=1=2",
        "--env=FLAG=-x",
        "--gpus=1",
        "--gpu-model=RTX 4090",
        "--gpu-model=A100",
        "--vram=24GiB",
        "--compute-capability=8.6",
        "--cpus=1.5",
        "--memory=2GiB",
        "--max-run=1h30m1s",
        "--retries=0",
        "--strategy=cheapest",
        "--",
        "--epochs=3",
        "it's",
      ]
    `);
  });

  it("is one that a shell reads as these words", () => {
    const command = shellCommand(spec, money);
    const [program, ...words] = parseShell(command) ?? [];
    expect(program).toBe("gristmill");
    const joined = words.join("\0").replaceAll(/(--[a-z-]+)\0(?!-)/g, "$1=");
    const end = joined.indexOf("\0--\0");
    const flags = joined.slice(0, end).split("\0");
    expect([...flags, "--", ...words.slice(words.indexOf("--") + 1)]).toEqual(submitArguments(spec, money));
    expect(command).toContain("--env FLAG=-x");
    // What begins with a dash would be taken for an option.
    expect(shellCommand({ ...spec, name: "-x" }, money)).toContain("--name=-x");
  });

  it("leaves out what is usual", () => {
    const plain: JobSpec = {
      version: 1,
      name: "mill",
      runtime: { kind: "wasm", module: CID },
      max_run_seconds: 3600,
    };
    expect(submitArguments(plain, { ...money, holdSeconds: 0, bond: 0n })).toEqual([
      "submit",
      "--bounty=1.5",
      "--deadline=1d",
      "--name=mill",
      `--wasm=${CID}`,
    ]);
  });
});

it("the Python call is Python, and carries the whole spec", () => {
  const call = pythonCall(spec, money);
  expect(call).toContain('bounty="1.5"');
  const check = `import ast, json, sys
call = ast.parse(sys.stdin.read()).body[2].value
print(json.dumps([ast.literal_eval(call.args[0]), {k.arg: ast.literal_eval(k.value) for k in call.keywords}]))`;
  const printed = execFileSync("python3", ["-c", check], { input: call });
  expect(JSON.parse(printed.toString())).toEqual([
    spec,
    { bounty: "1.5", deadline: "1d", hold: "1m30s", bond: "0.000000000000000001" },
  ]);
});
