/** The sequence in which money moves, against a chain that can fail at every step: who pays what, and what is said. */

import type { Hex } from "viem";
import { beforeEach, describe, expect, it } from "vitest";
import { ApiError, type Info, type JobSpec } from "./api";
import { type EscrowState, type Progress, TransactionError } from "./escrow";
import { ASKED_BLOCKS, pay, prepare, resume, SENT_BLOCKS, settleDoubt, unfinished } from "./funding";
import { type Funding, type FundingWorld, StopError } from "./funding-state";
import { specHash } from "./spec";
import { Submissions } from "./submission";
import { fromWire, jobId, type Terms } from "./terms";

const address = (digit: string) => `0x${digit.repeat(40)}` as Hex;
const spec: JobSpec = {
  version: 1,
  name: "mill",
  runtime: { kind: "wasm", module: "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni" },
  max_run_seconds: 60,
};
const money = { bounty: 1000n, deadlineSeconds: 7200, holdSeconds: 0, bond: 0n, disputeBond: 0n };
const info = {
  chain_id: 4439,
  contract: address("3"),
  scheduler: address("2"),
  arbiter: address("4"),
  fee_bps: 500,
  lease_seconds: 600,
  grace_seconds: 60,
  attempt_seconds: 900,
  challenge_window: 3600,
  ruling_seconds: 7200,
} as Info;

class FakeStorage implements Storage {
  readonly map = new Map<string, string>();
  isFull = false;
  get length() {
    return this.map.size;
  }
  key = (at: number) => [...this.map.keys()][at] ?? null;
  getItem = (key: string) => this.map.get(key) ?? null;
  removeItem = (key: string) => void this.map.delete(key);
  clear = () => this.map.clear();
  setItem = (key: string, value: string) => {
    if (this.isFull) throw new Error("the quota is exceeded");
    this.map.set(key, value);
  };
}

/** A chain with one wallet. What the wallet does when it is asked is set by each test. */
class FakeWorld implements FundingWorld {
  readonly submitter = address("1");
  readonly domain = { chainId: 4439, contract: address("3") };
  readonly storage = new FakeStorage();
  readonly records = new Submissions(this.storage);
  readonly escrow = new Map<Hex, EscrowState>();
  readonly log: string[] = [];
  funds = 10_000n;
  time = 1_000_000;
  blocks = 0;
  salts = 0;
  /** How many times money left the wallet. */
  payments = 0;
  fails: Partial<Record<string, unknown>> = {};
  onBlock = () => {};
  wallet: (terms: Terms, progress: (progress: Progress) => void) => Promise<void> = async () => {};

  private step(name: string) {
    this.log.push(name);
    if (this.fails[name]) throw this.fails[name];
  }
  info = async () => {
    this.step("info");
    return info;
  };
  signIn = async () => this.step("signIn");
  upload = async () => this.step("upload");
  storeSpec = async (stored: JobSpec): Promise<string> => {
    this.step("storeSpec");
    return specHash(stored);
  };
  announce = async () => this.step("announce");
  blockTime = async () => {
    this.step("blockTime");
    return this.time;
  };
  clock = () => this.time;
  isDeployed = async () => {
    this.step("isDeployed");
    return true;
  };
  balance = async () => this.funds;
  estimate = async () => {
    this.step("estimate");
    return { gas: 100n, gasPrice: 2n };
  };
  escrowState = async (id: Hex) => {
    this.step("escrowState");
    return this.escrow.get(id) ?? "none";
  };
  lock(terms: Terms) {
    const id = jobId(this.domain, terms);
    // As the contract does: an id is opened at most once.
    if (this.escrow.has(id)) throw new TransactionError("WrongState", "reverted", false);
    this.escrow.set(id, "open");
    this.payments += 1;
  }
  open = async (terms: Terms, onProgress: (progress: Progress) => void) => {
    onProgress({ phase: "simulating" });
    if (this.escrow.has(jobId(this.domain, terms))) {
      throw new TransactionError("The job has moved on.", "reverted", false);
    }
    this.step("open");
    onProgress({ phase: "wallet" });
    await this.wallet(terms, onProgress);
    this.lock(terms);
    onProgress({ phase: "sent", hash: HASH });
    return { hash: HASH, block: 7n };
  };
  explain = (error: unknown) => ({
    kind: (error as { kind?: string }).kind ?? "unknown",
    text: String((error as Error).message),
  });
  nextBlock = async () => {
    this.blocks += 1;
    this.onBlock();
  };
  salt = () => `0x${String(++this.salts).padStart(64, "0")}` as Hex;
}
const HASH: Hex = `0x${"a".repeat(64)}`;
const down = new ApiError("unreachable", "Unreachable", "The scheduler cannot be reached.", 0);
const rpcDown = Object.assign(new Error("no answer"), { kind: "unreachable" });
const declined = new TransactionError("You declined.", "declined", false);

let world: FakeWorld;
let told: Funding[];
const tell = (funding: Funding) => void told.push(funding);
const last = () => told.at(-1) as Funding;
const states = () => told.map(({ state }) => state);
const signal = () => AbortSignal.timeout(5000);

beforeEach(() => {
  world = new FakeWorld();
  told = [];
});

async function reviewed() {
  await prepare(world, { spec, money }, tell);
  const funding = last();
  if (funding.state !== "review") throw new Error(JSON.stringify(funding));
  return funding.submission;
}

async function paid() {
  await pay(world, await reviewed(), tell, signal());
}

describe("what is done before the wallet opens", () => {
  it("everything that can fail without money comes first, and the record before the announcement", async () => {
    const save = world.records.save.bind(world.records);
    world.records.save = (submission) => {
      world.log.push(`save ${submission.step}`);
      return save(submission);
    };
    await paid();
    expect(world.log.join(" ")).toBe(
      "info signIn upload storeSpec blockTime save prepared announce isDeployed escrowState blockTime estimate " +
        "open save asked save sent escrowState save open",
    );
    expect(world.payments).toBe(1);
    const { submission } = last() as Extract<Funding, { state: "open" }>;
    expect(submission).toMatchObject({ step: "open", tx: HASH, block: 7 });
    expect(jobId(world.domain, fromWire(submission.terms))).toBe(submission.jobId);
    expect(submission.terms).toMatchObject({
      bounty: "1000",
      fee: "50",
      attempt_seconds: 900,
      deadline: 1_007_200,
    });
  });

  it.each([
    ["info", down, "schedulerDown"],
    ["signIn", Object.assign(new Error("no"), { kind: "declined" }), "signInDeclined"],
    ["upload", new StopError("uploadMissing", "data"), "uploadMissing"],
    ["upload", down, "schedulerDown"],
    ["storeSpec", new ApiError("not_supported", "Not supported", "no", 422), "schedulerRefused"],
    ["blockTime", rpcDown, "rpcDown"],
    ["announce", down, "schedulerDown"],
    ["isDeployed", rpcDown, "rpcDown"],
    ["escrowState", rpcDown, "rpcDown"],
    ["estimate", Object.assign(new Error("ZeroBounty"), { kind: "reverted" }), "reverted"],
  ])("%s fails: nothing is sent, and it can be tried again", async (step, error, why) => {
    world.fails[step] = error;
    await prepare(world, { spec, money }, tell);
    expect(last()).toMatchObject({ state: "stopped", why });
    expect(world.log).not.toContain("open");
    world.fails = {};
    await paid();
    expect(last().state).toBe("open");
    expect(world.payments).toBe(1);
  });

  it("a scheduler of another contract, or that computes another hash, is refused", async () => {
    world.info = async () => ({ ...info, contract: address("9") });
    await prepare(world, { spec, money }, tell);
    expect(last()).toMatchObject({ state: "stopped", why: "otherContract" });
    world = new FakeWorld();
    world.storeSpec = async () => `0x${"b".repeat(64)}`;
    await prepare(world, { spec, money }, tell);
    expect(last()).toMatchObject({ state: "stopped", why: "hashDiffers" });
    expect(world.log).not.toContain("announce");
  });

  it.each([
    [999n, "1"],
    [1199n, "1"],
  ])("a balance of %d is short of bounty and gas", async (funds, missing) => {
    world.funds = funds;
    await prepare(world, { spec, money }, tell);
    expect(last()).toMatchObject({ state: "stopped", why: "balance", detail: missing });
  });

  it("a browser that keeps nothing opens no wallet", async () => {
    world.storage.isFull = true;
    await prepare(world, { spec, money }, tell);
    expect(last()).toMatchObject({ state: "stopped", why: "storage" });
    world.storage.isFull = false;
    const submission = await reviewed();
    world.storage.isFull = true;
    await pay(world, submission, tell, signal());
    expect(last()).toMatchObject({ state: "stopped", why: "storage" });
    expect(world.payments).toBe(0);
    world.storage.isFull = false;
    world.wallet = async () => {
      world.storage.isFull = true;
    };
    await pay(world, submission, tell, signal());
    expect(last().state).toBe("open");
  });

  it("a record that was changed in storage is not paid", async () => {
    const submission = await reviewed();
    const changed = { ...submission, terms: { ...submission.terms, scheduler: address("6") } };
    await resume(world, changed, tell);
    expect(last()).toMatchObject({ state: "stopped", why: "hashDiffers" });
  });

  it("a deadline that leaves no time to run is not paid", async () => {
    const submission = await reviewed();
    world.time = submission.terms.deadline - 60;
    await resume(world, submission, tell);
    expect(last()).toMatchObject({ state: "stopped", why: "deadlineNear" });
  });
});

describe("the wallet", () => {
  it("declines: nothing was sent, and the next try has the same id", async () => {
    world.wallet = async () => {
      throw declined;
    };
    const submission = await reviewed();
    await pay(world, submission, tell, signal());
    expect(last()).toMatchObject({ state: "stopped", why: "declined" });
    expect(world.records.find(submission.jobId)?.step).toBe("prepared");
    world.wallet = async () => {};
    const again = await reviewed();
    expect(again.jobId).toBe(submission.jobId);
    await pay(world, again, tell, signal());
    expect(world.payments).toBe(1);
  });

  it("declines to switch: nothing was sent", async () => {
    const submission = await reviewed();
    world.open = async (_, onProgress) => {
      onProgress({ phase: "switching" });
      throw declined;
    };
    await pay(world, submission, tell, signal());
    expect(last()).toMatchObject({ state: "stopped", why: "switchDeclined" });
  });

  it("crashes after it has broadcast: never failed, found on chain", async () => {
    world.wallet = async (terms) => {
      world.lock(terms);
      throw new TransactionError("internal error", "unknown", true);
    };
    await paid();
    expect(states()).not.toContain("stopped");
    expect(last().state).toBe("open");
    expect(world.payments).toBe(1);
  });

  it("crashes, and the transaction comes blocks later", async () => {
    world.wallet = async (terms) => {
      world.onBlock = () => {
        if (world.blocks === 3) world.lock(terms);
      };
      throw new TransactionError("internal error", "unknown", true);
    };
    await paid();
    expect(states().filter((state) => state === "checking")).toHaveLength(3);
    expect(last().state).toBe("open");
  });

  it("crashes before it has sent: not seen, and the same id is safe to try again", async () => {
    world.wallet = async () => {
      throw new TransactionError("internal error", "unknown", true);
    };
    await paid();
    expect(last()).toMatchObject({ state: "unseen", reason: "internal error" });
    expect(world.blocks).toBe(ASKED_BLOCKS);
    const { submission } = last() as Extract<Funding, { state: "unseen" }>;
    expect(world.records.find(submission.jobId)?.step).toBe("asked");

    // It was on its way after all: the second try finds it, and pays nothing.
    world.wallet = async () => {};
    world.lock(fromWire(submission.terms));
    const again = await reviewed().catch(() => undefined);
    expect(again).toBeUndefined();
    expect(last()).toMatchObject({ state: "open", submission: { jobId: submission.jobId } });
    expect(world.payments).toBe(1);
  });

  it("two that are both asked for the same id pay once", async () => {
    const submission = await reviewed();
    const other: Funding[] = [];
    world.wallet = async (terms) => {
      world.wallet = async () => {};
      await pay(world, submission, (funding) => void other.push(funding), signal());
      // What the contract does with the second.
      if (world.escrow.get(jobId(world.domain, terms)) === "open") {
        throw new TransactionError("The contract refused.", "failed", true, HASH);
      }
    };
    await pay(world, submission, tell, signal());
    expect([last().state, other.at(-1)?.state]).toEqual(["open", "open"]);
    expect(world.payments).toBe(1);
  });

  it("was opened elsewhere between review and payment: found open, and not paid again", async () => {
    const submission = await reviewed();
    world.lock(fromWire(submission.terms));
    await pay(world, submission, tell, signal());
    expect(last()).toMatchObject({ state: "open", submission: { step: "open" } });
    expect(world.payments).toBe(1);
    // What the contract refuses for another reason stays a refusal.
    world.escrow.clear();
    world.fails.open = new TransactionError("ZeroBounty", "reverted", false);
    await pay(world, submission, tell, signal());
    expect(last()).toMatchObject({ state: "stopped", why: "reverted", detail: "ZeroBounty" });
  });

  it("is busy in another tab: nothing is sent here", async () => {
    const submission = await reviewed();
    world.open = async () => {
      throw new TransactionError("Another tab waits.", "blocked", false);
    };
    await pay(world, submission, tell, signal());
    expect(last()).toMatchObject({ state: "stopped", why: "otherTab" });
    expect(world.records.find(submission.jobId)?.step).toBe("prepared");
  });

  it("sends it again with another fee: what was mined counts", async () => {
    world.wallet = async (_, onProgress) => {
      onProgress({ phase: "sent", hash: `0x${"b".repeat(64)}` });
    };
    await paid();
    expect(last()).toMatchObject({ state: "open", submission: { tx: HASH } });
  });

  it("replaces it by a cancellation: not seen after as many blocks as a sent one gets", async () => {
    world.wallet = async (_, onProgress) => {
      onProgress({ phase: "sent", hash: HASH });
      throw new TransactionError("The transaction was replaced in the wallet.", "replaced", true, HASH);
    };
    await paid();
    expect(last()).toMatchObject({ state: "unseen", submission: { step: "sent" } });
    expect(world.blocks).toBe(SENT_BLOCKS);
    expect(world.payments).toBe(0);
  });

  it("the endpoint falls silent after the transaction was sent: asked until it answers", async () => {
    world.wallet = async (terms, onProgress) => {
      world.lock(terms);
      onProgress({ phase: "sent", hash: HASH });
      world.fails.escrowState = rpcDown;
      world.onBlock = () => {
        if (world.blocks > SENT_BLOCKS + 10) world.fails = {};
      };
      throw new TransactionError("no answer", "unreachable", true, HASH);
    };
    await paid();
    expect(told).toContainEqual(expect.objectContaining({ state: "checking", isReachable: false }));
    expect(last().state).toBe("open");
  });

  it("the endpoint is down before the prompt: nothing is sent", async () => {
    const submission = await reviewed();
    world.fails.open = new TransactionError("no answer", "unreachable", false);
    await pay(world, submission, tell, signal());
    expect(last()).toMatchObject({ state: "stopped", why: "rpcDown" });
  });
});

describe("the chain", () => {
  it("takes the block back: the state is read again by id", async () => {
    const submission = await reviewed();
    world.lock = () => {};
    world.onBlock = () => {
      if (world.blocks === 2) world.escrow.set(submission.jobId, "open");
    };
    await pay(world, submission, tell, signal());
    expect(states()).toContain("checking");
    expect(last().state).toBe("open");
  });

  it("says that the job was cancelled: its id is a tombstone", async () => {
    const submission = await reviewed();
    world.escrow.set(submission.jobId, "cancelled");
    await resume(world, submission, tell);
    expect(last()).toMatchObject({ state: "stopped", why: "tombstone" });
    await settleDoubt(world, submission, "", tell, signal());
    expect(last()).toMatchObject({ state: "stopped", why: "tombstone" });
  });

  it("is not asked any more once nobody looks", async () => {
    const submission = await reviewed();
    const leaving = new AbortController();
    world.onBlock = () => leaving.abort();
    await settleDoubt(world, submission, "", tell, leaving.signal);
    expect(last().state).toBe("checking");
  });
});

describe("a later visit", () => {
  const asked = async () => ({ ...(await reviewed()), step: "asked" as const });

  it("finds what the tab that was closed in the prompt has left, in its true state", async () => {
    const submission = world.records.save(await asked());
    expect(await unfinished(world)).toMatchObject([{ escrow: "none", isExpired: false }]);
    world.lock(fromWire(submission.terms));
    expect(await unfinished(world)).toMatchObject([{ escrow: "open", submission: { step: "open" } }]);
    expect(await unfinished(world)).toEqual([]);
  });

  it("says again what a reorganisation has undone", async () => {
    world.records.save({ ...(await reviewed()), step: "open" });
    expect(await unfinished(world)).toMatchObject([{ escrow: "none", submission: { step: "open" } }]);
  });

  it("says that it does not know while the endpoint is down", async () => {
    world.records.save(await asked());
    world.fails.escrowState = rpcDown;
    expect(await unfinished(world)).toMatchObject([{ escrow: "unknown" }]);
  });

  it("forgets what can never be locked", async () => {
    const submission = await reviewed();
    expect(await unfinished(world)).toEqual([]);
    expect(world.records.find(submission.jobId)).toBeDefined();
    world.time = submission.terms.deadline;
    expect(await unfinished(world)).toEqual([]);
    expect(world.records.find(submission.jobId)).toBeUndefined();
    world.records.save(await asked());
    const [prompted] = world.records.of(world.domain, world.submitter);
    world.time = (prompted?.terms.deadline ?? 0) + 1;
    expect(await unfinished(world)).toMatchObject([{ isExpired: true, submission: { step: "asked" } }]);
    if (prompted) world.escrow.set(prompted.jobId, "cancelled");
    expect(await unfinished(world)).toEqual([]);
  });

  it("the same job once more is another one, and is told from the first before it is paid", async () => {
    await paid();
    const first = (last() as Extract<Funding, { state: "open" }>).submission;
    const second = await reviewed();
    expect(second.jobId).not.toBe(first.jobId);
    expect(last()).toMatchObject({ state: "review", twin: { jobId: first.jobId } });
    await prepare(world, { spec, money: { ...money, bounty: 2000n } }, tell);
    expect(last()).not.toHaveProperty("twin");
  });

  it("another job waits until it is known whether the first was paid", async () => {
    const first = world.records.save(await asked());
    await prepare(world, { spec, money: { ...money, bounty: 2000n } }, tell);
    expect(last()).toMatchObject({ state: "stopped", why: "unfinished" });
    world.records.forget(first.jobId);
    await prepare(world, { spec, money: { ...money, bounty: 2000n } }, tell);
    expect(last().state).toBe("review");
  });

  it("an old preparation is not used again: its deadline would be too near", async () => {
    const first = await reviewed();
    world.time += 1000;
    const second = await reviewed();
    expect(second.jobId).not.toBe(first.jobId);
    expect(second.terms.deadline).toBe(world.time + money.deadlineSeconds);
  });

  it("records of other wallets and contracts are not looked at", async () => {
    const record = await asked();
    world.storage.clear();
    world.records.save({ ...record, contract: address("8") });
    expect(await unfinished(world)).toEqual([]);
    world.storage.setItem("gristmill:submission:0x1", "{");
    world.storage.setItem("gristmill:submission:0x2", JSON.stringify({ jobId: "0x2" }));
    expect(world.records.of(world.domain, world.submitter)).toEqual([]);
  });
});

it("the oldest record that is done makes room, one in doubt never", async () => {
  const record = await reviewed();
  world.storage.clear();
  const id = (number: number) => `0x${number.toString(16).padStart(64, "0")}` as Hex;
  for (let number = 0; number < 50; number++) {
    world.records.save({ ...record, jobId: id(number), step: number === 3 ? "open" : "asked" });
  }
  world.records.save({ ...record, jobId: id(50), step: "asked" });
  expect(world.records.find(id(3))).toBeUndefined();
  expect(() => world.records.save({ ...record, jobId: id(51) })).toThrow("unfinished");
  expect(world.records.of(world.domain, world.submitter)).toHaveLength(50);
});
