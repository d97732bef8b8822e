"use client";
/** The list of jobs: mine as a submitter, mine as a provider, or everybody's. */

import dynamic from "next/dynamic";
import { useSearchParams } from "next/navigation";
import { useMemo } from "react";
import { Button, ButtonLink } from "@/components/ui/button";
import { Empty, LoadingRows } from "@/components/ui/empty";
import { Page } from "@/components/ui/page";
import { ConnectButton } from "@/components/wallet/wallet-button";
import { useMessages } from "@/lib/i18n";
import { useWallet } from "@/lib/wallet";
import { JobsFilters } from "./jobs-filters";
import { type JobsFilter, readFilter, writeFilter } from "./jobs-query";
import { jobsMessages } from "./messages";

const JobList = dynamic(() => import("./job-list").then((module) => module.JobList), {
  ssr: false,
  loading: () => <LoadingRows rows={10} />,
});

export function JobsPage() {
  const t = useMessages(jobsMessages);
  const wallet = useWallet();
  const params = useSearchParams();
  const filter = useMemo(() => readFilter(new URLSearchParams(params)), [params]);
  const change = (next: JobsFilter) => window.history.replaceState(null, "", writeFilter(next));
  const address = wallet.status === "connected" ? wallet.address.toLowerCase() : undefined;
  const needsWallet = filter.role !== "all" && !address;
  const actions = (
    <ButtonLink href="/submit/" look="primary">
      {t("submit")}
    </ButtonLink>
  );
  return (
    <Page title={t("title")} actions={actions}>
      <div className="flex flex-col gap-4">
        <JobsFilters filter={filter} onChange={change} />
        {needsWallet && wallet.status === "starting" && <LoadingRows rows={8} />}
        {needsWallet && wallet.status === "none" && (
          <Empty
            title={t("none")}
            action={
              <>
                <ConnectButton size="md" />
                <Button onClick={() => change({ ...filter, role: "all" })}>{t("all")}</Button>
              </>
            }
          >
            {t("connectText")}
          </Empty>
        )}
        {!needsWallet && (
          <JobList key={JSON.stringify(filter)} query={{ ...filter, ...(address ? { address } : {}) }} />
        )}
      </div>
    </Page>
  );
}
