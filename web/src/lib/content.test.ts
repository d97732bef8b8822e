/** Blocks that other implementations wrote (crates/protocol/src/content/tests/foreign), read and attacked. */

import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { type BlockSource, Content, hex, manifestHash, manifestOf, parseCid, sha256 } from "./content";

const HAMT8 = "bafybeibkkowtsu7dkuol5ti22zjo4bb6wgaxrgcmauf4cvsmlwpgflalva";
const TRICKLE = "bafybeiadhad5zqkvxfoapgq7ciz4whloxnvwzyxgoisho55vugmoczy6yi";
/** QmVU1R7vHYDUXmqTL21jjSmUFysYpxq4LfL1w4cfTvvFd5, the root of the old profile, in base32. */
const V0 = "bafybeidj4re2w7uzps6sdksmgke3rv4qmrveiy2y32fe6woopgxqqn3e7q";
const FOREIGN = path.resolve(import.meta.dirname, "../../../crates/protocol/src/content/tests/foreign");

/** The blocks of a CAR by their hashes: its writer called all of them raw. */
function car(name: string): Map<string, Uint8Array> {
  const bytes = new Uint8Array(fs.readFileSync(path.join(FOREIGN, name)));
  const blocks = new Map<string, Uint8Array>();
  let at = 0;
  const varint = () => {
    let [value, shift] = [0, 0];
    for (;;) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      shift += 7;
      if (byte < 0x80) return value;
    }
  };
  const header = varint();
  at += header;
  while (at < bytes.length) {
    const length = varint();
    const section = bytes.subarray(at, at + length);
    at += length;
    const isV0 = section[0] === 0x12;
    const cid = section.subarray(0, isV0 ? 34 : 36);
    blocks.set(hex(cid.subarray(-32)), section.subarray(cid.length));
  }
  return blocks;
}

function base32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups
    .map((group) => "abcdefghijklmnopqrstuvwxyz234567"[Number.parseInt(group.padEnd(5, "0"), 2)])
    .join("");
}

function from(blocks: Map<string, Uint8Array>): BlockSource {
  return async (cid) => {
    const block = blocks.get(hex(parseCid(cid).digest));
    if (!block) throw new Error(`no block ${cid}`);
    return block;
  };
}

describe("content", () => {
  it("reads a directory that is sharded with a fanout of 8", async () => {
    const content = new Content(from(car("hamt8.car")));
    const files = await content.files(HAMT8);
    const names = Array.from({ length: 40 }, (_, number) => `file-${number}`);
    expect(files.map((file) => file.path)).toEqual(names.sort());
    for (const [at, entry] of (await manifestOf(content, files)).entries()) {
      const text = new TextEncoder().encode(names[at]?.slice("file-".length));
      expect(entry).toEqual({ path: names[at], size: text.length, sha256: hex(await sha256(text)) });
    }
  });

  it("reads the same directory from the trickle layout as from the old profile", async () => {
    const manifests = [];
    for (const [name, root] of [
      ["trickle.car", TRICKLE],
      ["v0.car", V0],
    ] as const) {
      const content = new Content(from(car(name)));
      manifests.push(await manifestOf(content, await content.files(root)));
    }
    expect(manifests[0]?.length).toBeGreaterThan(3);
    expect(manifests[0]).toEqual(manifests[1]);
  });

  it("reads nothing from a gateway that changes a byte", async () => {
    const changed = Uint8Array.from(car("hamt8.car").get(hex(parseCid(HAMT8).digest)) ?? []);
    changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1;
    const read = new Content(async () => changed).files(HAMT8);
    await expect(read).rejects.toThrow("not the one of this CID");
  });

  it("stops at a file that is not as large as its directory says", async () => {
    const data = new TextEncoder().encode("flour");
    const cid = { ...parseCid(`b${base32(Uint8Array.of(1, 0x55, 0x12, 32, ...(await sha256(data))))}`) };
    const content = new Content(async () => data);
    const read = content.blob({ path: "a", cid, bytes: 6 });
    await expect(read).rejects.toThrow("not what it was declared");
    expect(await (await content.blob({ path: "a", cid, bytes: 5 })).text()).toBe("flour");
    expect(cid.text).toBe("bafkreihvl6l47ig5l4mmdlah2lbwdmmy6gp5quragl5k4bcrufia6hc7ka");
  });

  it("refuses names that are paths, and one name twice", async () => {
    for (const names of [["../x"], ["a/b"], [".."], [""], ["a", "a"], ["a\0"]]) {
      const block = directory(names);
      const root = `b${base32(Uint8Array.of(1, 0x70, 0x12, 32, ...(await sha256(block))))}`;
      await expect(new Content(async () => block).files(root)).rejects.toThrow(/name/);
    }
    const block = directory(["b", "a"]);
    const root = `b${base32(Uint8Array.of(1, 0x70, 0x12, 32, ...(await sha256(block))))}`;
    const files = await new Content(async () => block).files(root);
    expect(files.map((file) => file.path)).toEqual(["a", "b"]);
  });

  it("refuses what is no CID, and hashes that cannot be checked", () => {
    for (const text of [
      "",
      "bafy",
      "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
      `b${"a".repeat(200)}`,
    ]) {
      expect(() => parseCid(text)).toThrow();
    }
    const sha1 = `b${base32(Uint8Array.of(1, 0x55, 0x11, 20, ...new Uint8Array(20)))}`;
    expect(() => parseCid(sha1)).toThrow("cannot be verified");
  });

  it("hashes a manifest as the protocol does", async () => {
    const files = [
      { path: "b.txt", size: 0, sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
      {
        path: "b/c.txt",
        size: 5,
        sha256: "f55f97cfa0dd5f18c1ac07d2c361b198f19fd8522032faae0451a1500f1c5f50",
      },
    ];
    const hash = "0x1b2b1d6e4fa40659d8e65f402b8a6693b0ed26dd34e99a25d47e02dfe9ba91eb";
    expect(await manifestHash(files)).toBe(hash);
    expect(await manifestHash(files.toReversed())).not.toBe(hash);
  });
});

/** A dag-pb directory of empty files with these names. */
function directory(names: string[]): Uint8Array {
  const empty = parseCid("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
  const cid = Uint8Array.of(1, 0x55, 0x12, 32, ...empty.digest);
  const links = names.flatMap((name) => {
    const text = new TextEncoder().encode(name);
    const message = [0x0a, cid.length, ...cid, 0x12, text.length, ...text, 0x18, 0];
    return [0x12, message.length, ...message];
  });
  return Uint8Array.of(...links, 0x0a, 2, 0x08, 1);
}
