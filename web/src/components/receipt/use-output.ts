"use client";
/** An output as its receipt names it: its files, and whether all of it is what was signed. Every block is verified here. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { call, type Receipt } from "@/lib/api";
import type { Content, ContentFile } from "@/lib/content";
import type { Check } from "@/lib/verify";

/** An output up to this size is verified without being asked to. */
const AUTOMATIC_BYTES_MAX = 64 * 1024 ** 2;
/** A larger one is for the command line: the page would have to hold each file in memory. */
const BYTES_MAX = 1024 ** 3;

async function block(cid: string, signal?: AbortSignal): Promise<Uint8Array> {
  const answer = await call(`/ipfs/${cid}?format=raw`, signal ? { signal } : {});
  return new Uint8Array(await answer.arrayBuffer());
}

export type Output = { content: Content; files: ContentFile[] };

export function useOutput(receipt: Receipt) {
  return useQuery({
    queryKey: ["output", receipt.output_cid],
    queryFn: async ({ signal }): Promise<Output> => {
      const { Content } = await import("@/lib/content");
      const content = new Content(block);
      return { content, files: await content.files(receipt.output_cid, signal) };
    },
    // Content never changes under its CID.
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export type Verification =
  | { status: "waiting" | "too_large" }
  | { status: "reading"; share: number }
  | { status: "done"; checks: Check[] }
  | { status: "failed"; error: Error };

/** Reads the whole output and compares it with the receipt; `start` where it is too large to do so unasked. */
export function useVerification(receipt: Receipt, output: Output | undefined) {
  const [isWanted, setWanted] = useState(false);
  const [read, setRead] = useState(0);
  const bytes = output?.files.reduce((sum, file) => sum + file.bytes, 0) ?? 0;
  const isSmall = bytes <= AUTOMATIC_BYTES_MAX;
  const checks = useQuery({
    queryKey: ["output", receipt.output_cid, receipt.manifest_hash, receipt.output_bytes],
    enabled: output !== undefined && bytes <= BYTES_MAX && (isSmall || isWanted),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
    queryFn: async ({ signal }) => {
      const { manifestHash, manifestOf } = await import("@/lib/content");
      const { checkOutput } = await import("@/lib/verify");
      if (!output) throw new Error("there is no output to verify");
      let sum = 0;
      const onBytes = (more: number) => {
        sum += more;
        setRead(sum);
      };
      const manifest = await manifestOf(output.content, output.files, { signal, onBytes });
      return checkOutput(receipt, manifest, await manifestHash(manifest));
    },
  });
  const state: Verification = checks.isError
    ? { status: "failed", error: checks.error }
    : checks.data
      ? { status: "done", checks: checks.data }
      : bytes > BYTES_MAX
        ? { status: "too_large" }
        : checks.isFetching
          ? { status: "reading", share: bytes > 0 ? read / bytes : 0 }
          : { status: "waiting" };
  return { state, start: () => setWanted(true) };
}
