/** The CIDs that the page computes are those of the command line: fixtures of crates/protocol/src/content/tests. */

import { describe, expect, it } from "vitest";
import { type Entry, FILES_MAX, fromFileList, gather, PackError, pack } from "./car";

const NO_LIMIT = 1 << 30;

/** The bytes of the fixtures: a linear congruential generator. */
function grist(count: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(count);
  let x = seed;
  for (let at = 0; at < count; at++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = x >>> 24;
  }
  return bytes;
}

function file(name: string, bytes: Uint8Array): Entry {
  return { name, file: new File([bytes as BlobPart], name) };
}

async function cid(entry: Entry): Promise<string> {
  return (await pack(entry, NO_LIMIT)).cid;
}

describe("pack", () => {
  it.each([
    [0, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"],
    [1, "bafkreig2xu5p65u7a7vsszkad2yctf2oxorua6x5akzg3w2wj2s7r35ooi"],
    [1_048_576, "bafkreibqxe5ues3ovlqemifgxl7b67vwwkvgf6yukuqqxvn6ivzq7j3x74"],
    [1_048_577, "bafybeih5e537lsvucef3o2fpqor5pf55iijmfa7rlixbtmhkyjrf562luu"],
    [5_000_000, "bafybeigt4o2pfs4d2grbbgsdlm3dljkxbcn5manvym3qsil4lwe5qoggwy"],
  ])("a file of %d bytes", async (bytes, expected) => {
    expect(await cid(file("f", grist(bytes, bytes)))).toBe(expected);
  });

  const directory: Entry = {
    name: "d",
    entries: [
      { name: "sub", entries: [{ name: "deep", entries: [file("x", grist(1_500_000, 4))] }] },
      file("a.txt", grist(10, 1)),
      file("B.txt", grist(20, 2)),
      file("größe und ☃", new Uint8Array()),
      file("sub.txt", grist(5, 5)),
    ],
  };

  it("a directory, in whatever order its entries came", async () => {
    expect(await cid(directory)).toBe("bafybeicr6ey2lnm3kifjji3bshngtrqvgcpzaafuj5ygqqzagdxvreutde");
    const withEmpty = { ...directory, entries: [...directory.entries, { name: "empty", entries: [] }] };
    expect(await cid(withEmpty)).toBe("bafybeigkhpcslsmtvn3cpyduklg2ta77acepgan3fimplggk7osdiej4km");
  });

  it("a sharded directory", async () => {
    const text = new TextEncoder();
    const entries = Array.from({ length: 6000 }, (_, n) => file(`file-${n}`, text.encode(String(n))));
    expect(await cid({ name: "d", entries })).toBe(
      "bafybeihkfzt2ncfavkkkbvjoql3uku5rfh7jkyesk2fpflycowxubizgti",
    );
  });

  it("the sharding begins beyond 256 KiB exactly", async () => {
    const rest = Array.from({ length: 5040 }, (_, n) =>
      file(String(n + 1).padStart(8, "0"), new Uint8Array()),
    );
    for (const [extra, expected] of [
      [8, "bafybeiefm7hvjww57zb3zuafc23u4l3s3cyrrl5mcc5stgvegmd7ttuzum"],
      [9, "bafybeifk5w3nqg4xrlazvrq3g55evjfvlhiodq3ptzcsblajpud4jk2mlm"],
    ] as const) {
      const entries = [file(`00000000${"x".repeat(extra)}`, new Uint8Array()), ...rest];
      expect(await cid({ name: "d", entries })).toBe(expected);
    }
  });

  it("the CAR has a header, and each block once", async () => {
    const twice = { name: "d", entries: [file("a", grist(100, 100)), file("b", grist(100, 100))] };
    const { car, bytes, files } = await pack(twice, NO_LIMIT);
    expect([bytes, files]).toEqual([200, 3]);
    const written = new Uint8Array(await car.arrayBuffer());
    expect(written[0]).toBe(58);
    expect(new TextDecoder().decode(written.slice(2, 8))).toBe("eroots");
    const sections: number[] = [];
    for (let at = 0; at < written.length; ) {
      let length = 0;
      let shift = 0;
      let byte: number;
      do {
        byte = written[at++] ?? 0;
        length += (byte & 0x7f) << shift;
        shift += 7;
      } while (byte & 0x80);
      sections.push(length);
      at += length;
      expect(at).toBeLessThanOrEqual(written.length);
    }
    expect(sections).toHaveLength(3);
    expect(sections).toContain(136);
  });

  it("says how far it is", async () => {
    const shares: number[] = [];
    await pack(file("f", grist(3_000_000, 1)), NO_LIMIT, (share) => shares.push(share));
    expect(shares).toHaveLength(3);
    expect(shares.at(-1)).toBe(1);
  });

  it("refuses what the scheduler would refuse, before anything is read", async () => {
    const refused = (entry: Entry, bytesMax = NO_LIMIT) =>
      pack(entry, bytesMax).then(
        () => "packed",
        (error: PackError) => error.reason,
      );
    expect(await refused(file("f", grist(11, 1)), 10)).toBe("tooLarge");
    expect(await refused(file("..", grist(1, 1)))).toBe("badName");
    expect(await refused(file("a/b", grist(1, 1)))).toBe("badName");
    expect(await refused(file("ü".repeat(128), grist(1, 1)))).toBe("badName");
    let deep: Entry = file("x", new Uint8Array());
    for (let level = 0; level < 66; level++) deep = { name: "d", entries: [deep] };
    expect(await refused(deep)).toBe("tooDeep");
    const many = new Array<Entry>(FILES_MAX + 1).fill(file("x", new Uint8Array()));
    expect(await refused({ name: "d", entries: many })).toBe("tooMany");
    expect(() => gather([], "data")).toThrow(PackError);
  });

  it("folders chosen by a file picker", () => {
    const chosen = (path: string) => {
      const made = new File(["x"], path.split("/").at(-1) ?? "");
      Object.defineProperty(made, "webkitRelativePath", { value: path });
      return made;
    };
    const [root] = fromFileList([chosen("d/a"), chosen("d/sub/b"), chosen("d/sub/c")]);
    const names = (entry: Entry): unknown =>
      "entries" in entry ? [entry.name, entry.entries.map(names)] : entry.name;
    expect(root && names(root)).toEqual(["d", ["a", ["sub", ["b", "c"]]]]);
  });
});
