"use client";
/** Files that were dropped or chosen on their way to a CID, and how that is shown. */

import { FileCheck } from "lucide-react";
import { type ReactNode, useRef, useState } from "react";
import { Id } from "@/components/ui/copy";
import { errorText } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { useMessages } from "@/lib/i18n";
import { formatBytes } from "@/lib/quantity";
import { messages } from "./messages";
import type { Entry, Packed } from "./pack/car";
import { keepPacked } from "./uploads";

const BYTES_MAX_MEANWHILE = 1 << 30;

/** Packs what is added, one thing after the other, and hands it over. `note` says how far it is, or what is wrong. */
export function usePacking(
  bytesMax: number | undefined,
  onPacked: (packed: Packed, name: string) => void,
): { add: (entries: () => Entry[] | Promise<Entry[]>) => void; note: ReactNode } {
  const t = useMessages(messages);
  const [note, setNote] = useState<ReactNode>();
  const newest = useRef(0);
  const most = bytesMax ?? BYTES_MAX_MEANWHILE;
  const add = async (entries: () => Entry[] | Promise<Entry[]>) => {
    newest.current += 1;
    const turn = newest.current;
    const isNewest = () => turn === newest.current;
    const { gather, pack, PackError } = await import("./pack/car");
    try {
      const entry = gather(await entries(), "data");
      const progress = (share: number) => {
        const percent = Math.floor(share * 100);
        if (isNewest()) {
          setNote(
            <p className="text-[13px] text-ink-soft">{t("data.packing", { name: entry.name, percent })}</p>,
          );
        }
      };
      progress(0);
      const packed = await pack(entry, most, progress);
      if (!isNewest()) return;
      keepPacked(packed);
      setNote(undefined);
      onPacked(packed, entry.name);
    } catch (error) {
      if (!isNewest()) return;
      const text =
        error instanceof PackError
          ? t(`data.${error.reason}`, { name: error.entry, size: formatBytes(most) })
          : t("data.unreadable", { reason: errorText(error) });
      setNote(<Notice tone="bad">{text}</Notice>);
    }
  };
  return {
    add: (entries) => void add(entries),
    note: note && <div aria-live="polite">{note}</div>,
  };
}

export function PackedFile({ name, cid }: { name: string; cid: string }) {
  return (
    <p className="flex flex-wrap items-center gap-x-2 text-[13px]">
      <FileCheck className="size-4 text-good" aria-hidden="true" />
      <span className="[overflow-wrap:anywhere]">{name}</span>
      <Id value={cid} label="CID" />
    </p>
  );
}
