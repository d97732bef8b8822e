/**
 * The log of an attempt: fetched as it grows, gone on with by offset after a cut, and kept so that a million lines are
 * found by number in little memory.
 */

import { ApiError, call } from "./api";
import { pause, retryMs } from "./events";

/** Browsers cannot draw an element higher than about 17.8 million pixels; with 17 pixels a line that is this many. */
export const LOG_LINES_MAX = 1_040_000;
const LOG_CHARS_MAX = 64 * 1024 ** 2;
/** A line without an end is broken here. */
const LINE_CHARS_MAX = 4096;
const BLOCK_CHARS = 64 * 1024;

/** Some whole lines: their text with its line ends, and where each begins. */
type Block = { text: string; starts: Uint32Array; first: number };

/** Lines by number. The oldest are dropped once there are too many; `first` is the number of the oldest that is left. */
export class LogBuffer {
  #blocks: Block[] = [];
  #tail = "";
  #chars = 0;
  #next = 0;

  get first(): number {
    return this.#blocks[0]?.first ?? this.#next;
  }

  /** One past the last line. A line that has not ended yet counts. */
  get end(): number {
    return this.#next + (this.#tail === "" ? 0 : 1);
  }

  push(text: string): void {
    const whole = this.#tail + text;
    const cut = whole.lastIndexOf("\n") + 1;
    this.#tail = whole.slice(cut);
    let ready = whole.slice(0, cut);
    while (this.#tail.length > LINE_CHARS_MAX) {
      ready += `${this.#tail.slice(0, LINE_CHARS_MAX)}\n`;
      this.#tail = this.#tail.slice(LINE_CHARS_MAX);
    }
    if (ready !== "") this.#append(ready);
  }

  #append(text: string): void {
    const last = this.#blocks.at(-1);
    // Small pieces are put together, so that there are as many blocks as the text needs and no more.
    const isSmall = last !== undefined && last.text.length + text.length <= BLOCK_CHARS;
    const whole = isSmall ? last.text + text : text;
    const first = isSmall ? last.first : this.#next;
    const starts: number[] = [];
    for (let at = 0; at < whole.length; ) {
      starts.push(at);
      const end = whole.indexOf("\n", at) + 1;
      // A line that is far too long was whole when it came: it is cut when it is shown.
      at = end;
    }
    const block = { text: whole, starts: Uint32Array.from(starts), first };
    if (isSmall) this.#blocks[this.#blocks.length - 1] = block;
    else this.#blocks.push(block);
    this.#next = first + starts.length;
    this.#chars += text.length;
    while (
      this.#blocks.length > 1 &&
      (this.#chars > LOG_CHARS_MAX || this.#next - this.first > LOG_LINES_MAX)
    ) {
      this.#chars -= this.#blocks.shift()?.text.length ?? 0;
    }
  }

  /** The line of this number as a terminal would leave it: what a carriage return wrote over is gone. */
  line(number: number): string {
    if (number === this.#next) return shown(this.#tail);
    const block = this.#blocks[this.#blockOf(number)];
    if (!block || number < block.first) return "";
    const at = number - block.first;
    const start = block.starts[at];
    if (start === undefined) return "";
    const end = block.starts[at + 1] ?? block.text.length;
    return shown(block.text.slice(start, end - 1));
  }

  #blockOf(number: number): number {
    let [low, high] = [0, this.#blocks.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#blocks[middle]?.first ?? 0) <= number) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /**
   * Looks for `text`, small and capital letters alike, from line `from` on, for at most `budgetMs`. Says the numbers of
   * the lines that hold it and where to go on; there is nothing more when `next` is `end`.
   */
  search(text: string, from: number, budgetMs = 8): { found: number[]; next: number } {
    const wanted = text.toLowerCase();
    const found: number[] = [];
    const stop = performance.now() + budgetMs;
    let next = Math.max(from, this.first);
    while (next < this.end) {
      const block = this.#blocks[this.#blockOf(next)];
      const blockEnd = block ? block.first + block.starts.length : 0;
      if (!block || next >= blockEnd) {
        if (plain(this.line(next)).toLowerCase().includes(wanted)) found.push(next);
        next += 1;
      } else {
        // The whole block at once first: most blocks hold nothing, and colours can only hide what is there.
        const isWorth = block.text.includes("\u001b") || block.text.toLowerCase().includes(wanted);
        for (let line = next; isWorth && line < blockEnd; line++) {
          if (plain(this.line(line)).toLowerCase().includes(wanted)) found.push(line);
        }
        next = blockEnd;
      }
      if (performance.now() > stop) break;
    }
    return { found, next };
  }
}

function shown(line: string): string {
  const text = line.endsWith("\r") ? line.slice(0, -1) : line;
  const back = text.lastIndexOf("\r");
  const left = back < 0 ? text : text.slice(back + 1);
  return left.length > LINE_CHARS_MAX ? `${left.slice(0, LINE_CHARS_MAX)}…` : left;
}

/** A piece of a line in one look. */
export type Span = { text: string; tone?: "red" | "green" | "yellow" | "blue" | "soft"; bold?: boolean };

// Escape sequences: CSI (with its parameters and final letter), OSC (to its end), and two-letter ones.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const ESCAPE = /\u001b(?:\[([0-9;:?]*)[ -/]*([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_a-z])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: and here those that have no look.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f]/g;
const COLOURS: readonly Span["tone"][] = [
  "soft",
  "red",
  "green",
  "yellow",
  "blue",
  "blue",
  "blue",
  undefined,
];

/** The colours of a line (ANSI SGR), as data. Nothing of it can become markup. */
export function spans(line: string): Span[] {
  if (!line.includes("\u001b")) return [{ text: line.replace(CONTROLS, "") }];
  const found: Span[] = [];
  let look: Omit<Span, "text"> = {};
  let at = 0;
  const add = (text: string) => {
    const clean = text.replace(CONTROLS, "");
    if (clean !== "") found.push({ text: clean, ...look });
  };
  for (const match of line.matchAll(ESCAPE)) {
    add(line.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m") look = changed(look, match[1] ?? "");
  }
  add(line.slice(at));
  return found;
}

function changed(look: Omit<Span, "text">, parameters: string): Omit<Span, "text"> {
  const codes = parameters.split(/[;:]/).map(Number);
  let next = { ...look };
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] ?? 0;
    if (code === 0) next = {};
    else if (code === 1) next.bold = true;
    else if (code === 2) next.tone = "soft";
    else if (code === 22) delete next.bold;
    else if (code === 39) delete next.tone;
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) next.tone = COLOURS[code % 10];
    // Of the many colours none is chosen here, but their numbers must not be taken for others.
    else if (code === 38 || code === 48) at += codes[at + 1] === 2 ? 4 : 2;
  }
  return next;
}

/** The text of a line without its colours. */
export function plain(line: string): string {
  return line.replace(ESCAPE, "").replace(CONTROLS, "");
}

export type LogState = "connecting" | "live" | "cut" | "ended";

/**
 * Reads the log of `attempt` into `buffer` until it ends, going on by offset after a cut. `onChange` is told after each
 * piece. Throws only what trying again cannot mend.
 */
export async function followLog(
  id: string,
  attempt: number,
  buffer: LogBuffer,
  options: { signal: AbortSignal; onChange: () => void; onState: (state: LogState) => void },
): Promise<void> {
  const { signal, onChange, onState } = options;
  // One decoder for the whole log: a cut may fall into the middle of a letter.
  const decoder = new TextDecoder();
  let offset = 0;
  let failures = 0;
  onState("connecting");
  while (!signal.aborted) {
    try {
      const path = `/v1/jobs/${id}/logs?attempt=${attempt}&offset=${offset}&follow=true`;
      const answer = await call(path, { signal });
      onState("live");
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        offset += value.length;
        failures = 0;
        buffer.push(decoder.decode(value, { stream: true }));
        onChange();
      }
      if (await isOver(id, attempt, offset, signal)) {
        buffer.push(decoder.decode());
        onChange();
        onState("ended");
        return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !error.isUnreachable && error.status < 500) throw error;
    }
    onState("cut");
    failures += 1;
    await pause(retryMs(failures), signal);
  }
}

/** Whether the attempt writes no more and all of it was read: a stream ends as well where the scheduler stops. */
async function isOver(id: string, attempt: number, offset: number, signal: AbortSignal): Promise<boolean> {
  const job = await (await call(`/v1/jobs/${id}`, { signal })).json();
  const found = (job.attempts as { number: number; state: string; log_bytes: number }[]).find(
    ({ number }) => number === attempt,
  );
  if (!found) return ["settled", "refunded", "cancelled"].includes(job.state);
  return found.state !== "leased" && found.state !== "running" && found.log_bytes <= offset;
}
