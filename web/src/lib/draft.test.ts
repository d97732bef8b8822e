/** What is typed, what it means, and what is said where it means nothing. */

import { beforeEach, describe, expect, it, vi } from "vitest";
import { checkDraft, type Draft, draftOf, EMPTY_DRAFT, EMPTY_INPUT, loadDraft, saveDraft } from "./draft";
import { completeSpec } from "./spec";

const CID = "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni";
const GOOD: Draft = { ...EMPTY_DRAFT, runtime: "wasm", module: CID, moduleFile: "mill.wasm", bounty: "1.5" };
const PARTY = "0x1111111111111111111111111111111111111111";
const OTHER = "0x2222222222222222222222222222222222222222";

function issues(change: Partial<Draft>, parties = {}) {
  return checkDraft({ ...GOOD, ...change }, parties).issues;
}

describe("checkDraft", () => {
  it("a good draft is a spec and money", () => {
    const { spec, money, issues } = checkDraft(GOOD);
    expect(issues).toEqual({});
    expect(spec).toEqual(completeSpec(spec as never));
    expect(spec?.name).toBe("mill");
    expect(money).toEqual({
      bounty: 1_500_000_000_000_000_000n,
      deadlineSeconds: 86_400,
      holdSeconds: 0,
      bond: 0n,
      disputeBond: 0n,
    });
  });

  it("an empty form says what is missing, and nothing else", () => {
    expect(checkDraft(EMPTY_DRAFT).issues).toEqual({ image: "imageMissing", bounty: "bountyMissing" });
  });

  it("a tag counts only for the reference that it was resolved for", () => {
    const image = `docker.io/library/debian@sha256:${"a".repeat(64)}`;
    const docker = { runtime: "docker", image: "debian:12" } as const;
    expect(issues(docker)).toEqual({ image: "imageTag" });
    expect(issues({ ...docker, resolved: { reference: "debian:11", image } })).toEqual({ image: "imageTag" });
    const { spec } = checkDraft({ ...GOOD, ...docker, resolved: { reference: "debian:12", image } });
    expect(spec?.runtime).toEqual({ kind: "docker", image });
    expect(spec?.name).toBe("debian");
  });

  it("GPU wishes count only where a GPU is asked for", () => {
    const { spec } = checkDraft({ ...GOOD, gpus: "0", vram: "24GiB", gpuModels: "A100" });
    expect(spec?.resources).toMatchObject({ gpus: 0, vram_bytes: 0, gpu_models: [] });
    const { spec: more } = checkDraft({ ...GOOD, gpus: "1", vram: "24GiB", gpuModels: "A100, H100 " });
    expect(more?.resources).toMatchObject({
      gpus: 1,
      vram_bytes: 24 * 1024 ** 3,
      gpu_models: ["A100", "H100"],
    });
  });

  it("a bare CID is an address", () => {
    const { spec } = checkDraft({ ...GOOD, inputs: [{ ...EMPTY_INPUT, uri: `${CID}/a` }] });
    expect(spec?.inputs).toEqual([{ path: "data", uri: `ipfs://${CID}/a` }]);
  });

  it.each<[Partial<Draft>, Record<string, string>]>([
    [{ name: "x".repeat(101) }, { name: "name" }],
    [{ module: "" }, { module: "moduleMissing" }],
    [{ fuel: "many" }, { fuel: "fuel" }],
    [{ fuel: "0" }, { fuel: "fuel" }],
    [{ commandForm: "shell", command: "say 'open" }, { command: "commandQuotes" }],
    [{ env: [{ name: "1A", value: "" }] }, { "env.0.name": "envName" }],
    [{ env: [{ name: "", value: "" }] }, { "env.0.name": "envName" }],
    [{ env: [{ name: "__proto__", value: "x" }] }, { "env.0.name": "envName" }],
    [
      {
        env: [
          { name: "A", value: "1" },
          { name: "A", value: "2" },
        ],
      },
      { "env.1.name": "envTwice" },
    ],
    [
      { inputs: [{ ...EMPTY_INPUT, path: "" }] },
      { "inputs.0.path": "inputPath", "inputs.0.uri": "inputCid" },
    ],
    [
      { inputs: [{ ...EMPTY_INPUT, source: "https", uri: "https://x.example" }] },
      { "inputs.0.sha256": "inputSha256" },
    ],
    [{ cpus: "0.05" }, { cpus: "cpus" }],
    [{ memory: "5" }, { memory: "size" }],
    [{ memory: "1MiB" }, { memory: "memory" }],
    [{ disk: "1KiB" }, { disk: "disk" }],
    [{ gpus: "17" }, { gpus: "gpus" }],
    [{ gpus: "1", computeCapability: "8" }, { computeCapability: "computeCapability" }],
    [{ maxRun: "soon" }, { maxRun: "duration" }],
    [{ maxRun: "31d", deadline: "40d" }, { maxRun: "maxRun" }],
    [{ retries: "11" }, { retries: "retries" }],
    [{ bounty: "0" }, { bounty: "bountyZero" }],
    [{ bounty: "-1" }, { bounty: "amount" }],
    [{ bounty: "1e3" }, { bounty: "amount" }],
    [{ bounty: "0.0000000000000000001" }, { bounty: "amount" }],
    [{ bounty: "999999999999999999999999" }, { bounty: "amount" }],
    [{ deadline: "1h" }, { deadline: "deadlineShort" }],
    [{ deadline: "366d" }, { deadline: "deadlineLong" }],
    [{ hold: "31d" }, { hold: "hold" }],
    [{ arbiter: "0x12" }, { arbiter: "arbiter" }],
  ])("%j", (change, expected) => {
    expect(issues(change)).toEqual(expected);
  });

  it("with a bond at stake the arbiter is no party", () => {
    const parties = { submitter: PARTY, scheduler: OTHER, arbiter: OTHER };
    expect(issues({ bond: "1" }, parties)).toEqual({ arbiter: "arbiterParty" });
    expect(issues({ disputeBond: "1", arbiter: PARTY }, parties)).toEqual({ arbiter: "arbiterParty" });
    expect(issues({ bond: "1", arbiter: PARTY.replaceAll("1", "3") }, parties)).toEqual({});
    expect(issues({ arbiter: PARTY }, parties)).toEqual({});
  });
});

describe("draftOf", () => {
  it("a spec comes back as it was", () => {
    const rich: Draft = {
      ...GOOD,
      name: "train",
      command: "--epochs\n3",
      env: [{ name: "SEED", value: "1" }],
      inputs: [{ ...EMPTY_INPUT, uri: `ipfs://${CID}` }],
      gpus: "2",
      gpuModels: "A100",
      vram: "40GiB",
      computeCapability: "8.0",
      cpus: "2.5",
      maxRun: "1h30m",
      retries: "0",
      strategy: "cheapest",
      fuel: "7",
    };
    const { spec } = checkDraft(rich);
    expect(spec && checkDraft(draftOf(spec, GOOD)).spec).toEqual(spec);
    expect(spec && draftOf(spec, GOOD).bounty).toBe("1.5");
  });

  it("arguments that are no lines are quoted", () => {
    const { spec } = checkDraft({ ...GOOD, commandForm: "shell", command: "sh -c 'a\nb' ''" });
    const back = spec && draftOf(spec);
    expect(back?.commandForm).toBe("shell");
    expect(back && checkDraft({ ...back, bounty: "1" }).spec?.command).toEqual(["sh", "-c", "a\nb", ""]);
  });
});

describe("storage", () => {
  const store = new Map<string, string>();
  beforeEach(() => {
    store.clear();
    vi.stubGlobal("localStorage", {
      getItem: (key: string) => store.get(key) ?? null,
      setItem: (key: string, value: string) => store.set(key, value),
      removeItem: (key: string) => store.delete(key),
    });
  });

  it("survives", () => {
    saveDraft({ ...GOOD, env: [{ name: "A", value: "1" }] });
    expect(loadDraft()).toEqual({ ...GOOD, env: [{ name: "A", value: "1" }] });
  });

  it("what does not fit is left out", () => {
    store.set("gristmill:draft", JSON.stringify({ bounty: 5, env: "x", hold: "1h", unknown: true }));
    expect(loadDraft()).toEqual({ ...EMPTY_DRAFT, hold: "1h" });
    store.set("gristmill:draft", JSON.stringify({ inputs: [5] }));
    expect(loadDraft()).toEqual(EMPTY_DRAFT);
    store.set("gristmill:draft", "{");
    expect(loadDraft()).toEqual(EMPTY_DRAFT);
  });
});
