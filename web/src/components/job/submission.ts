/** The records that this browser keeps of what it has submitted, before the wallet opens. */

import type { JobSpec } from "@/lib/api";
import type { WireTerms } from "@/lib/terms";

const PREFIX = "gristmill:submission:";

export type Submission = {
  id: string;
  terms?: WireTerms | undefined;
  spec?: JobSpec | undefined;
  tx?: string | undefined;
};

function read(id: string, text: string | null): Submission | undefined {
  try {
    const record = JSON.parse(text ?? "null") as Omit<Submission, "id"> | null;
    return record ? { ...record, id } : undefined;
  } catch {
    return undefined;
  }
}

/** The record of one job, if it was submitted here. */
export function submissionOf(id: string): Submission | undefined {
  try {
    return read(id, localStorage.getItem(PREFIX + id));
  } catch {
    return undefined;
  }
}

/** All records of this browser. */
export function submissions(): Submission[] {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    return keys.flatMap((key) => submissionOf(key.slice(PREFIX.length)) ?? []);
  } catch {
    return [];
  }
}

/** The transaction that opened a job, where this browser has sent it. */
export function openedBy(id: string): string | undefined {
  return submissionOf(id)?.tx;
}
