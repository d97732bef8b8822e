"use client";
/** A state: icon and word on a tint. Never colour alone. */

import {
  Check,
  CirclePause,
  Clock,
  Coins,
  Flag,
  type LucideIcon,
  PhoneCall,
  Play,
  Search,
  ShieldCheck,
  Undo2,
  X,
} from "lucide-react";
import { useI18n } from "@/lib/i18n";
import { type Status, type StatusIcon, statusWords, type Tone } from "@/lib/status";

const ICONS: Record<StatusIcon, LucideIcon> = {
  clock: Clock,
  search: Search,
  play: Play,
  phone: PhoneCall,
  shield: ShieldCheck,
  flag: Flag,
  coins: Coins,
  undo: Undo2,
  check: Check,
  x: X,
  pause: CirclePause,
};

export const TONES: Record<Tone, string> = {
  neutral: "bg-sunken text-ink-soft",
  info: "bg-info-tint text-info",
  good: "bg-good-tint text-good",
  warn: "bg-warn-tint text-warn",
  bad: "bg-bad-tint text-bad",
};

export function Badge({ tone, icon, children }: { tone: Tone; icon?: StatusIcon; children: string }) {
  const Icon = icon && ICONS[icon];
  return (
    <span
      className={`inline-flex h-6 items-center gap-1.5 rounded-full px-2.5 text-[13px] font-medium whitespace-nowrap ${TONES[tone]}`}
    >
      {Icon && <Icon className="size-3.5" aria-hidden="true" />}
      {children}
    </span>
  );
}

export function StatusBadge({ status }: { status: Status }) {
  const { language } = useI18n();
  const { word, help } = statusWords(status, language);
  return (
    <span title={help}>
      <Badge tone={status.tone} icon={status.icon}>
        {word}
      </Badge>
    </span>
  );
}
