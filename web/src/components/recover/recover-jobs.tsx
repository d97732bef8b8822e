"use client";
/** A wallet's jobs with what can be done about each, and the buttons that do it. */

import Link from "next/link";
import { useState } from "react";
import type { Address } from "viem";
import type { ChainJob } from "@/components/job/chain-job";
import { submissionOf } from "@/components/job/submission";
import { WayOutButton } from "@/components/job/way-out-button";
import { WaysList } from "@/components/job/ways-list";
import { Money } from "@/components/money";
import { StatusBadge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { shortId } from "@/components/ui/copy";
import { useI18n, useMessages } from "@/lib/i18n";
import { ESCROW_STATUS } from "@/lib/status";
import { isOpen, type Verb, type WayOut, waysOut } from "@/lib/ways-out";
import { recoverMessages } from "./messages";

const PAGE = 50;

export function RecoverJobs({
  jobs,
  address,
  onActive,
}: {
  jobs: readonly ChainJob[];
  address: Address;
  /** Told which job something is being done on. */
  onActive: (id: string | undefined) => void;
}) {
  const t = useMessages(recoverMessages);
  const [count, setCount] = useState(PAGE);
  return (
    <>
      <ul>
        {jobs.slice(0, count).map((job) => (
          <RecoverJob key={job.id} job={job} address={address} onActive={onActive} />
        ))}
      </ul>
      {jobs.length > count && (
        <div className="border-t border-line p-4">
          <Button onClick={() => setCount((before) => before + PAGE)}>{t("more")}</Button>
        </div>
      )}
    </>
  );
}

function RecoverJob({
  job,
  address,
  onActive,
}: {
  job: ChainJob;
  address: Address;
  onActive: (id: string | undefined) => void;
}) {
  const t = useMessages(recoverMessages);
  const [active, setActive] = useState<Verb>();
  const { language } = useI18n();
  const { terms, stored, leaseEnd, now } = job;
  const isSubmitter = terms.submitter.toLowerCase() === address.toLowerCase();
  const status = ESCROW_STATUS[stored.state];
  // A provider has no use for a refund of what it does not get.
  const isOurs = (way: WayOut) => isSubmitter || way.verb === "claim" || way.verb === "rule";
  const ways = waysOut(terms, stored, leaseEnd, address).filter(isOurs);
  const open = ways.filter((way) => isOpen(way, now)).map(({ verb }) => verb);
  if (active && !open.includes(active)) open.push(active);
  return (
    <li className="grid gap-x-6 gap-y-3 border-b border-line px-4 py-4 last:border-0 sm:px-5 lg:grid-cols-[minmax(0,1.2fr)_minmax(0,1fr)_minmax(0,1.1fr)_auto]">
      <div className="min-w-0">
        <Link href={`/job/?id=${job.id}`} className="font-medium text-brand hover:underline">
          {submissionOf(job.id)?.spec?.name ?? <span className="font-mono">{shortId(job.id)}</span>}
        </Link>
        <p className="mt-1 text-[13px] text-ink-soft">
          {t(isSubmitter ? "role.submitter" : "role.provider")} ·{" "}
          <Money amount={terms.bounty} token={terms.token} />
        </p>
      </div>
      <div className="min-w-0">
        <StatusBadge status={status} />
        <p className="mt-1.5 text-[13px] text-ink-soft">{status.money[language]}</p>
      </div>
      <div className="min-w-0 text-[13px]">
        <p className="label mb-1.5">{t("canBeDone")}</p>
        {ways.length > 0 ? (
          <WaysList ways={ways} now={now} />
        ) : (
          <p className="text-ink-soft">{t("nothing")}</p>
        )}
      </div>
      <div className="flex flex-wrap items-start gap-2 lg:w-44 lg:flex-col lg:items-stretch">
        {open.map((verb) => (
          <WayOutButton
            key={verb}
            job={job}
            verb={verb}
            size="sm"
            look={verb === "refund" || verb === "claim" ? "primary" : "secondary"}
            onActive={(isActive) => {
              setActive(isActive ? verb : undefined);
              onActive(isActive ? job.id : undefined);
            }}
          />
        ))}
      </div>
    </li>
  );
}
