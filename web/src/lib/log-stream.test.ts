/** Lines by number, colours as data, and streams that are cut. */

import { afterEach, describe, expect, it, vi } from "vitest";
import { followEvents } from "./events";
import { followLog, LOG_LINES_MAX, LogBuffer, plain, spans } from "./log-stream";

function all(buffer: LogBuffer): string[] {
  return Array.from({ length: buffer.end - buffer.first }, (_, at) => buffer.line(buffer.first + at));
}

describe("a log", () => {
  it("is the same however it was cut into pieces", () => {
    const text = "one\n\ntwo\r\nthree 50%\rthree 100%\nrest";
    const lines = ["one", "", "two", "three 100%", "rest"];
    for (const size of [1, 2, 3, 7, 100]) {
      const buffer = new LogBuffer();
      for (let at = 0; at < text.length; at += size) buffer.push(text.slice(at, at + size));
      expect(all(buffer)).toEqual(lines);
    }
  });

  it("breaks a line that never ends, and cuts one that is far too long", () => {
    const buffer = new LogBuffer();
    buffer.push("x".repeat(10_000));
    expect(buffer.end).toBe(3);
    buffer.push(`\n${"y".repeat(10_000)}\n`);
    expect(buffer.line(3)).toHaveLength(4097);
  });

  it("drops the oldest lines, never the newest, and keeps their numbers", () => {
    const buffer = new LogBuffer();
    const piece = "a line\n".repeat(10_000);
    for (let piecesLeft = 0; piecesLeft < 110; piecesLeft++) buffer.push(piece);
    buffer.push("the last\n");
    expect(buffer.end).toBe(1_100_001);
    expect(buffer.end - buffer.first).toBeLessThanOrEqual(LOG_LINES_MAX);
    expect(buffer.line(1_100_000)).toBe("the last");
    expect(buffer.line(buffer.first - 1)).toBe("");
  });

  it("is searched in pieces of time, small and capital letters alike", () => {
    const buffer = new LogBuffer();
    for (let line = 0; line < 50_000; line++)
      buffer.push(`line ${line}${line % 10_000 === 7 ? " LOSS" : ""}\n`);
    buffer.push("unfinished loss");
    let next = 0;
    const found: number[] = [];
    for (let turns = 0; next < buffer.end; turns++) {
      expect(turns).toBeLessThan(10_000);
      const step = buffer.search("loss", next, 0);
      expect(step.next).toBeGreaterThan(next);
      found.push(...step.found);
      next = step.next;
    }
    expect(found).toEqual([7, 10_007, 20_007, 30_007, 40_007, 50_000]);
    expect(buffer.search("nothing like it", 0, Number.POSITIVE_INFINITY)).toEqual({
      found: [],
      next: buffer.end,
    });
  });
});

describe("colours", () => {
  it("become data, and their sequences vanish", () => {
    expect(spans("\u001b[1;31merror\u001b[0m: \u001b[38;5;31mx\u001b[39m<b>")).toEqual([
      { text: "error", tone: "red", bold: true },
      { text: ": " },
      { text: "x" },
      { text: "<b>" },
    ]);
    expect(plain("\u001b]0;title\u0007a\u001b[2Kb\u0000\u001b[32mc")).toBe("abc");
    expect(spans("\u001b[")).toEqual([{ text: "[" }]);
  });
});

/** A scheduler that answers each path in turn with a body that is cut, or a status. */
function answers(script: Record<string, (string | Uint8Array | object | number)[]>): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(url);
    const path = new URL(url, "http://mill").pathname;
    const queue = script[path] ?? [];
    const next = queue.length > 1 ? queue.shift() : queue[0];
    if (typeof next === "number") return new Response("", { status: next });
    if (typeof next === "string" || next instanceof Uint8Array) return new Response(next as BodyInit);
    return Response.json(next);
  });
  return asked;
}

describe("streams that are cut", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("go on by offset, even in the middle of a letter", async () => {
    const bytes = new TextEncoder().encode("Gruß\nend\n");
    const asked = answers({
      "/v1/jobs/0x1/logs": [bytes.slice(0, 4), bytes.slice(4)],
      "/v1/jobs/0x1": [
        { state: "assigned", attempts: [{ number: 1, state: "running", log_bytes: 4 }] },
        { state: "settled", attempts: [{ number: 1, state: "accepted", log_bytes: bytes.length }] },
      ],
    });
    const buffer = new LogBuffer();
    const states: string[] = [];
    await followLog("0x1", 1, buffer, {
      signal: new AbortController().signal,
      onChange: () => {},
      onState: (state) => states.push(state),
    });
    expect(all(buffer)).toEqual(["Gruß", "end"]);
    expect(states).toEqual(["connecting", "live", "cut", "live", "ended"]);
    expect(asked.filter((url) => url.includes("/logs"))).toEqual([
      "/v1/jobs/0x1/logs?attempt=1&offset=0&follow=true",
      "/v1/jobs/0x1/logs?attempt=1&offset=4&follow=true",
    ]);
  });

  it("end with what the scheduler refuses, and are not tried again", async () => {
    const asked = answers({ "/v1/jobs/0x1/logs": [404] });
    const options = { signal: new AbortController().signal, onChange: () => {}, onState: () => {} };
    await expect(followLog("0x1", 1, new LogBuffer(), options)).rejects.toThrow();
    expect(asked).toHaveLength(1);
  });

  it("give each event once, in order, after a cut within a line", async () => {
    const event = (version: number) => `${JSON.stringify({ version, event: "created" })}\n`;
    const asked = answers({
      "/v1/jobs/0x1/events": [event(1) + event(2).slice(0, 9), event(1) + event(2)],
      "/v1/jobs/0x1": [
        { state: "queued", version: 2 },
        { state: "settled", version: 2 },
      ],
    });
    const seen: number[] = [];
    await followEvents("0x1", {
      signal: new AbortController().signal,
      onEvent: ({ version }) => seen.push(version),
      onLive: () => {},
    });
    expect(seen).toEqual([1, 2]);
    expect(asked.filter((url) => url.includes("events"))[1]).toContain("after=1");
  });
});
