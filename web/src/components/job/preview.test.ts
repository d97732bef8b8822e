/** Files of strangers as tables, text and archives. */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { tar } from "./archive";
import { asText, imageType, parseTable, prettyJson, previewKind, TABLE_ROWS_MAX } from "./preview";

describe("a preview", () => {
  it("is chosen by the name alone", () => {
    expect(["a.PNG", "b.json", "c.csv", "d.html", "e", ".svg"].map(previewKind)).toEqual([
      "image",
      "json",
      "table",
      "text",
      "text",
      "image",
    ]);
    expect(imageType("page.html")).toBeUndefined();
  });

  it("reads tables as spreadsheets write them", () => {
    expect(parseTable('a,b\r\n1,"x, ""y""\nz"\n\n3,', ",")).toEqual([
      ["a", "b"],
      ["1", 'x, "y"\nz'],
      ["3", ""],
    ]);
    expect(parseTable("a\tb\n", "\t")).toEqual([["a", "b"]]);
    expect(parseTable('"never closed', ",")).toEqual([["never closed"]]);
    expect(parseTable("x\n".repeat(10_000), ",")).toHaveLength(TABLE_ROWS_MAX);
    expect(parseTable(`${",".repeat(1000)}\n`, ",")[0]).toHaveLength(50);
  });

  it("takes only text for text", () => {
    expect(asText(new TextEncoder().encode("Gruß"), true)).toBe("Gruß");
    expect(asText(Uint8Array.of(1, 0, 2), true)).toBeUndefined();
    expect(asText(Uint8Array.of(0xff, 0xfe), true)).toBeUndefined();
    // A letter that is cut off at the end is no fault of a beginning, but one of a whole file.
    const cut = new TextEncoder().encode("Gruß").slice(0, -1);
    expect(asText(cut, false)).toBe("Gru");
    expect(asText(cut, true)).toBeUndefined();
  });

  it("leaves broken JSON as it is", () => {
    expect(prettyJson('{"a":1}')).toBe('{\n  "a": 1\n}');
    expect(prettyJson("{")).toBe("{");
  });
});

describe("an archive", () => {
  it("is unpacked by the system's own tar, long and foreign names too", async () => {
    const long = `${"deep/".repeat(40)}file.txt`;
    const files = [
      { path: "a/b.txt", blob: new Blob(["flour"]) },
      { path: "empty", blob: new Blob([]) },
      { path: "Müller/kết quả.bin", blob: new Blob([new Uint8Array(1025)]) },
      { path: long, blob: new Blob(["x"]) },
    ];
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "gristmill-tar-"));
    try {
      fs.writeFileSync(path.join(folder, "all.tar"), new Uint8Array(await tar(files).arrayBuffer()));
      execFileSync("tar", ["-xf", "all.tar"], { cwd: folder });
      expect(fs.readFileSync(path.join(folder, "a/b.txt"), "utf8")).toBe("flour");
      expect(fs.readFileSync(path.join(folder, "empty"))).toHaveLength(0);
      expect(fs.readFileSync(path.join(folder, "Müller/kết quả.bin"))).toHaveLength(1025);
      expect(fs.readFileSync(path.join(folder, long), "utf8")).toBe("x");
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
