/** Files dropped on the page, packed for the scheduler: a CAR whose leaves are slices of the files, so that memory stays flat. */

import { addDirectory, addFile, type Block, cidText, concat, type Link, type Node, varint } from "./unixfs";

/** What `gristmill` and the scheduler take of one directory tree. */
export const FILES_MAX = 100_000;
export const DEPTH_MAX = 64;
const NAME_BYTES_MAX = 255;

/** A file or a directory as it was dropped. */
export type Entry = { name: string; file: File } | { name: string; entries: Entry[] };

export type Packed = {
  /** The CID of the root, as text. */
  cid: string;
  /** Bytes of all files. */
  bytes: number;
  files: number;
  car: Blob;
};

/** Why something cannot be packed, in words that say what to do. */
export class PackError extends Error {
  constructor(
    readonly reason: "tooLarge" | "tooMany" | "tooDeep" | "badName" | "empty",
    readonly entry: string,
  ) {
    super(`${reason}: ${entry}`);
    this.name = "PackError";
  }
}

/** Adds an entry, and packs all its blocks, each once. Nothing leaves this machine. */
export async function pack(
  entry: Entry,
  bytesMax: number,
  onShare: (share: number) => void = () => {},
): Promise<Packed> {
  const size = measure(entry, 0, { bytes: 0, files: 0 });
  if (size.bytes > bytesMax) throw new PackError("tooLarge", entry.name);
  const blocks = new Map<string, Block>();
  const sink = (block: Block) => void blocks.set(cidText(block.cid), block);
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    onShare(size.bytes > 0 ? done / size.bytes : 1);
  };
  const root = await add(entry, sink, onBytes);
  const parts: BlobPart[] = [];
  const section = (cid: Uint8Array, content: Blob | Uint8Array) => {
    const length = content instanceof Blob ? content.size : content.length;
    parts.push(concat([varint(cid.length + length), cid]) as BlobPart, content as BlobPart);
  };
  section(new Uint8Array(), header(root.cid));
  for (const { cid, content } of blocks.values()) section(cid, content);
  const car = new Blob(parts, { type: "application/vnd.ipld.car" });
  return { cid: cidText(root.cid), bytes: size.bytes, files: size.files, car };
}

async function add(
  entry: Entry,
  sink: (block: Block) => void,
  onBytes: (bytes: number) => void,
): Promise<Node> {
  if ("file" in entry) return addFile(entry.file, sink, onBytes);
  const links: Link[] = [];
  for (const child of entry.entries) links.push({ name: child.name, node: await add(child, sink, onBytes) });
  return addDirectory(links, sink);
}

function measure(entry: Entry, depth: number, size: { bytes: number; files: number }) {
  if (depth > DEPTH_MAX) throw new PackError("tooDeep", entry.name);
  if (size.files > FILES_MAX) throw new PackError("tooMany", entry.name);
  const { name } = entry;
  const isName = name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name);
  if (!isName || new TextEncoder().encode(name).length > NAME_BYTES_MAX) throw new PackError("badName", name);
  size.files += 1;
  if ("file" in entry) size.bytes += entry.file.size;
  else for (const child of entry.entries) measure(child, depth + 1, size);
  return size;
}

/** `{"roots": [CID], "version": 1}` in DAG-CBOR. */
function header(root: Uint8Array): Uint8Array {
  const text = new TextEncoder();
  return concat([
    Uint8Array.of(0xa2, 0x65),
    text.encode("roots"),
    Uint8Array.of(0x81, 0xd8, 0x2a, 0x58, root.length + 1, 0),
    root,
    Uint8Array.of(0x67),
    text.encode("version"),
    Uint8Array.of(1),
  ]);
}

/** One entry for all that was dropped or chosen: a single file or folder is itself, several lie in a folder. */
export function gather(entries: readonly Entry[], name: string): Entry {
  const [first] = entries;
  if (!first) throw new PackError("empty", name);
  return entries.length === 1 ? first : { name, entries: [...entries] };
}

/** Files of an `<input webkitdirectory>`, which carry their folder in their path. */
export function fromFileList(files: Iterable<File>): Entry[] {
  const root: Entry[] = [];
  for (const file of files) {
    const path = (file.webkitRelativePath || file.name).split("/");
    let folder = root;
    for (const name of path.slice(0, -1)) {
      const known = folder.find((entry) => entry.name === name);
      if (known && "entries" in known) folder = known.entries;
      else {
        const made = { name, entries: [] };
        folder.push(made);
        folder = made.entries;
      }
    }
    folder.push({ name: file.name, file });
  }
  return root;
}

/** Files and folders that were dropped. */
export function readEntries(dropped: readonly FileSystemEntry[]): Promise<Entry[]> {
  const seen = { files: 0 };
  return Promise.all(dropped.map((entry) => readEntry(entry, 0, seen)));
}

async function readEntry(entry: FileSystemEntry, depth: number, seen: { files: number }): Promise<Entry> {
  if (depth > DEPTH_MAX) throw new PackError("tooDeep", entry.name);
  seen.files += 1;
  if (seen.files > FILES_MAX) throw new PackError("tooMany", entry.name);
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    return { name: entry.name, file };
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const entries: Entry[] = [];
  // A browser hands out a folder in portions, and says that it is done with an empty one.
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (portion.length === 0) return { name: entry.name, entries };
    for (const child of portion) entries.push(await readEntry(child, depth + 1, seen));
  }
}
