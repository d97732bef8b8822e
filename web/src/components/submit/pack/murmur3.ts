/** MurmurHash3 x64, the first half of its 128 bits with seed 0: where names belong in a sharded IPFS directory. */

const MASK = (1n << 64n) - 1n;
const C1 = 0x87c37b91114253d5n;
const C2 = 0x4cf5ad432745937fn;

const times = (a: bigint, b: bigint) => (a * b) & MASK;
const rotate = (value: bigint, by: bigint) => ((value << by) | (value >> (64n - by))) & MASK;

function word(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[at] ?? 0);
  return value;
}

const mix1 = (k: bigint) => times(rotate(times(k, C1), 31n), C2);
const mix2 = (k: bigint) => times(rotate(times(k, C2), 33n), C1);

function finish(hash: bigint): bigint {
  let h = hash;
  h = times(h ^ (h >> 33n), 0xff51afd7ed558ccdn);
  h = times(h ^ (h >> 33n), 0xc4ceb9fe1a85ec53n);
  return h ^ (h >> 33n);
}

/** Eight bytes, the most significant first. */
export function murmur3(bytes: Uint8Array): Uint8Array {
  let h1 = 0n;
  let h2 = 0n;
  const whole = bytes.length - (bytes.length % 16);
  for (let at = 0; at < whole; at += 16) {
    h1 ^= mix1(word(bytes.subarray(at, at + 8)));
    h1 = (times((rotate(h1, 27n) + h2) & MASK, 5n) + 0x52dce729n) & MASK;
    h2 ^= mix2(word(bytes.subarray(at + 8, at + 16)));
    h2 = (times((rotate(h2, 31n) + h1) & MASK, 5n) + 0x38495ab5n) & MASK;
  }
  h2 ^= mix2(word(bytes.subarray(whole + 8)));
  h1 ^= mix1(word(bytes.subarray(whole, whole + 8)));
  h1 ^= BigInt(bytes.length);
  h2 ^= BigInt(bytes.length);
  h1 = (h1 + h2) & MASK;
  h2 = (h2 + h1) & MASK;
  const hash = (finish(h1) + finish(h2)) & MASK;
  return Uint8Array.from({ length: 8 }, (_, at) => Number((hash >> BigInt(56 - 8 * at)) & 0xffn));
}
