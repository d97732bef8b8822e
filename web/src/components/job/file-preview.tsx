"use client";
/** A look into one file of an output, made of verified bytes only. */

import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { errorText, Skeleton } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import type { Content, ContentFile } from "@/lib/content";
import { useMessages } from "@/lib/i18n";
import { asText, imageType, parseTable, prettyJson, previewKind, TABLE_ROWS_MAX } from "./preview";
import { resultMessages } from "./result-messages";

const TEXT_BYTES_MAX = 256 * 1024;
const IMAGE_BYTES_MAX = 16 * 1024 ** 2;

/** The beginning of a file. Reading stops as soon as there is enough. */
async function beginning(content: Content, file: ContentFile, bytesMax: number, signal: AbortSignal) {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of content.read(file, signal)) {
    parts.push(part);
    bytes += part.length;
    if (bytes >= bytesMax) break;
  }
  const whole = new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  return {
    bytes: whole.subarray(0, bytesMax),
    isWhole: whole.length >= file.bytes && whole.length <= bytesMax,
  };
}

export function FilePreview({ content, file }: { content: Content; file: ContentFile }) {
  const t = useMessages(resultMessages);
  const kind = previewKind(file.path);
  const isPicture = kind === "image" && file.bytes <= IMAGE_BYTES_MAX;
  const read = useQuery({
    queryKey: ["file", file.cid.text, file.bytes],
    queryFn: ({ signal }) => beginning(content, file, isPicture ? IMAGE_BYTES_MAX : TEXT_BYTES_MAX, signal),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
  });
  if (read.isError) return <Notice tone="bad">{errorText(read.error)}</Notice>;
  if (!read.data) return <Skeleton className="h-64 w-full" />;
  const { bytes, isWhole } = read.data;
  if (isPicture) return <Picture bytes={bytes} type={imageType(file.path) ?? ""} name={file.path} />;
  const text = asText(bytes, isWhole);
  if (text === undefined || kind === "image") return <p className="text-ink-soft">{t("binary")}</p>;
  return (
    <div className="flex flex-col gap-2">
      {kind === "table" ? (
        <TextTable text={text} isTabs={file.path.toLowerCase().endsWith(".tsv")} />
      ) : (
        <Text label={file.path}>{kind === "json" ? prettyJson(text) : text}</Text>
      )}
      {!isWhole && <p className="text-[13px] text-ink-soft">{t("cut")}</p>}
    </div>
  );
}

export function Text({ label, children }: { label: string; children: string }) {
  return (
    <section
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard.
      tabIndex={0}
      className="max-h-[560px] overflow-auto rounded-lg bg-raised p-3"
    >
      <pre className="font-mono text-[12px] leading-[18px] whitespace-pre-wrap [overflow-wrap:anywhere]">
        {children}
      </pre>
    </section>
  );
}

function Picture({ bytes, type, name }: { bytes: Uint8Array; type: string; name: string }) {
  const t = useMessages(resultMessages);
  const [url, setUrl] = useState<string>();
  const [isBroken, setBroken] = useState(false);
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type }));
    setUrl(made);
    setBroken(false);
    return () => URL.revokeObjectURL(made);
  }, [bytes, type]);
  if (isBroken) return <p className="text-ink-soft">{t("badImage")}</p>;
  if (!url) return <Skeleton className="h-64 w-full" />;
  return (
    // biome-ignore lint/performance/noImgElement: it is a blob of verified bytes, there is nothing to optimise.
    <img
      src={url}
      alt={name}
      onError={() => setBroken(true)}
      className="max-h-[560px] max-w-full rounded-lg border border-line bg-raised object-contain"
    />
  );
}

function TextTable({ text, isTabs }: { text: string; isTabs: boolean }) {
  const t = useMessages(resultMessages);
  const [head = [], ...rows] = parseTable(text, isTabs ? "\t" : ",");
  const isNumber = (cell: string | undefined) => cell !== undefined && /^-?[\d.]+(e[+-]?\d+)?%?$/i.test(cell);
  return (
    <>
      <section
        aria-label={t("preview")}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard.
        tabIndex={0}
        className="max-h-[560px] overflow-auto rounded-lg border border-line"
      >
        <table className="min-w-full border-collapse text-[13px]">
          <thead className="sticky top-0 bg-raised">
            <tr>
              {head.map((cell, column) => (
                <th
                  // biome-ignore lint/suspicious/noArrayIndexKey: the columns of a stranger's table may have one name.
                  key={column}
                  scope="col"
                  className="border-b border-line px-3 py-1.5 text-left font-medium"
                >
                  {cell}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: rows are never moved.
              <tr key={at} className="border-b border-line last:border-0">
                {row.map((cell, column) => (
                  <td
                    // biome-ignore lint/suspicious/noArrayIndexKey: cells are never moved.
                    key={column}
                    className={`px-3 py-1.5 ${isNumber(cell) ? "text-right" : ""}`}
                  >
                    {cell}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {rows.length + 1 >= TABLE_ROWS_MAX && (
        <p className="text-[13px] text-ink-soft">{t("rows", { count: TABLE_ROWS_MAX })}</p>
      )}
    </>
  );
}
