/**
 * Content addressing in the browser: the files of an output, read block by block from the scheduler's gateway. A block is
 * used only after its bytes hashed to its CID, so the gateway cannot show anything but what the receipt names.
 */

import { canonicalJson } from "./spec";

/** What is wrong with content; `cid` is the block in question. */
export class ContentError extends Error {
  constructor(
    message: string,
    readonly cid?: string,
  ) {
    super(message);
    this.name = "ContentError";
  }
}

/** What a stranger's output may cost the page. */
export const CONTENT_LIMITS = {
  files: 10_000,
  depth: 64,
  blockBytes: 2 * 1024 ** 2,
  links: 1 << 20,
} as const;

const RAW = 0x55;
const DAG_PB = 0x70;
const SHA2_256 = 0x12;
const IDENTITY = 0x00;
const IDENTITY_BYTES_MAX = 64;
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

/** The name of a block, taken apart. */
export type Cid = { text: string; codec: number; isInline: boolean; digest: Uint8Array };

function fromBase32(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let [bits, held, at] = [0, 0, 0];
  for (const letter of text) {
    const value = BASE32.indexOf(letter);
    if (value < 0) throw new ContentError("A CID holds a letter that is not of its alphabet.");
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (held >> bits) & 0xff;
    }
  }
  return bytes;
}

function toBase32(bytes: Uint8Array): string {
  let [text, bits, held] = ["", 0, 0];
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32[(held >> bits) & 31];
    }
  }
  return bits > 0 ? text + BASE32[(held << (5 - bits)) & 31] : text;
}

/** Takes a varint off `bytes` at `at`; safe integers only. */
function varint(bytes: Uint8Array, at: number): [number, number] {
  let value = 0;
  for (let step = 0; step < 8; step++) {
    const byte = bytes[at + step];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * step);
    if (byte < 0x80 && value <= Number.MAX_SAFE_INTEGER) return [value, at + step + 1];
  }
  throw new ContentError("A number in a block is malformed.");
}

function cidOfBytes(bytes: Uint8Array): Cid {
  const isV0 = bytes.length === 34 && bytes[0] === SHA2_256 && bytes[1] === 32;
  const whole = isV0 ? Uint8Array.of(1, DAG_PB, ...bytes) : bytes;
  const [version, codecAt] = varint(whole, 0);
  const [codec, hashAt] = varint(whole, codecAt);
  const [hash, lengthAt] = varint(whole, hashAt);
  const [length, at] = varint(whole, lengthAt);
  const digest = whole.subarray(at);
  const text = `b${toBase32(whole)}`;
  if (version !== 1 || digest.length !== length) throw new ContentError("This is no CID.", text);
  const isInline = hash === IDENTITY && length <= IDENTITY_BYTES_MAX;
  if (!isInline && !(hash === SHA2_256 && length === 32)) {
    throw new ContentError("Its hash cannot be verified here.", text);
  }
  if (codec !== RAW && codec !== DAG_PB) throw new ContentError("Its block holds no files.", text);
  return { text, codec, isInline, digest };
}

export function parseCid(text: string): Cid {
  if (!/^b[a-z2-7]{4,126}$/.test(text)) throw new ContentError("This is no CID in base32, such as bafy….");
  return cidOfBytes(fromBase32(text.slice(1)));
}

/** SHA-256, by the browser where the page is at a secure address, and in JavaScript elsewhere. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  if (globalThis.crypto?.subtle) {
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  }
  return (await import("viem")).sha256(bytes, "bytes");
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `dagBytes` is what the writer counted below the link. Informative: it is checked before it is believed. */
type Link = { cid: Cid; name: string; dagBytes: number };
type Node =
  | { kind: "file"; data: Uint8Array; parts: { cid: Cid; bytes: number }[]; bytes: number }
  | { kind: "directory"; links: Link[] }
  /** A link with an empty name is a further shard. */
  | { kind: "shard"; links: Link[] };

type Field = { number: number; value: number | Uint8Array };

function* fields(message: Uint8Array): Generator<Field> {
  let at = 0;
  while (at < message.length) {
    let tag: number;
    let value: number;
    [tag, at] = varint(message, at);
    [value, at] = varint(message, at);
    const number = Math.floor(tag / 8);
    if (tag % 8 === 0) yield { number, value };
    else if (tag % 8 === 2 && value <= message.length - at) {
      yield { number, value: message.subarray(at, at + value) };
      at += value;
    } else throw new ContentError("A block is malformed.");
  }
}

const TYPES = ["raw", "directory", "file", "metadata", "symlink", "shard"] as const;
const utf8 = new TextDecoder("utf-8", { fatal: true });

function link(message: Uint8Array): Link {
  let cid: Cid | undefined;
  let name = "";
  let dagBytes = 0;
  for (const { number, value } of fields(message)) {
    if (number === 3 && typeof value === "number") dagBytes = value;
    if (number === 1 && typeof value !== "number") cid = cidOfBytes(value);
    if (number === 2 && typeof value !== "number") {
      try {
        name = utf8.decode(value);
      } catch {
        throw new ContentError("A name in a directory is not UTF-8.");
      }
    }
  }
  if (!cid) throw new ContentError("A link in a block leads nowhere.");
  return { cid, name, dagBytes };
}

function decode(cid: Cid, block: Uint8Array): Node {
  if (cid.codec === RAW) return { kind: "file", data: block, parts: [], bytes: block.length };
  const links: Link[] = [];
  let unixfs: Uint8Array | undefined;
  for (const { number, value } of fields(block)) {
    if (typeof value === "number") throw new ContentError("A block is not dag-pb.", cid.text);
    if (number === 2) links.push(link(value));
    if (number === 1) unixfs = value;
  }
  if (!unixfs) throw new ContentError("A block has no UnixFS data.", cid.text);
  let type: (typeof TYPES)[number] | undefined;
  let data: Uint8Array = new Uint8Array();
  let fanout = 256;
  const sizes: number[] = [];
  for (const { number, value } of fields(unixfs)) {
    if (number === 1 && typeof value === "number") type = TYPES[value];
    if (number === 2 && typeof value !== "number") data = value;
    if (number === 4 && typeof value === "number") sizes.push(value);
    if (number === 6 && typeof value === "number") fanout = value;
  }
  switch (type) {
    case "raw":
    case "file": {
      if (sizes.length !== links.length)
        throw new ContentError("A file declares a size for some parts only.", cid.text);
      const parts = links.map(({ cid: part }, index) => ({ cid: part, bytes: sizes[index] ?? 0 }));
      const bytes = sizes.reduce((sum, size) => sum + size, data.length);
      return { kind: "file", data, parts, bytes };
    }
    case "directory":
      return { kind: "directory", links };
    case "shard": {
      const digits = (fanout - 1).toString(16).length;
      return { kind: "shard", links: links.map((slot) => ({ ...slot, name: slot.name.slice(digits) })) };
    }
    case "symlink":
      throw new ContentError("The output holds a symbolic link, which nothing here follows.", cid.text);
    case "metadata":
    case undefined:
      throw new ContentError("A block is of a type that is not known here.", cid.text);
  }
}

/** Refuses a name that is not exactly one component of a path. */
function checkName(name: string): string {
  const isName = name !== "" && name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0");
  if (!isName || new TextEncoder().encode(name).length > 255) {
    throw new ContentError("A directory holds a name that is no name of a file.");
  }
  return name;
}

/** Where blocks come from: nothing that it gives is believed. */
export type BlockSource = (cid: string, signal?: AbortSignal) => Promise<Uint8Array>;

export type ContentFile = { path: string; cid: Cid; bytes: number };

/** One output, read through a source that is not trusted. */
export class Content {
  /** Links that were followed: a small DAG can link the same block a billion times. */
  #links = 0;

  constructor(private readonly source: BlockSource) {}

  async #load(cid: Cid, signal?: AbortSignal): Promise<Uint8Array> {
    if (++this.#links > CONTENT_LIMITS.links) throw new ContentError("The output has too many blocks.");
    if (cid.isInline) return cid.digest;
    const block = await this.source(cid.text, signal);
    if (block.length > CONTENT_LIMITS.blockBytes) throw new ContentError("A block is too large.", cid.text);
    if (hex(await sha256(block)) !== hex(cid.digest)) {
      throw new ContentError("The gateway sent a block that is not the one of this CID.", cid.text);
    }
    return block;
  }

  /**
   * Every file below the directory `root`, sorted by the bytes of its path. Reads directories and the heads of large
   * files; a file of one raw block is not read, so its size is its link's word until `read` compares it.
   */
  async files(root: string, signal?: AbortSignal): Promise<ContentFile[]> {
    const found: ContentFile[] = [];
    const add = (file: ContentFile) => {
      if (found.length >= CONTENT_LIMITS.files) {
        throw new ContentError(`The output has more than ${CONTENT_LIMITS.files} files.`);
      }
      found.push(file);
    };
    const visit = async (cid: Cid, path: string, depth: number): Promise<void> => {
      if (depth > CONTENT_LIMITS.depth) throw new ContentError("The output has too many directories.");
      const node = decode(cid, await this.#load(cid, signal));
      if (node.kind === "file") {
        if (path === "")
          throw new ContentError("The output is a file where a directory should be.", cid.text);
        add({ path, cid, bytes: node.bytes });
        return;
      }
      const seen = new Set<string>();
      const enter = async (links: Link[], level: number): Promise<void> => {
        for (const { cid: below, name, dagBytes } of links) {
          if (node.kind === "shard" && name === "") {
            if (level > CONTENT_LIMITS.depth) throw new ContentError("A sharded directory is too deep.");
            const shard = decode(below, await this.#load(below, signal));
            if (shard.kind !== "shard") throw new ContentError("A shard is none.", below.text);
            await enter(shard.links, level + 1);
            continue;
          }
          if (seen.has(name)) throw new ContentError("A directory holds one name twice.", cid.text);
          seen.add(checkName(name));
          const inside = path === "" ? name : `${path}/${name}`;
          if (below.codec === RAW) add({ path: inside, cid: below, bytes: dagBytes });
          else await visit(below, inside, depth + 1);
        }
      };
      await enter(node.links, 0);
    };
    await visit(parseCid(root), "", 0);
    const keys = new Map(found.map(({ path }) => [path, new TextEncoder().encode(path)]));
    return found.sort((a, b) => compare(keys.get(a.path), keys.get(b.path)));
  }

  /** The bytes of a file, part by part; what a block really holds must be what its parent declared. */
  async *read(file: ContentFile, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const source = this;
    async function* parts(cid: Cid, declared: number, depth: number): AsyncGenerator<Uint8Array> {
      if (depth > CONTENT_LIMITS.depth) throw new ContentError("A file has too many levels.", cid.text);
      const node = decode(cid, await source.#load(cid, signal));
      if (node.kind !== "file" || node.bytes !== declared) {
        throw new ContentError("A part of a file is not what it was declared to be.", cid.text);
      }
      if (node.data.length > 0) yield node.data;
      for (const part of node.parts) yield* parts(part.cid, part.bytes, depth + 1);
    }
    yield* parts(file.cid, file.bytes, 0);
  }

  /** A whole file, verified. `onBytes` is told how many bytes have come. */
  async blob(
    file: ContentFile,
    options: { type?: string; signal?: AbortSignal; onBytes?: (bytes: number) => void } = {},
  ): Promise<Blob> {
    const parts: BlobPart[] = [];
    for await (const part of this.read(file, options.signal)) {
      parts.push(part as Uint8Array<ArrayBuffer>);
      options.onBytes?.(part.length);
    }
    return new Blob(parts, { type: options.type ?? "application/octet-stream" });
  }
}

function compare(a: Uint8Array = new Uint8Array(), b: Uint8Array = new Uint8Array()): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export type ManifestFile = { path: string; size: number; sha256: string };

/** SHA-256 of the canonical manifest: what a receipt signs. The files must be sorted by the bytes of their paths. */
export async function manifestHash(files: readonly ManifestFile[]): Promise<string> {
  return `0x${hex(await sha256(new TextEncoder().encode(canonicalJson({ files: [...files] }))))}`;
}

/** Reads every file of an output and makes its manifest. */
export async function manifestOf(
  content: Content,
  files: readonly ContentFile[],
  options: { signal?: AbortSignal; onBytes?: (bytes: number) => void } = {},
): Promise<ManifestFile[]> {
  const manifest: ManifestFile[] = [];
  for (const file of files) {
    const bytes = await (await content.blob(file, options)).arrayBuffer();
    const digest = hex(await sha256(new Uint8Array(bytes)));
    manifest.push({ path: file.path, size: file.bytes, sha256: digest });
  }
  return manifest;
}
