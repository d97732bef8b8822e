// Finishes what `next build` wrote to out/: hashes the inline scripts for the Content-Security-Policy, and compresses.
// The scheduler reads out/csp.json: page path -> hash sources of the inline scripts of that page.
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";

const out = path.resolve(import.meta.dirname, "../out");
/** Smaller files do not get smaller by compression. */
const COMPRESS_BYTES_MIN = 1024;

function* files(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* files(file);
    else yield file;
  }
}

const INLINE_SCRIPT = /<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g;
const hashes = {};
for (const file of files(out)) {
  if (!file.endsWith(".html")) continue;
  const html = fs.readFileSync(file, "utf8");
  if (/\son[a-z]+="/.test(html))
    throw new Error(`${file} has an inline event handler, which the policy forbids`);
  const found = [...html.matchAll(INLINE_SCRIPT)].map(
    ([, script]) => `'sha256-${crypto.createHash("sha256").update(script).digest("base64")}'`,
  );
  const page = `/${path.relative(out, file).replace(/index\.html$/, "")}`;
  hashes[page] = [...new Set(found)];
}
fs.writeFileSync(path.join(out, "csp.json"), `${JSON.stringify(hashes, null, 1)}\n`);

let saved = 0;
for (const file of [...files(out)]) {
  if (!/\.(html|js|css|txt|svg|json)$/.test(file) || file.endsWith("csp.json")) continue;
  const bytes = fs.readFileSync(file);
  if (bytes.length < COMPRESS_BYTES_MIN) continue;
  const brotli = zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 9 } });
  fs.writeFileSync(`${file}.br`, brotli);
  fs.writeFileSync(`${file}.gz`, zlib.gzipSync(bytes, { level: 9 }));
  saved += bytes.length - brotli.length;
}
console.log(`${Object.keys(hashes).length} pages, ${Math.round(saved / 1024)} KiB saved by compression`);
