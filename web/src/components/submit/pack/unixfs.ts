/**
 * Files and directories as IPFS blocks, in the profile `unixfs-v1-2025`: CIDv1, raw leaves, chunks of 1 MiB, 1024 links a
 * node, directories sharded beyond 256 KiB. The CIDs are those of `gristmill`, of Kubo and of every other IPFS tool.
 */

import { murmur3 } from "./murmur3";

export const CHUNK_BYTES = 1 << 20;
const LINKS_MAX = 1024;
const DIRECTORY_BYTES_MAX = 256 << 10;
const FANOUT = 256;

const RAW = 0x55;
const DAG_PB = 0x70;
const TYPE_DIRECTORY = 1;
const TYPE_FILE = 2;
const TYPE_SHARD = 5;
const MURMUR3 = 0x22;

/** What a block weighs, where the bytes of leaves stay in the file that they come from. */
export type Block = { cid: Uint8Array; content: Blob | Uint8Array };
/** Takes blocks as they are made. */
export type BlockSink = (block: Block) => void;

/** A part of a file, or an entry of a directory. */
export type Node = { cid: Uint8Array; bytes: number; dagBytes: number };
export type Link = { name: string; node: Node };

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  // The browser's own is there on https and on loopback only.
  if (globalThis.crypto?.subtle) {
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
  }
  const viem = await import("viem");
  return viem.sha256(bytes, "bytes");
}

async function cidOf(codec: number, bytes: Uint8Array): Promise<Uint8Array> {
  return concat([Uint8Array.of(1, codec, 0x12, 32), await sha256(bytes)]);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** An unsigned LEB128 number. Division, because sizes do not fit the 32 bits of JavaScript's shifts. */
export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function numberField(field: number, value: number): Uint8Array {
  return concat([Uint8Array.of(field << 3), varint(value)]);
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return concat([Uint8Array.of((field << 3) | 2), varint(bytes.length), bytes]);
}

const utf8 = new TextEncoder();

function dagPb(links: readonly Link[], unixfs: Uint8Array): Uint8Array {
  const parts = links.map(({ name, node }) =>
    bytesField(
      2,
      concat([bytesField(1, node.cid), bytesField(2, utf8.encode(name)), numberField(3, node.dagBytes)]),
    ),
  );
  // Links come before the data: the order of dag-pb, not of the field numbers.
  return concat([...parts, bytesField(1, unixfs)]);
}

async function store(
  content: Uint8Array,
  links: readonly Link[],
  bytes: number,
  sink: BlockSink,
): Promise<Node> {
  const cid = await cidOf(DAG_PB, content);
  sink({ cid, content });
  const below = links.reduce((sum, { node }) => sum + node.dagBytes, 0);
  return { cid, bytes, dagBytes: below + content.length };
}

/** Adds a file. Memory holds one chunk of it; `onBytes` is told how much was read. */
export async function addFile(
  file: Blob,
  sink: BlockSink,
  onBytes: (bytes: number) => void = () => {},
): Promise<Node> {
  let level: Node[] = [];
  for (let start = 0; start === 0 || start < file.size; start += CHUNK_BYTES) {
    const content = file.slice(start, start + CHUNK_BYTES);
    const bytes = new Uint8Array(await content.arrayBuffer());
    const cid = await cidOf(RAW, bytes);
    sink({ cid, content });
    level.push({ cid, bytes: bytes.length, dagBytes: bytes.length });
    onBytes(bytes.length);
  }
  while (level.length > 1) {
    const above: Node[] = [];
    for (let start = 0; start < level.length; start += LINKS_MAX) {
      above.push(await fileNode(level.slice(start, start + LINKS_MAX), sink));
    }
    level = above;
  }
  const [root] = level;
  if (!root) throw new Error("a file has at least one block");
  return root;
}

async function fileNode(parts: readonly Node[], sink: BlockSink): Promise<Node> {
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const unixfs = concat([
    numberField(1, TYPE_FILE),
    numberField(3, bytes),
    ...parts.map((part) => numberField(4, part.bytes)),
  ]);
  const links = parts.map((node) => ({ name: "", node }));
  return store(dagPb(links, unixfs), links, bytes, sink);
}

/** Adds a directory over entries that were added before. */
export async function addDirectory(entries: readonly Link[], sink: BlockSink): Promise<Node> {
  const links = entries.map((link) => ({ ...link, key: utf8.encode(link.name) }));
  links.sort((a, b) => compareBytes(a.key, b.key));
  const bytes = links.reduce((sum, { node }) => sum + node.bytes, 0);
  const content = dagPb(links, numberField(1, TYPE_DIRECTORY));
  if (content.length <= DIRECTORY_BYTES_MAX) return store(content, links, bytes, sink);
  const hashed = links.map(({ name, node, key }) => ({ name, node, hash: murmur3(key) }));
  return { ...(await addShard(hashed, 0, sink)), bytes };
}

type HashedLink = Link & { hash: Uint8Array };

/** One level of a sharded directory: each takes one byte of the names' hashes. */
async function addShard(links: readonly HashedLink[], depth: number, sink: BlockSink): Promise<Node> {
  const bySlot = new Map<number, HashedLink[]>();
  for (const link of links) {
    const slot = link.hash[depth];
    if (slot === undefined) throw new Error(`two names have the same hash: ${link.name}`);
    bySlot.set(slot, [...(bySlot.get(slot) ?? []), link]);
  }
  const slots = [...bySlot].sort(([a], [b]) => a - b);
  const bits = new Uint8Array(FANOUT / 8);
  const shardLinks: Link[] = [];
  for (const [slot, shared] of slots) {
    const byte = bits.length - 1 - (slot >> 3);
    bits[byte] = (bits[byte] ?? 0) | (1 << (slot & 7));
    const digits = slot.toString(16).toUpperCase().padStart(2, "0");
    const [only] = shared;
    if (only && shared.length === 1) shardLinks.push({ name: digits + only.name, node: only.node });
    else shardLinks.push({ name: digits, node: await addShard(shared, depth + 1, sink) });
  }
  const unixfs = concat([
    numberField(1, TYPE_SHARD),
    bytesField(2, bits.slice(bits.findIndex((byte) => byte !== 0))),
    numberField(5, MURMUR3),
    numberField(6, FANOUT),
  ]);
  return store(dagPb(shardLinks, unixfs), shardLinks, 0, sink);
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

/** A CID as people see it: `b` and base32. */
export function cidText(cid: Uint8Array): string {
  let text = "b";
  let bits = 0;
  let held = 0;
  for (const byte of cid) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return bits > 0 ? text + BASE32[(held << (5 - bits)) & 31] : text;
}
