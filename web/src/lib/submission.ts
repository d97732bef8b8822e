/**
 * Submissions of this browser: what is needed to find a job and its money again, written down before a wallet opens.
 * Money never depends on them, because the chain names the submitter; they save the search, and the job's spec.
 */

import type { JobSpec } from "./api";
import type { WireTerms } from "./terms";

type Hex = `0x${string}`;

/**
 * How far a submission has come: `prepared` (nothing can have been sent), `asked` (the wallet was opened, so something
 * may have been), `sent` (the wallet has named a transaction), `open` (it was seen in a block).
 */
export type SubmissionStep = "prepared" | "asked" | "sent" | "open";

export type Submission = {
  jobId: Hex;
  chainId: number;
  contract: string;
  terms: WireTerms;
  spec: JobSpec;
  /** The time until the deadline as it was asked for. */
  deadlineSeconds: number;
  step: SubmissionStep;
  tx?: Hex;
  block?: number;
  savedAtMs: number;
};

const PREFIX = "gristmill:submission:";
/** Records that are kept; the oldest that are done make room. */
export const SUBMISSIONS_MAX = 50;

/** The submissions that this browser has stored. */
export class Submissions {
  constructor(private readonly storage: Storage = localStorage) {}

  /** Writes a record. Throws where the browser keeps nothing: then no wallet may open. */
  save(submission: Submission): Submission {
    const saved = { ...submission, savedAtMs: Date.now() };
    if (this.storage.getItem(PREFIX + saved.jobId) === null) this.makeRoom();
    this.storage.setItem(PREFIX + saved.jobId, JSON.stringify(saved));
    return saved;
  }

  find(jobId: string): Submission | undefined {
    return this.read(PREFIX + jobId);
  }

  /** Those of one contract and wallet, newest first. */
  of(domain: { chainId: number; contract: string }, submitter: string): Submission[] {
    return this.all().filter(
      ({ chainId, contract, terms }) =>
        chainId === domain.chainId && isSame(contract, domain.contract) && isSame(terms.submitter, submitter),
    );
  }

  forget(jobId: string): void {
    this.storage.removeItem(PREFIX + jobId);
  }

  private all(): Submission[] {
    const keys = Array.from({ length: this.storage.length }, (_, at) => this.storage.key(at) ?? "");
    const found = keys.flatMap((key) => (key.startsWith(PREFIX) ? (this.read(key) ?? []) : []));
    return found.sort((a, b) => b.savedAtMs - a.savedAtMs);
  }

  private read(key: string): Submission | undefined {
    try {
      const record = JSON.parse(this.storage.getItem(key) ?? "null") as Submission | null;
      return record && isRecord(record) ? record : undefined;
    } catch {
      return undefined;
    }
  }

  private makeRoom(): void {
    const records = this.all();
    if (records.length < SUBMISSIONS_MAX) return;
    const oldest = records.findLast(({ step }) => step === "open" || step === "prepared");
    if (!oldest)
      throw new Error(`${SUBMISSIONS_MAX} submissions are unfinished; finish or forget some first`);
    this.forget(oldest.jobId);
  }
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function isRecord({ jobId, terms, spec, step }: Submission): boolean {
  const isStep = ["prepared", "asked", "sent", "open"].includes(step);
  return /^0x[0-9a-f]{64}$/.test(jobId) && typeof terms === "object" && typeof spec === "object" && isStep;
}
