/** The scheduler's API, typed by its OpenAPI document. Refusals become `ApiError`s with the server's stable code. */

import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "@/generated/api";
import { API_URL } from "./config";

export type Schemas = components["schemas"];
export type JobView = Schemas["JobView"];
export type JobSummary = Schemas["JobSummary"];
export type JobState = Schemas["JobState"];
export type JobSpec = Schemas["JobSpec"];
export type AttemptView = Schemas["AttemptView"];
export type Receipt = Schemas["Receipt"];
export type NodeView = Schemas["NodeView"];
export type Info = Schemas["Info"];
export type Explanation = Schemas["Explanation"];
export type ErrorCode = Schemas["ErrorCode"] | "unreachable";

/** The token of the session, set by `session.ts`. */
let bearer: string | undefined;
export function setBearer(token: string | undefined): void {
  bearer = token;
}

/** The header that carries the session, for requests that neither `api` nor `call` can make. */
export function authorization(): string | undefined {
  return bearer && `Bearer ${bearer}`;
}

/** Why the scheduler did not do what it was asked, or that it could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly code: ErrorCode,
    readonly title: string,
    detail: string,
    readonly status: number,
  ) {
    super(detail);
    this.name = "ApiError";
  }

  get isUnreachable(): boolean {
    return this.code === "unreachable";
  }
}

export async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const problem = JSON.parse(text) as Schemas["Problem"];
    return new ApiError(problem.code, problem.title, problem.detail, response.status);
  } catch {
    const isGateway = response.status >= 502 && response.status <= 504;
    return new ApiError(
      isGateway ? "unreachable" : "internal",
      response.statusText,
      text.slice(0, 300),
      response.status,
    );
  }
}

/** `fetch` to the scheduler for what OpenAPI cannot describe: streams and content. Throws `ApiError`. */
export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (bearer) headers.set("authorization", `Bearer ${bearer}`);
  let response: Response;
  try {
    response = await fetch(API_URL + path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError("unreachable", "Unreachable", "The scheduler cannot be reached.", 0);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

const authorize: Middleware = {
  onRequest({ request }) {
    if (bearer) request.headers.set("authorization", `Bearer ${bearer}`);
    return request;
  },
  async onResponse({ response }) {
    if (!response.ok) throw await refusal(response);
    return response;
  },
  onError({ error }) {
    if (error instanceof ApiError || (error instanceof DOMException && error.name === "AbortError")) {
      return error as Error;
    }
    return new ApiError("unreachable", "Unreachable", "The scheduler cannot be reached.", 0);
  },
};

export const api = createClient<paths>({ baseUrl: API_URL || undefined });
api.use(authorize);

/** The body of an answer. Refusals were thrown by the middleware, so a missing body is a fault of the server. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer;
  if (data === undefined)
    throw new ApiError("internal", "Internal", "The scheduler sent an empty answer.", 500);
  return data;
}
