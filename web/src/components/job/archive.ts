/** All files of an output in one: a tar archive, which every system unpacks. */

const BLOCK = 512;
const NAME_BYTES_MAX = 100;
const MODE = "0000644\0";

export type ArchiveFile = { path: string; blob: Blob };

function header(name: Uint8Array, bytes: number, kind: "0" | "x"): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(new TextEncoder().encode(text), at);
  block.set(name.subarray(0, NAME_BYTES_MAX), 0);
  put(100, MODE);
  put(108, "0000000\0");
  put(116, "0000000\0");
  put(124, `${bytes.toString(8).padStart(11, "0")}\0`);
  put(136, "00000000000\0");
  // The checksum is computed with blanks in its place.
  put(148, "        ");
  put(156, kind);
  put(257, "ustar\u000000");
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

function padding(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((BLOCK - (bytes % BLOCK)) % BLOCK);
}

/** `LENGTH path=PATH\n`, where the length counts itself. */
function extendedPath(path: Uint8Array): Uint8Array<ArrayBuffer> {
  const rest = path.length + " path=\n".length;
  let length = rest + 1;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  const record = new Uint8Array(length);
  const start = new TextEncoder().encode(`${length} path=`);
  record.set(start, 0);
  record.set(path, start.length);
  record[length - 1] = "\n".charCodeAt(0);
  return record;
}

export function tar(files: readonly ArchiveFile[]): Blob {
  const parts: BlobPart[] = [];
  for (const { path, blob } of files) {
    const name = new TextEncoder().encode(path);
    // Long names, and those of other alphabets, go into a record of their own (POSIX pax).
    if (name.length > NAME_BYTES_MAX || name.length !== path.length) {
      const record = extendedPath(name);
      parts.push(header(name, record.length, "x"), record, padding(record.length));
    }
    parts.push(header(name, blob.size, "0"), blob, padding(blob.size));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts, { type: "application/x-tar" });
}
