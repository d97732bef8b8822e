"use client";
/** The start page: what this is, how it stands now, and the two ways in. */

import { Coins, Eye, type LucideIcon, Scale, ShieldCheck, TimerReset } from "lucide-react";
import type { ReactNode } from "react";
import { ButtonLink } from "@/components/ui/button";
import { Empty } from "@/components/ui/empty";
import { Card } from "@/components/ui/page";
import { useMessages } from "@/lib/i18n";
import { LiveNumbers } from "./live-numbers";
import { homeMessages } from "./messages";
import { RecentJobs } from "./recent-jobs";

const STEPS = ["step1", "step2", "step3"] as const;
const PROMISES: readonly (readonly [
  "promise1" | "promise2" | "promise3" | "promise4" | "promise5",
  LucideIcon,
])[] = [
  ["promise1", Coins],
  ["promise2", Scale],
  ["promise3", TimerReset],
  ["promise4", ShieldCheck],
  ["promise5", Eye],
];

export function Home() {
  const m = useMessages(homeMessages);
  return (
    <div className="mx-auto flex w-full max-w-[1400px] flex-col gap-12 px-4 py-8 sm:px-6 sm:py-14">
      <section className="grid items-end gap-x-12 gap-y-8 lg:grid-cols-[minmax(0,5fr)_minmax(0,4fr)]">
        <div>
          <h1 className="max-w-[18ch] text-[32px] leading-[38px] font-semibold tracking-tight sm:text-[44px] sm:leading-[50px]">
            {m("claim")}
          </h1>
          <p className="mt-4 max-w-[58ch] text-base leading-6 text-ink-soft">{m("lead")}</p>
        </div>
        <div className="grid gap-3 sm:grid-cols-2">
          <WayIn title={m("forSubmitters")} text={m("forSubmittersText")}>
            <ButtonLink href="/submit/" look="primary">
              {m("submit")}
            </ButtonLink>
          </WayIn>
          <WayIn title={m("forProviders")} text={m("forProvidersText")}>
            <ButtonLink href="/provide/">{m("provide")}</ButtonLink>
          </WayIn>
        </div>
      </section>
      <LiveNumbers />
      <section aria-labelledby="how">
        <h2 id="how" className="text-xl font-semibold tracking-tight">
          {m("how")}
        </h2>
        <ol className="mt-4 grid gap-px overflow-hidden rounded-xl border border-line bg-line md:grid-cols-3">
          {STEPS.map((step, index) => (
            <li key={step} className="bg-ground p-5">
              <p className="label" aria-hidden="true">
                {String(index + 1).padStart(2, "0")}
              </p>
              <h3 className="mt-2 text-base font-semibold">{m(step)}</h3>
              <p className="mt-1.5 text-ink-soft">{m(`${step}Text`)}</p>
            </li>
          ))}
        </ol>
      </section>
      <div className="grid items-start gap-x-8 gap-y-12 lg:grid-cols-[minmax(0,7fr)_minmax(0,5fr)]">
        <section aria-labelledby="jobs">
          <div className="mb-4 flex items-center justify-between gap-3">
            <h2 id="jobs" className="text-xl font-semibold tracking-tight">
              {m("jobs")}
            </h2>
            <ButtonLink href="/jobs/" size="sm">
              {m("allJobs")}
            </ButtonLink>
          </div>
          <Card flush>
            <RecentJobs
              empty={
                <Empty title={m("noJobs")} action={<ButtonLink href="/submit/">{m("submit")}</ButtonLink>}>
                  {m("noJobsHelp")}
                </Empty>
              }
            />
          </Card>
        </section>
        <section aria-labelledby="promises">
          <h2 id="promises" className="mb-4 flex min-h-7 items-center text-xl font-semibold tracking-tight">
            {m("promises")}
          </h2>
          <ul className="flex flex-col divide-y divide-line border-y border-line">
            {PROMISES.map(([promise, Icon]) => (
              <li key={promise} className="flex gap-3 py-3.5">
                <Icon className="mt-0.5 size-4 shrink-0 text-brand" aria-hidden="true" />
                <div>
                  <p className="font-medium">{m(promise)}</p>
                  <p className="mt-0.5 text-ink-soft">{m(`${promise}Text`)}</p>
                </div>
              </li>
            ))}
          </ul>
        </section>
      </div>
    </div>
  );
}

function WayIn({ title, text, children }: { title: string; text: string; children: ReactNode }) {
  return (
    <section className="flex flex-col gap-2 rounded-xl border border-line p-5">
      <h2 className="font-semibold">{title}</h2>
      <p className="flex-1 text-ink-soft">{text}</p>
      <div className="mt-2 flex [&>a]:flex-1">{children}</div>
    </section>
  );
}
