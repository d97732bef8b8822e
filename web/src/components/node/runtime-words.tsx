/** What a node runs, as small words side by side. */

import type { Schemas } from "@/lib/api";

const NAMES: Record<Schemas["RuntimeKind"], string> = { docker: "Docker", wasm: "WASM" };

export function RuntimeWords({ runtimes }: { runtimes: readonly Schemas["RuntimeKind"][] }) {
  return (
    <span className="inline-flex gap-1">
      {runtimes.map((runtime) => (
        <span
          key={runtime}
          className="rounded border border-line px-1.5 text-[12px] leading-[18px] text-ink-soft"
        >
          {NAMES[runtime]}
        </span>
      ))}
    </span>
  );
}
