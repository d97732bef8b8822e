"use client";
/** What a job paid to a provider, or why it did not. */

import { useQuery } from "@tanstack/react-query";
import { Money } from "@/components/money";
import { Badge } from "@/components/ui/badge";
import { Skeleton } from "@/components/ui/empty";
import { isAddressEqual } from "@/lib/address";
import { api, body, type JobSummary, type JobView } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { isEnd } from "@/lib/status";
import { dashboardMessages } from "./dashboard-messages";

/** How a job stands for one provider. */
export type Payout =
  | { kind: "paid"; amount: bigint }
  | { kind: "expected"; amount: bigint }
  /** Without a reason of its own, the job's end is the reason. */
  | { kind: "unpaid"; reason: string | undefined; isOther: boolean };

export function payout(job: JobView, provider: string): Payout {
  const mine = job.attempts.filter((attempt) => isAddressEqual(attempt.provider, provider));
  const amount = BigInt(job.terms.bounty) - BigInt(job.terms.fee);
  const last = mine.at(-1);
  const isAccepted = mine.some(({ state }) => state === "accepted");
  if (isAccepted && job.state === "settled") return { kind: "paid", amount };
  const isHolding = last !== undefined && ["leased", "running", "reported"].includes(last.state);
  if (!isEnd(job.state) && (isAccepted || isHolding)) return { kind: "expected", amount };
  const isOther = !isAccepted && job.attempts.some(({ state }) => state === "accepted");
  return { kind: "unpaid", reason: last?.reason ?? undefined, isOther };
}

function useJob(job: JobSummary) {
  return useQuery({
    // A job that has ended does not change any more.
    queryKey: ["job", job.id, job.state],
    queryFn: () => body(api.GET("/v1/jobs/{id}", { params: { path: { id: job.id } } })),
    staleTime: isEnd(job.state) ? Number.POSITIVE_INFINITY : 5000,
  });
}

export function PayoutAmount({ job, provider }: { job: JobSummary; provider: string }) {
  const m = useMessages(dashboardMessages);
  const view = useJob(job);
  if (view.isError) return <>–</>;
  if (!view.data) return <Skeleton className="ml-auto h-5 w-20" />;
  const result = payout(view.data, provider);
  if (result.kind === "unpaid") return <span className="text-ink-soft">{m("unpaid")}</span>;
  return (
    <span className={result.kind === "paid" ? "font-medium" : "text-ink-soft"}>
      <Money amount={result.amount} token={job.token} />
      {result.kind === "expected" && ` ${m("expected")}`}
    </span>
  );
}

export function PayoutReason({ job, provider }: { job: JobSummary; provider: string }) {
  const m = useMessages(dashboardMessages);
  const view = useJob(job);
  if (!view.data) return null;
  const result = payout(view.data, provider);
  switch (result.kind) {
    case "paid":
      return (
        <Badge tone="good" icon="check">
          {m("paid")}
        </Badge>
      );
    case "expected":
      return <span className="text-ink-soft">{m("running")}</span>;
    case "unpaid":
      return (
        <span className="block max-w-[48ch] text-ink-soft [overflow-wrap:anywhere] max-sm:text-right">
          {result.reason ?? m(result.isOther ? "paidOther" : isEnd(job.state) ? "refunded" : "running")}
        </span>
      );
  }
}
