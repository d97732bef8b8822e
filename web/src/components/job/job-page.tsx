"use client";
/** The page of one job, for anybody who has its id. */

import dynamic from "next/dynamic";
import { useSearchParams } from "next/navigation";
import { type FormEvent, useEffect, useState } from "react";
import { Button } from "@/components/ui/button";
import { shortId } from "@/components/ui/copy";
import { ErrorState, LoadingRows, Skeleton } from "@/components/ui/empty";
import { Field } from "@/components/ui/field";
import { Card, Page } from "@/components/ui/page";
import { Tabs } from "@/components/ui/tabs";
import { ApiError, type JobView } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { JobFacts, JobLead } from "./job-head";
import { jobMessages } from "./messages";
import { Overview } from "./overview";
import { isJobId, useChainJob, useJob, useJobEvents } from "./use-job";

const loading = () => <LoadingRows rows={8} />;
const ChainOnly = dynamic(() => import("./chain-only").then((module) => module.ChainOnly), {
  ssr: false,
  loading,
});
// Only with a wallet is there anything to do.
const JobActions = dynamic(() => import("./job-actions").then((module) => module.JobActions), { ssr: false });
const LogsTab = dynamic(() => import("./logs-tab").then((module) => module.LogsTab), { ssr: false, loading });
const ResultTab = dynamic(() => import("./result-tab").then((module) => module.ResultTab), {
  ssr: false,
  loading,
});
const ReceiptTab = dynamic(() => import("./receipt-tab").then((module) => module.ReceiptTab), {
  ssr: false,
  loading,
});
const SpecTab = dynamic(() => import("./spec-tab").then((module) => module.SpecTab), { ssr: false, loading });

export function JobPage() {
  const params = useSearchParams();
  const id = (params.get("id") ?? "").toLowerCase();
  if (!isJobId(id)) return <AskForJob given={id} />;
  return <JobOfId key={id} id={id} tab={params.get("tab") ?? "overview"} />;
}

function JobOfId({ id, tab }: { id: string; tab: string }) {
  const t = useMessages(jobMessages);
  const job = useJob(id);
  // While it is asked again, what was answered last stands: nothing may vanish under a person's hands.
  const [failure, setFailure] = useState<Error>();
  useEffect(() => {
    if (job.error) setFailure(job.error);
    else if (job.data) setFailure(undefined);
  }, [job.error, job.data]);
  const error = job.error ?? failure;
  if (job.data) return <KnownJob job={job.data} tab={tab} />;
  const title = `${t("title")} ${shortId(id)}`;
  if (error instanceof ApiError && (error.status === 404 || error.isUnreachable)) {
    return (
      <ChainOnly
        id={id}
        why={error.isUnreachable ? "unreachable" : "unknown"}
        onRetry={() => void job.refetch()}
      />
    );
  }
  return (
    <Page title={title} lead={error ? undefined : <Skeleton className="h-6 w-72" />}>
      {error ? <ErrorState error={error} onRetry={() => void job.refetch()} /> : <JobSkeleton />}
    </Page>
  );
}

function JobSkeleton() {
  return (
    <>
      <div className="mb-6 grid grid-cols-2 gap-3 lg:grid-cols-4">
        {["bounty", "node", "attempts", "deadline"].map((key) => (
          <Skeleton key={key} className="h-[78px] w-full rounded-xl" />
        ))}
      </div>
      <LoadingRows rows={8} />
    </>
  );
}

function KnownJob({ job, tab }: { job: JobView; tab: string }) {
  const t = useMessages(jobMessages);
  const { events, live } = useJobEvents(job.id);
  const chainJob = useChainJob(job);
  useEffect(() => {
    // The rest of the page is fetched while the server that it comes from is there: it may be gone later.
    const parts = [
      import("./job-actions"),
      import("./logs-tab"),
      import("./result-tab"),
      import("./receipt-tab"),
    ];
    for (const part of [...parts, import("./spec-tab"), import("./money-card")]) part.catch(() => {});
  }, []);
  const select = (key: string) => {
    // The address names the view, so that it can be shared and survives a reload.
    window.history.replaceState(null, "", `?id=${job.id}${key === "overview" ? "" : `&tab=${key}`}`);
  };
  const overview = (
    <Overview
      job={job}
      events={events}
      live={live}
      chainJob={chainJob.data}
      isChainFailed={chainJob.isError}
    />
  );
  return (
    <Page
      title={job.spec?.name ?? `${t("title")} ${shortId(job.id)}`}
      lead={<JobLead job={job} />}
      actions={chainJob.data && <JobActions job={chainJob.data} state={job.state} />}
    >
      <JobFacts job={job} />
      <div className="mt-6">
        <Tabs
          label={t("tabs")}
          selected={tab}
          onSelect={select}
          tabs={[
            { key: "overview", label: t("tab.overview"), content: overview },
            { key: "logs", label: t("tab.logs"), content: <LogsTab job={job} /> },
            { key: "result", label: t("tab.result"), content: <ResultTab job={job} /> },
            { key: "receipt", label: t("tab.receipt"), content: <ReceiptTab job={job} /> },
            { key: "spec", label: t("tab.spec"), content: <SpecTab job={job} /> },
          ]}
        />
      </div>
    </Page>
  );
}

function AskForJob({ given }: { given: string }) {
  const t = useMessages(jobMessages);
  const [text, setText] = useState(given);
  const [isWrong, setWrong] = useState(given !== "");
  const show = (event: FormEvent) => {
    event.preventDefault();
    const id = text.trim().toLowerCase();
    if (isJobId(id)) window.history.replaceState(null, "", `?id=${id}`);
    else setWrong(true);
  };
  return (
    <Page title={t("noId")} lead={t("noIdText")} width="narrow">
      <Card>
        <form onSubmit={show} className="flex flex-col gap-4">
          <Field label={t("idLabel")} error={isWrong ? t("badId") : undefined}>
            <input
              className="field-box font-mono"
              value={text}
              spellCheck={false}
              autoComplete="off"
              onChange={(event) => {
                setText(event.target.value);
                setWrong(false);
              }}
            />
          </Field>
          <Button type="submit" look="primary" className="self-start">
            {t("show")}
          </Button>
        </form>
      </Card>
    </Page>
  );
}
