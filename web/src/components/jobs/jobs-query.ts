/** Which jobs are wanted, as the address of the page says it, and how the scheduler is asked for them. */

import { api, body, type JobState, type JobSummary, type Schemas } from "@/lib/api";
import { JOB_STATUS } from "@/lib/status";

export const ROLES = ["submitter", "provider", "all"] as const;
export type Role = (typeof ROLES)[number];

export type JobsFilter = { role: Role; state?: JobState; q?: string; node?: string };

const PAGE_ITEMS = 200;
/** What one download holds at most. */
const DOWNLOAD_ITEMS_MAX = 20_000;
const NODE = /^0x[0-9a-f]{40}$/;

export function isNode(text: string): boolean {
  return NODE.test(text);
}

function isState(text: string | null): text is JobState {
  return text !== null && Object.hasOwn(JOB_STATUS, text);
}

/** Reads the filters of an address. What it does not know it leaves out. */
export function readFilter(params: URLSearchParams): JobsFilter {
  const role = ROLES.find((known) => known === params.get("role")) ?? "submitter";
  const state = params.get("state");
  const q = params.get("q")?.slice(0, 100);
  const node = params.get("node")?.toLowerCase();
  return {
    role,
    ...(isState(state) ? { state } : {}),
    ...(q ? { q } : {}),
    ...(node && isNode(node) ? { node } : {}),
  };
}

export function writeFilter(filter: JobsFilter): string {
  const params = new URLSearchParams();
  if (filter.role !== "submitter") params.set("role", filter.role);
  for (const key of ["state", "q", "node"] as const) {
    const value = filter[key];
    if (value) params.set(key, value);
  }
  const text = params.toString();
  return text === "" ? window.location.pathname : `?${text}`;
}

/** Who is looking matters where only their own jobs are wanted. */
export type JobsQuery = JobsFilter & { address?: string };

export type JobsPage = Schemas["Page_JobSummary"];

export async function listJobs(
  query: JobsQuery,
  cursor: string | undefined,
  signal?: AbortSignal,
): Promise<JobsPage> {
  const { role, address, state, q, node } = query;
  const wanted = {
    limit: PAGE_ITEMS,
    ...(cursor ? { cursor } : {}),
    ...(role !== "all" && address ? { [role]: address } : {}),
    ...(state ? { state: [state] } : {}),
    ...(q ? { q } : {}),
    ...(node ? { node } : {}),
  };
  return body(api.GET("/v1/jobs", { params: { query: wanted }, ...(signal ? { signal } : {}) }));
}

/** All jobs that match, page by page, for a download. */
export async function allJobs(query: JobsQuery): Promise<JobSummary[]> {
  const jobs: JobSummary[] = [];
  let cursor: string | undefined;
  do {
    const page = await listJobs(query, cursor);
    jobs.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor && jobs.length < DOWNLOAD_ITEMS_MAX);
  return jobs;
}

const COLUMNS = [
  "id",
  "name",
  "state",
  "runtime",
  "bounty",
  "fee",
  "token",
  "submitter",
  "attempts",
  "created_at_ms",
  "ended_at_ms",
  "deadline",
] as const satisfies readonly (keyof JobSummary)[];

/** One cell of a CSV file. A stranger's name must not become a formula in a spreadsheet. */
function cell(value: string | number): string {
  const text = /^[=+\-@\t\r]/.test(String(value)) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function toCsv(jobs: readonly JobSummary[]): string {
  const rows = jobs.map((job) => COLUMNS.map((column) => cell(job[column] ?? "")).join(","));
  return `${[COLUMNS.join(","), ...rows].join("\r\n")}\r\n`;
}
