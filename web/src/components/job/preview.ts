/** What can be shown of a file, by its name and its bytes. Nothing of it is ever run or becomes markup. */

const IMAGES: Record<string, string> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  avif: "image/avif",
  bmp: "image/bmp",
  // In an `<img>` a picture of this kind can neither run scripts nor fetch anything.
  svg: "image/svg+xml",
};

export type PreviewKind = "image" | "json" | "table" | "text";

function extension(path: string): string {
  return /\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase() ?? "";
}

export function imageType(path: string): string | undefined {
  return IMAGES[extension(path)];
}

export function previewKind(path: string): PreviewKind {
  const name = extension(path);
  if (name in IMAGES) return "image";
  if (name === "json") return "json";
  return name === "csv" || name === "tsv" ? "table" : "text";
}

/** Bytes as text, or nothing if they are none. `isWhole` is false where they are only the beginning of a file. */
export function asText(bytes: Uint8Array, isWhole: boolean): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: !isWhole });
  } catch {
    return undefined;
  }
}

/** JSON with line breaks, or as it is where it is none. */
export function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export const TABLE_ROWS_MAX = 500;
const TABLE_COLUMNS_MAX = 50;

/** The rows of a table in text (RFC 4180), at most the first few hundred. */
export function parseTable(text: string, separator: "," | "\t"): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let isQuoted = false;
  for (let at = 0; at <= text.length && rows.length < TABLE_ROWS_MAX; at++) {
    const letter = text[at];
    if (isQuoted && letter !== undefined) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') cell += text[++at];
      else isQuoted = false;
      continue;
    }
    if (letter === '"' && cell === "") isQuoted = true;
    else if (letter === separator || letter === "\n" || letter === undefined) {
      if (row.length < TABLE_COLUMNS_MAX) row.push(cell.endsWith("\r") ? cell.slice(0, -1) : cell);
      cell = "";
      if (letter !== separator) {
        if (row.length > 1 || row[0] !== "") rows.push(row);
        row = [];
      }
    } else cell += letter;
  }
  return rows;
}
