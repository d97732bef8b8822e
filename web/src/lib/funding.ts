/**
 * The sequence in which money moves, from a checked draft to a job that is open on chain. No step of it can lose money or
 * the job's id: everything that can fail without money comes before the wallet opens, the record is written before that,
 * and whatever happens afterwards is answered by the chain and by nothing else.
 *
 * What touches the world comes in as a `FundingWorld`; this module decides.
 */

import type { Address, Hex } from "viem";
import { ApiError, type Info, type JobSpec } from "./api";
import type { JobMoney } from "./draft";
import { type Progress, TransactionError } from "./escrow";
import { type Funding, type FundingWorld, type Stop, StopError, type Unfinished } from "./funding-state";
import { basisPoints } from "./money";
import { specHash } from "./spec";
import type { Submission } from "./submission";
import { fromWire, jobId, NATIVE, type Terms, toWire } from "./terms";

type Tell = (funding: Funding) => void;

/** Blocks that are looked at before a transaction counts as not seen: without a hash, and with one. */
export const ASKED_BLOCKS = 5;
export const SENT_BLOCKS = 20;
/** Time to fetch inputs and to hand in the output, beside the run itself. */
const ATTEMPT_SLACK_SECONDS = 600;
/** Terms are used again while this share of the time until their deadline is left. */
const DEADLINE_SHARE_LEFT = 0.9;

/** The terms of a job, with the deadline counted from `now`. */
export function termsOf(
  spec: JobSpec,
  money: JobMoney,
  info: Info,
  submitter: Address,
  now: number,
  salt: Hex,
): Terms {
  return {
    submitter,
    scheduler: info.scheduler as Address,
    arbiter: money.arbiter ?? (info.arbiter as Address),
    token: NATIVE,
    bounty: money.bounty,
    fee: basisPoints(money.bounty, info.fee_bps),
    bond: money.bond,
    disputeBond: money.disputeBond,
    deadline: now + money.deadlineSeconds,
    leaseSeconds: info.lease_seconds,
    graceSeconds: info.grace_seconds,
    // No attempt may be cut off while its program may still run.
    attemptSeconds: Math.max(
      info.attempt_seconds,
      spec.max_run_seconds + ATTEMPT_SLACK_SECONDS,
      info.lease_seconds,
    ),
    holdSeconds: money.holdSeconds,
    challengeWindow: info.challenge_window,
    rulingSeconds: info.ruling_seconds,
    specHash: specHash(spec),
    salt,
  };
}

/** Whether two terms differ in nothing but when they were made. */
function isSameJob(a: Submission, b: Terms, deadlineSeconds: number): boolean {
  const made = toWire({ ...b, deadline: a.terms.deadline, salt: a.terms.salt as Hex });
  const names = Object.keys(made) as (keyof typeof made)[];
  return a.deadlineSeconds === deadlineSeconds && names.every((name) => same(made[name], a.terms[name]));
}

function same(a: string | number, b: string | number): boolean {
  return String(a).toLowerCase() === String(b).toLowerCase();
}

/** From a checked draft to the review. Ends in `review`, `open` or `stopped`; no wallet is asked for money here. */
export async function prepare(
  world: FundingWorld,
  wanted: { spec: JobSpec; money: JobMoney },
  tell: Tell,
): Promise<void> {
  await guarded(world, tell, undefined, async () => {
    const { spec, money } = wanted;
    tell({ state: "working", doing: "checking" });
    const info = await checkedInfo(world);
    await handIn(world, spec, tell);
    // The uploads took their time; the deadline counts from here. A chain without traffic has an old newest block.
    const now = Math.max(await world.blockTime(), world.clock());
    const fresh = termsOf(spec, money, info, world.submitter, now, world.salt());
    const submission = await choose(world, fresh, spec, money.deadlineSeconds, now);
    const twin = world.records
      .of(world.domain, world.submitter)
      .find((known) => known.step === "open" && isSameJob(known, fresh, money.deadlineSeconds));
    await announceAndReview(world, submission, tell, twin);
  });
}

/** From a record of an earlier visit to the review, with the same terms and so the same id. */
export async function resume(world: FundingWorld, submission: Submission, tell: Tell): Promise<void> {
  await guarded(world, tell, submission, async () => {
    tell({ state: "working", doing: "checking" });
    await checkedInfo(world);
    await handIn(world, submission.spec, tell);
    await announceAndReview(world, submission, tell);
  });
}

async function checkedInfo(world: FundingWorld): Promise<Info> {
  const info = await world.info();
  const isOurs = info.chain_id === world.domain.chainId && same(info.contract, world.domain.contract);
  if (!isOurs) throw new StopError("otherContract", `${info.contract} (${info.chain_id})`);
  return info;
}

/** Brings inputs and spec to the scheduler, before anything is paid. */
async function handIn(world: FundingWorld, spec: JobSpec, tell: Tell): Promise<void> {
  tell({ state: "working", doing: "signingIn" });
  await world.signIn();
  tell({ state: "working", doing: "uploading", share: 0 });
  await world.upload(spec, (share) => tell({ state: "working", doing: "uploading", share }));
  tell({ state: "working", doing: "storing" });
  if (!same(await world.storeSpec(spec), specHash(spec))) throw new StopError("hashDiffers");
}

/** The record of these terms, or of the same job where it was prepared before: then its id is used again. */
async function choose(
  world: FundingWorld,
  terms: Terms,
  spec: JobSpec,
  deadlineSeconds: number,
  now: number,
): Promise<Submission> {
  for (const known of world.records.of(world.domain, world.submitter)) {
    if (known.step === "open") continue;
    const isInDoubt = known.step !== "prepared" && known.terms.deadline > now;
    const isSameOne = isSameJob(known, terms, deadlineSeconds);
    const isFresh = known.terms.deadline - now >= deadlineSeconds * DEADLINE_SHARE_LEFT;
    if (isSameOne && (isInDoubt || isFresh)) return known;
    // Whether an earlier one was paid must be known before another is.
    if (isInDoubt && (await world.escrowState(known.jobId)) === "none") throw new StopError("unfinished");
  }
  const { domain } = world;
  return {
    jobId: jobId(domain, terms),
    chainId: domain.chainId,
    contract: domain.contract,
    terms: toWire(terms),
    spec,
    deadlineSeconds,
    step: "prepared",
    savedAtMs: 0,
  };
}

async function announceAndReview(
  world: FundingWorld,
  chosen: Submission,
  tell: Tell,
  twin?: Submission,
): Promise<void> {
  const submission = write(world, chosen);
  const terms = fromWire(submission.terms);
  // The record came from storage, which others could have changed.
  if (jobId(world.domain, terms) !== submission.jobId) throw new StopError("hashDiffers");
  tell({ state: "working", doing: "announcing" });
  await world.announce(terms);
  tell({ state: "working", doing: "preflight" });
  if (!(await world.isDeployed())) throw new StopError("notDeployed");
  const state = await world.escrowState(submission.jobId);
  if (state === "cancelled") throw new StopError("tombstone");
  if (state !== "none")
    return tell({ state: "open", submission: write(world, { ...submission, step: "open" }) });
  const now = Math.max(await world.blockTime(), world.clock());
  if (terms.deadline - now <= submission.spec.max_run_seconds) throw new StopError("deadlineNear");
  const balance = await world.balance();
  if (balance < terms.bounty) throw new StopError("balance", String(terms.bounty - balance));
  const { gas, gasPrice } = await world.estimate(terms);
  const needed = terms.bounty + gas * gasPrice;
  if (balance < needed) throw new StopError("balance", String(needed - balance));
  tell({ state: "review", submission, quote: { gas, gasPrice, balance }, ...(twin ? { twin } : {}) });
}

function write(world: FundingWorld, submission: Submission): Submission {
  try {
    return world.records.save(submission);
  } catch (error) {
    throw new StopError("storage", error instanceof Error ? error.message : String(error));
  }
}

/** Writes what is known after the wallet was asked. That it cannot be written changes nothing about the money. */
function keep(world: FundingWorld, submission: Submission): Submission {
  try {
    return world.records.save(submission);
  } catch {
    return submission;
  }
}

/** Runs what sends nothing, and says why it ended where it did. */
async function guarded(
  world: FundingWorld,
  tell: Tell,
  submission: Submission | undefined,
  run: () => Promise<void>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    tell({ state: "stopped", ...stopOf(world, error), ...(submission ? { submission } : {}) });
  }
}

function stopOf(world: FundingWorld, error: unknown): { why: Stop; detail: string } {
  if (error instanceof StopError) return { why: error.why, detail: error.message };
  if (error instanceof ApiError) {
    return { why: error.isUnreachable ? "schedulerDown" : "schedulerRefused", detail: error.message };
  }
  const { kind, text } = world.explain(error);
  if (kind === "declined") return { why: "signInDeclined", detail: "" };
  if (kind === "unreachable") return { why: "rpcDown", detail: text };
  return { why: kind === "reverted" ? "reverted" : "failed", detail: text };
}

/** Asks the wallet, and follows the money until the chain has answered. To be called after a person said yes. */
export async function pay(
  world: FundingWorld,
  reviewed: Submission,
  tell: Tell,
  signal: AbortSignal,
): Promise<void> {
  let submission = reviewed;
  let phase: Progress["phase"] = "simulating";
  let unwritten: unknown;
  const onProgress = (progress: Progress) => {
    phase = progress.phase;
    if (progress.phase === "wallet") {
      try {
        submission = write(world, { ...submission, step: "asked" });
      } catch (error) {
        // Thrown through whatever opens the wallet, so that it does not open.
        unwritten = error;
        throw error;
      }
    }
    if (progress.phase === "sent")
      submission = keep(world, { ...submission, step: "sent", tx: progress.hash });
    if (progress.phase !== "mined") {
      const tx = "hash" in progress ? { tx: progress.hash } : {};
      tell({ state: "paying", submission, phase: progress.phase, ...tx });
    }
  };
  try {
    const { hash, block } = await world.open(fromWire(submission.terms), onProgress);
    submission = { ...submission, tx: hash, block: Number(block) };
  } catch (error) {
    const failure = failureOf(world, unwritten ?? error, phase);
    if (!failure.isInDoubt) {
      // Only a prompt that was opened here and declined here is known to have sent nothing.
      if (failure.why === "declined") submission = keep(world, { ...submission, step: "prepared" });
      if (failure.why === "reverted" && (await isOpen(world, submission))) {
        return tell({ state: "open", submission: keep(world, { ...submission, step: "open" }) });
      }
      return tell({ state: "stopped", why: failure.why, detail: failure.detail, submission });
    }
    return settleDoubt(world, submission, failure.detail, tell, signal);
  }
  return settleDoubt(world, submission, "", tell, signal);
}

async function isOpen(world: FundingWorld, { jobId: id }: Submission): Promise<boolean> {
  try {
    const state = await world.escrowState(id);
    return state !== "none" && state !== "cancelled";
  } catch {
    return false;
  }
}

type Failure = { isInDoubt: boolean; why: Stop; detail: string };

function failureOf(world: FundingWorld, error: unknown, phase: Progress["phase"]): Failure {
  if (error instanceof StopError) return { isInDoubt: false, why: error.why, detail: error.message };
  if (!(error instanceof TransactionError)) {
    const isInDoubt = phase === "wallet" || phase === "sent";
    return { isInDoubt, ...stopOf(world, error) };
  }
  const detail = error.message;
  if (error.wasAsked) return { isInDoubt: true, why: "failed", detail };
  const why: Record<TransactionError["kind"], Stop> = {
    declined: phase === "wallet" ? "declined" : "switchDeclined",
    reverted: "reverted",
    blocked: "otherTab",
    unreachable: "rpcDown",
    failed: "failed",
    replaced: "failed",
    unknown: "failed",
  };
  return { isInDoubt: false, why: why[error.kind], detail };
}

/**
 * Asks the chain about a job whose transaction was, or may have been, sent: until it is there, or was not seen for long
 * enough. An endpoint that does not answer is no answer, so it is asked again.
 */
export async function settleDoubt(
  world: FundingWorld,
  asked: Submission,
  reason: string,
  tell: Tell,
  signal: AbortSignal,
): Promise<void> {
  const blocksMax = asked.tx ? SENT_BLOCKS : ASKED_BLOCKS;
  let blocks = 0;
  let isReachable = true;
  while (!signal.aborted) {
    try {
      const state = await world.escrowState(asked.jobId);
      if (state === "cancelled")
        return tell({ state: "stopped", why: "tombstone", detail: "", submission: asked });
      if (state !== "none") {
        return tell({ state: "open", submission: keep(world, { ...asked, step: "open" }) });
      }
      if (blocks >= blocksMax) return tell({ state: "unseen", submission: asked, reason });
      blocks += 1;
      isReachable = true;
    } catch {
      isReachable = false;
    }
    tell({ state: "checking", submission: asked, reason, blocks, blocksMax, isReachable });
    await world.nextBlock(signal);
  }
}

/** The chain is asked about no more records at a visit. */
const LOOKED_AT_MAX = 10;

/**
 * The submissions that nobody has to think of any more are put right or forgotten; the others are answered. A job that
 * was open and is not any more was in a block that the chain has taken back.
 */
export async function unfinished(world: FundingWorld): Promise<Unfinished[]> {
  const found: Unfinished[] = [];
  for (const submission of world.records.of(world.domain, world.submitter).slice(0, LOOKED_AT_MAX)) {
    const escrow = await world.escrowState(submission.jobId).catch(() => "unknown" as const);
    const isExpired = submission.terms.deadline <= world.clock();
    if (escrow === "unknown") {
      if (submission.step !== "open") found.push({ submission, escrow, isExpired });
    } else if (escrow === "cancelled" || (escrow === "none" && isExpired && submission.step === "prepared")) {
      // It can never be locked.
      world.records.forget(submission.jobId);
    } else if (escrow === "none") {
      // The wallet was never asked for one that is prepared only, and its draft is still in the form.
      if (submission.step !== "prepared") found.push({ submission, escrow, isExpired });
    } else if (submission.step !== "open") {
      // Paid while nobody looked.
      found.push({ submission: world.records.save({ ...submission, step: "open" }), escrow, isExpired });
    }
  }
  return found;
}
