"use client";
/** A job of which only the contract can tell: the scheduler does not know it, or does not answer. */

import { useQuery } from "@tanstack/react-query";
import type { Hex } from "viem";
import { useDeployment } from "@/components/deployment";
import { AddressId } from "@/components/explorer";
import { Money } from "@/components/money";
import { StatusBadge } from "@/components/ui/badge";
import { Id, shortId } from "@/components/ui/copy";
import { Empty, ErrorState, LoadingRows } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Card, Facts, Page } from "@/components/ui/page";
import { useI18n, useMessages } from "@/lib/i18n";
import { ESCROW_STATUS } from "@/lib/status";
import { formatDate } from "@/lib/time";
import { chain } from "@/lib/wallet";
import { JobActions } from "./job-actions";
import { jobMessages } from "./messages";
import { MoneyCard } from "./money-card";
import { submissionOf } from "./submission";

export function ChainOnly({
  id,
  why,
  onRetry,
}: {
  id: string;
  why: "unknown" | "unreachable";
  onRetry: () => void;
}) {
  const t = useMessages(jobMessages);
  const { language } = useI18n();
  const deployment = useDeployment();
  const found = useQuery({
    queryKey: ["chain-job", id],
    queryFn: async () => {
      const [client, { findChainJob, readChainJob }, { fromWire }] = await Promise.all([
        chain(),
        import("./chain-job"),
        import("@/lib/terms"),
      ]);
      const terms = submissionOf(id)?.terms;
      return (
        (terms
          ? await readChainJob(client, id as Hex, fromWire(terms))
          : await findChainJob(client, id as Hex)) ?? null
      );
    },
    refetchInterval: 5000,
    enabled: deployment.state === "ready",
  });
  const title = submissionOf(id)?.spec?.name ?? `${t("title")} ${shortId(id)}`;
  if (deployment.state === "failed" || found.isError) {
    const error = deployment.state === "failed" ? deployment.error : found.error;
    return (
      <Page title={title}>
        <ErrorState error={error} onRetry={onRetry} />
      </Page>
    );
  }
  if (found.isPending) {
    return (
      <Page title={title} lead={t("lookingOnChain")}>
        <LoadingRows rows={6} />
      </Page>
    );
  }
  const job = found.data;
  if (!job) {
    return (
      <Page title={title}>
        <Empty title={t("unknown")}>
          <p>{t("unknownText")}</p>
          <p className="mt-2 font-mono text-[13px] [overflow-wrap:anywhere]">{id}</p>
        </Empty>
      </Page>
    );
  }
  const { terms } = job;
  return (
    <Page
      title={title}
      lead={<StatusBadge status={ESCROW_STATUS[job.stored.state]} />}
      actions={<JobActions job={job} />}
    >
      <div className="flex flex-col gap-4">
        <Notice tone="warn">{t(why === "unknown" ? "chainOnly" : "schedulerDown")}</Notice>
        <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_380px]">
          <Card title={t("title")}>
            <Facts
              items={[
                [t("id"), <Id key="id" value={id} />],
                [t("bounty"), <Money key="bounty" amount={terms.bounty} token={terms.token} />],
                [t("deadline"), formatDate(terms.deadline * 1000, language)],
                [t("submitter"), <AddressId key="submitter" value={terms.submitter} />],
                [t("scheduler"), <AddressId key="scheduler" value={terms.scheduler} />],
                [t("arbiter"), <AddressId key="arbiter" value={terms.arbiter} />],
              ]}
            />
          </Card>
          <MoneyCard chainJob={job} isFailed={false} />
        </div>
      </div>
    </Page>
  );
}
