/**
 * What this site keeps in this browser: drafts, records of submissions, preferences. All of it lies in the local storage
 * under one prefix, and can be taken along as a file.
 */

const PREFIX = "gristmill:";
const FORMAT = "gristmill-local-data";
const VERSION = 1;
/** Browsers keep about five million characters of one site. */
export const FILE_BYTES_MAX = 8 * 1024 * 1024;
const ENTRIES_MAX = 5000;

/** What is fetched again by itself, or belongs to this browser alone. */
const STAYS = [/^gristmill:config$/, /^gristmill:development:/];

/** The part of the browser's storage that is needed here. */
export type Storage = Pick<globalThis.Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">;

export type LocalData = { format: typeof FORMAT; version: number; entries: Record<string, string> };

function ours(storage: Storage): string[] {
  return Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "")
    .filter((key) => key.startsWith(PREFIX))
    .sort();
}

export function countEntries(storage: Storage): { submissions: number; others: number } {
  const keys = ours(storage);
  const submissions = keys.filter((key) => key.startsWith(`${PREFIX}submission:`)).length;
  return { submissions, others: keys.length - submissions };
}

export function exportData(storage: Storage): string {
  const keys = ours(storage).filter((key) => !STAYS.some((pattern) => pattern.test(key)));
  const entries = Object.fromEntries(keys.map((key) => [key, storage.getItem(key) ?? ""]));
  const data: LocalData = { format: FORMAT, version: VERSION, entries };
  return `${JSON.stringify(data, null, 1)}\n`;
}

/** Why a file is not taken. */
export type Refusal = "not_json" | "not_ours" | "newer" | "foreign" | "too_large";

/** Reads a file that `exportData` wrote. It may come from anywhere, so nothing beside our own keys is taken. */
export function readData(text: string): LocalData | Refusal {
  if (text.length > FILE_BYTES_MAX) return "too_large";
  let data: Partial<LocalData> | null;
  try {
    data = JSON.parse(text) as Partial<LocalData> | null;
  } catch {
    return "not_json";
  }
  if (data?.format !== FORMAT || typeof data.entries !== "object" || data.entries === null) return "not_ours";
  if (typeof data.version !== "number" || data.version > VERSION) return "newer";
  const entries = Object.entries(data.entries as Record<string, unknown>);
  if (entries.length > ENTRIES_MAX) return "too_large";
  const isOurs = ([key, value]: [string, unknown]) =>
    key.startsWith(PREFIX) && typeof value === "string" && !STAYS.some((pattern) => pattern.test(key));
  return entries.every(isOurs) ? (data as LocalData) : "foreign";
}

/** Puts entries beside those that are there. A record of a submission that is there already stays: it may be newer. */
export function importData(storage: Storage, data: LocalData): { added: number; kept: number } {
  let added = 0;
  let kept = 0;
  for (const [key, value] of Object.entries(data.entries)) {
    const isRecord = key.startsWith(`${PREFIX}submission:`);
    if (isRecord && storage.getItem(key) !== null) kept += 1;
    else {
      storage.setItem(key, value);
      added += 1;
    }
  }
  return { added, kept };
}

/** Forgets everything of this site. */
export function forget(...storages: Storage[]): void {
  for (const storage of storages) for (const key of ours(storage)) storage.removeItem(key);
}
