/** Local data goes out and comes back whole, and a file from elsewhere cannot bring anything in. */

import { describe, expect, it } from "vitest";
import { countEntries, exportData, forget, importData, readData, type Storage } from "./local-data";

class MemoryStorage implements Storage {
  private readonly map = new Map<string, string>();
  constructor(entries: Record<string, string> = {}) {
    for (const [key, value] of Object.entries(entries)) this.map.set(key, value);
  }
  get length() {
    return this.map.size;
  }
  key(index: number) {
    return [...this.map.keys()][index] ?? null;
  }
  getItem(key: string) {
    return this.map.get(key) ?? null;
  }
  setItem(key: string, value: string) {
    this.map.set(key, value);
  }
  removeItem(key: string) {
    this.map.delete(key);
  }
}

const full = () =>
  new MemoryStorage({
    "gristmill:draft": "{}",
    "gristmill:submission:0x01": "old",
    "gristmill:config": "{}",
    "gristmill:development:submitter": "1",
    "somebody-else": "secret",
  });

describe("local data", () => {
  it("takes along drafts and records, and neither the cached configuration nor what is not ours", () => {
    const data = readData(exportData(full()));
    expect(data).toMatchObject({ entries: { "gristmill:draft": "{}", "gristmill:submission:0x01": "old" } });
    expect(Object.keys((data as { entries: object }).entries)).toHaveLength(2);
  });

  it("comes back into an empty browser", () => {
    const data = readData(exportData(full()));
    if (typeof data === "string") throw new Error(data);
    const empty = new MemoryStorage();
    expect(importData(empty, data)).toEqual({ added: 2, kept: 0 });
    expect(empty.getItem("gristmill:submission:0x01")).toBe("old");
  });

  it("does not overwrite a record of a submission, which may be newer here", () => {
    const data = readData(exportData(full()));
    if (typeof data === "string") throw new Error(data);
    const here = new MemoryStorage({ "gristmill:submission:0x01": "new" });
    expect(importData(here, data)).toEqual({ added: 1, kept: 1 });
    expect(here.getItem("gristmill:submission:0x01")).toBe("new");
  });

  it("refuses what is not its own", () => {
    const written = (entries: object, version = 1) =>
      JSON.stringify({ format: "gristmill-local-data", version, entries });
    expect(readData("{")).toBe("not_json");
    expect(readData("null")).toBe("not_ours");
    expect(readData('{"entries":{}}')).toBe("not_ours");
    expect(readData(written({}, 2))).toBe("newer");
    expect(readData(written({ "somebody-else": "x" }))).toBe("foreign");
    expect(readData(written({ "gristmill:draft": 1 }))).toBe("foreign");
    expect(readData(written({ "gristmill:config": "{}" }))).toBe("foreign");
    expect(readData(" ".repeat(8 * 1024 * 1024 + 1))).toBe("too_large");
  });

  it("forgets ours and nothing else", () => {
    const storage = full();
    expect(countEntries(storage)).toEqual({ submissions: 1, others: 3 });
    forget(storage);
    expect(storage.length).toBe(1);
    expect(storage.getItem("somebody-else")).toBe("secret");
  });
});
