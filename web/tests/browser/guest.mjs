// Programs for jobs, assembled here byte by byte: what a stranger's program may print and write, without a compiler.
// They use WASI preview 1, as every module that a node runs.

const utf8 = new TextEncoder();
const I32 = 0x7f;
const I64 = 0x7e;

function leb(value) {
  const bytes = [];
  for (let rest = BigInt(value); ; ) {
    const byte = Number(rest & 0x7fn);
    rest >>= 7n;
    const isLast = (rest === 0n && !(byte & 0x40)) || (rest === -1n && byte & 0x40);
    bytes.push(isLast ? byte : byte | 0x80);
    if (isLast) return bytes;
  }
}

function size(value) {
  const bytes = [];
  let rest = value;
  do {
    bytes.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}

const vector = (items) => [...size(items.length), ...items.flat()];
const bytes = (text) => vector([...utf8.encode(text)]);
const section = (id, content) => [id, ...size(content.length), ...content];
const i32 = (value) => [0x41, ...leb(value)];
const call = (index) => [0x10, index];
const DROP = 0x1a;
const [FD_WRITE, PATH_OPEN, PROC_EXIT] = [0, 1, 2];

/** Where the opened file and the count of written bytes are put. */
const SCRATCH = 16;
const MEMORY_PAGES = 64;
/** Turns of an empty loop, which take about a second; more do not fit a counter of 32 bits. */
const TURNS = 500_000_000;

/**
 * A module that does `steps` in order: `{print, times}`, `{file, text}` (in /output), `{spin}` (seconds, about),
 * `{forever: true}`, `{exit}`.
 */
export function guest(steps) {
  const memory = [];
  let top = 64;
  const place = (data) => {
    const at = top;
    memory.push({ at, data });
    top += data.length + ((8 - (data.length % 8)) % 8);
    return at;
  };
  const words = (...values) => new Uint8Array(Uint32Array.from(values).buffer);
  const text = (content) => {
    const data = utf8.encode(content);
    const at = place(data);
    return { at, length: data.length, vector: place(words(at, data.length)) };
  };
  const repeat = (times, body) => [
    ...[...i32(times), 0x21, 0, 0x03, 0x40],
    ...body,
    ...[0x20, 0, ...i32(1), 0x6b, 0x22, 0, 0x0d, 0, 0x0b],
  ];
  const write = (descriptor, vectorAt) => [
    ...[...descriptor, ...i32(vectorAt), ...i32(1), ...i32(SCRATCH), ...call(FD_WRITE)],
    DROP,
  ];
  const code = steps.flatMap((step) => {
    if ("print" in step) return repeat(step.times ?? 1, write(i32(1), text(step.print).vector));
    if ("spin" in step) return Array(step.spin).fill(repeat(TURNS, [])).flat();
    if ("forever" in step) return [0x03, 0x40, 0x0c, 0, 0x0b];
    if ("exit" in step) return [...i32(step.exit), ...call(PROC_EXIT)];
    const name = text(step.file);
    const content = text(step.text);
    // Which of the folders given to the program is /output is found by trying: the other one is read-only.
    return [3, 4].flatMap((folder) => [
      ...[...i32(folder), ...i32(0), ...i32(name.at), ...i32(name.length), ...i32(1)],
      ...[0x42, ...leb(1 << 6), 0x42, ...leb(0), ...i32(0), ...i32(SCRATCH + 8), ...call(PATH_OPEN)],
      ...[0x45, 0x04, 0x40, ...write([...i32(SCRATCH + 8), 0x28, 2, 0], content.vector), 0x0b],
    ]);
  });
  const body = [...vector([[...size(1), I32]]), ...code, 0x0b];
  const wasi = "wasi_snapshot_preview1";
  const imports = [
    ["fd_write", 0],
    ["path_open", 1],
    ["proc_exit", 2],
  ].map(([name, type]) => [...bytes(wasi), ...bytes(name), 0, type]);
  const signature = (parameters, results) => [0x60, ...vector(parameters), ...vector(results)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      vector([
        signature([I32, I32, I32, I32], [I32]),
        signature([I32, I32, I32, I32, I32, I64, I64, I32, I32], [I32]),
        signature([I32], []),
        signature([], []),
      ]),
    ),
    ...section(2, vector(imports)),
    ...section(3, vector([[3]])),
    ...section(5, vector([[0, ...size(MEMORY_PAGES)]])),
    ...section(
      7,
      vector([
        [...bytes("_start"), 0, 3],
        [...bytes("memory"), 2, 0],
      ]),
    ),
    ...section(10, vector([[...size(body.length), ...body]])),
    ...section(11, vector(memory.map(({ at, data }) => [0, ...i32(at), 0x0b, ...vector([...data])]))),
  ]);
}
