/** Durations and dates for people, and durations as people type them. */

const UNITS: readonly [string, number][] = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
];

/** Reads `90m`, `1h30m` or `2d` as seconds, as the command line does; says nothing for what is no duration. */
export function parseDuration(text: string): number | undefined {
  const compact = text.trim().replace(/\s+/g, "");
  if (!/^(\d+[dhms])+$/.test(compact)) return undefined;
  let seconds = 0;
  for (const [, count, unit] of compact.matchAll(/(\d+)([dhms])/g)) {
    seconds += Number(count) * (UNITS.find(([name]) => name === unit)?.[1] ?? Number.NaN);
  }
  return Number.isSafeInteger(seconds) ? seconds : undefined;
}

/** Writes seconds as `1 d 2 h`, with its two largest units. */
export function formatDuration(seconds: number): string {
  if (seconds < 1) return "0 s";
  const parts: string[] = [];
  let rest = Math.round(seconds);
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** The same in the form that `parseDuration` and the command line read. */
export function typedDuration(seconds: number): string {
  return formatDuration(seconds)
    .replaceAll(/ ([dhms])/g, "$1")
    .replaceAll(" ", "");
}

type Formats = { date: Intl.DateTimeFormat; relative: Intl.RelativeTimeFormat };
/** By language. To make one takes far longer than to use it, and a long list uses many. */
const formats = new Map<string, Formats>();

function formatsOf(language: string): Formats {
  const known = formats.get(language);
  if (known) return known;
  const made = {
    date: new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }),
    relative: new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" }),
  };
  formats.set(language, made);
  return made;
}

export function formatDate(ms: number, language: string): string {
  return formatsOf(language).date.format(ms);
}

/** `3 minutes ago`, `in 2 hours`. */
export function relativeTime(ms: number, now: number, language: string): string {
  const format = formatsOf(language).relative;
  const seconds = Math.round((ms - now) / 1000);
  const size = Math.abs(seconds);
  if (size < 60) return format.format(seconds, "second");
  if (size < 3600) return format.format(Math.trunc(seconds / 60), "minute");
  if (size < 86_400) return format.format(Math.trunc(seconds / 3600), "hour");
  return format.format(Math.trunc(seconds / 86_400), "day");
}
