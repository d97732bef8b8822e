// Fails if a page loads more JavaScript at first than its budget allows. Sizes are gzip, as the scheduler sends them.
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";

const KIB = 1024;
const SUBMIT_BYTES_MAX = 240 * KIB;
const PAGE_BYTES_MAX = 180 * KIB;

const out = path.resolve(import.meta.dirname, "../out");
const sizes = new Map();

function size(script) {
  if (!sizes.has(script)) {
    const bytes = fs.readFileSync(path.join(out, script.split("?")[0]));
    sizes.set(script, zlib.gzipSync(bytes, { level: 9 }).length);
  }
  return sizes.get(script);
}

const pages = Object.keys(JSON.parse(fs.readFileSync(path.join(out, "csp.json"), "utf8"))).sort();
let over = 0;
for (const page of pages) {
  const html = fs.readFileSync(path.join(out, page.endsWith("/") ? `${page}index.html` : page), "utf8");
  const scripts = [...html.matchAll(/<script[^>]*src="([^"]+\.js[^"]*)"[^>]*>/g)]
    .filter(([tag]) => !/nomodule/i.test(tag))
    .map(([, source]) => source);
  const bytes = [...new Set(scripts)].reduce((sum, script) => sum + size(script), 0);
  const budget = page === "/submit/" ? SUBMIT_BYTES_MAX : PAGE_BYTES_MAX;
  const verdict = bytes <= budget ? "ok" : "OVER";
  if (bytes > budget) over += 1;
  console.log(
    `${verdict.padEnd(5)} ${page.padEnd(24)} ${(bytes / KIB).toFixed(1).padStart(6)} of ${budget / KIB} KiB`,
  );
}
console.log(`${pages.length} pages: ${pages.length - over} passed, ${over} failed`);
process.exit(over > 0 ? 1 : 0);
