"use client";
/** The head of a job's page: its state in a word and a sentence, and the facts that people ask for first. */

import Link from "next/link";
import type { ReactNode } from "react";
import { AddressId } from "@/components/explorer";
import { Money } from "@/components/money";
import { StatusBadge } from "@/components/ui/badge";
import { Id, shortId } from "@/components/ui/copy";
import { Stat } from "@/components/ui/page";
import { Ago, useNow } from "@/components/ui/time";
import type { JobView } from "@/lib/api";
import { useI18n, useMessages } from "@/lib/i18n";
import { isEnd, JOB_STATUS } from "@/lib/status";
import { formatDate, formatDuration } from "@/lib/time";
import { jobMessages } from "./messages";

export function JobLead({ job }: { job: JobView }) {
  return (
    <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <StatusBadge status={JOB_STATUS[job.state]} />
      <span aria-live="polite">{job.summary}</span>
    </span>
  );
}

export function JobFacts({ job }: { job: JobView }) {
  const t = useMessages(jobMessages);
  const last = job.attempts.at(-1);
  return (
    <>
      <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
        <Stat label={t("bounty")} value={<Money amount={job.terms.bounty} token={job.terms.token} />} />
        <Stat
          label={t("node")}
          value={
            last ? (
              <Link
                href={`/node/?id=${last.node}`}
                title={last.node}
                className="font-mono text-base hover:underline"
              >
                {shortId(last.node)}
              </Link>
            ) : (
              <span className="text-ink-soft">{t("noNode")}</span>
            )
          }
        />
        <Stat
          label={t("attempts")}
          value={t("attemptsOf", { number: job.attempts.length, max: job.attempts_max })}
        />
        <Stat label={t("deadline")} value={<Deadline job={job} />} />
      </div>
      <dl className="mt-3 flex flex-wrap gap-x-6 gap-y-1 text-[13px]">
        <Fact name={t("id")}>
          <Id value={job.id} />
        </Fact>
        <Fact name={t("submitter")}>
          <AddressId value={job.terms.submitter} />
        </Fact>
        <Fact name={t("created")}>
          <Ago ms={job.created_at_ms} />
        </Fact>
      </dl>
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex items-center gap-2">
      <dt className="text-ink-soft">{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Deadline({ job }: { job: JobView }) {
  const t = useMessages(jobMessages);
  const { language } = useI18n();
  const now = useNow();
  const ms = job.terms.deadline * 1000;
  const left = (ms - now) / 1000;
  const isOpen = now > 0 && !isEnd(job.state);
  return (
    <time dateTime={new Date(ms).toISOString()} title={formatDate(ms, language)}>
      {isOpen && left > 0 ? (
        t("left", { time: formatDuration(left) })
      ) : isOpen ? (
        t("passed")
      ) : (
        <span className="text-base">
          {new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(ms)}
        </span>
      )}
    </time>
  );
}
