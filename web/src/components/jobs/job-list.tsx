"use client";
/** The jobs that match, page by page, with what can be done with many of them at once. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useState } from "react";
import { saveBlob } from "@/components/job/save-blob";
import { Button, ButtonLink } from "@/components/ui/button";
import { Empty, ErrorState, errorText, LoadingRows } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import type { JobState, JobSummary } from "@/lib/api";
import { useI18n, useMessages } from "@/lib/i18n";
import { BulkCancel } from "./bulk-cancel";
import { JobRows } from "./job-rows";
import { allJobs, type JobsQuery, listJobs, toCsv } from "./jobs-query";
import { jobsMessages } from "./messages";

/** A job in one of these states can be stopped. */
const CANCELLABLE: readonly JobState[] = ["funding", "queued", "assigned", "calling_in"];

export function JobList({ query }: { query: JobsQuery }) {
  const t = useMessages(jobsMessages);
  const { language } = useI18n();
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [isActing, setActing] = useState(false);
  const list = useInfiniteQuery({
    queryKey: ["jobs", query],
    queryFn: ({ pageParam, signal }) => listJobs(query, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    // A long list is read again when something was done, not all the time.
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) <= 2 ? 5000 : false),
  });
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = list;
  const onNearEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const jobs = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  const canSelect = useCallback(
    (job: JobSummary) => job.submitter.toLowerCase() === query.address && CANCELLABLE.includes(job.state),
    [query.address],
  );
  const onSelect = useCallback((id: string, isSelected: boolean) => {
    setSelected((before) => {
      const next = new Set(before);
      if (isSelected) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  // A page of a search may be empty and still be followed by others.
  const isSearching = jobs.length === 0 && hasNextPage;
  useEffect(() => {
    if (isSearching) onNearEnd();
  }, [isSearching, onNearEnd]);
  if (list.isPending || isSearching) return <LoadingRows rows={10} />;
  if (list.isError && jobs.length === 0)
    return <ErrorState error={list.error} onRetry={() => void list.refetch()} />;
  if (jobs.length === 0 && !isActing) {
    const isFiltered = query.state !== undefined || query.q !== undefined || query.node !== undefined;
    return (
      <Empty
        title={t(isFiltered ? "noMatch" : "none")}
        action={
          isFiltered ? undefined : (
            <ButtonLink href="/submit/" look="primary">
              {t("submit")}
            </ButtonLink>
          )
        }
      >
        {t(isFiltered ? "noMatchText" : "noneText")}
      </Empty>
    );
  }
  const cancellable = jobs.filter(canSelect);
  const chosen = cancellable.filter(({ id }) => selected.has(id));
  const count = jobs.length.toLocaleString(language);
  return (
    <div className="overflow-clip rounded-xl border border-line">
      <div className="flex min-h-12 flex-wrap items-center gap-x-4 gap-y-2 border-b border-line px-4 py-2 text-[13px]">
        {cancellable.length > 0 && (
          <label className="flex min-h-6 items-center gap-3">
            <input
              type="checkbox"
              className="size-4"
              aria-label={t("selectAll")}
              checked={chosen.length === cancellable.length}
              onChange={(event) =>
                setSelected(new Set(event.target.checked ? cancellable.map(({ id }) => id) : []))
              }
            />
            {t("selected", { count: chosen.length })}
          </label>
        )}
        {(cancellable.length > 0 || isActing) && (
          <BulkCancel
            jobs={chosen}
            onActive={(isActive) => {
              setActing(isActive);
              if (!isActive) setSelected(new Set());
            }}
          />
        )}
        <span className="ml-auto text-ink-soft" role="status">
          {isFetchingNextPage
            ? t("loadingMore")
            : hasNextPage
              ? t("loadedMore", { count })
              : t("loaded", { count })}
        </span>
        <Downloads query={query} />
      </div>
      <JobRows
        jobs={jobs}
        selected={selected}
        onSelect={onSelect}
        canSelect={canSelect}
        onNearEnd={onNearEnd}
      />
    </div>
  );
}

function Downloads({ query }: { query: JobsQuery }) {
  const t = useMessages(jobsMessages);
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string>();
  const save = async (kind: "csv" | "json") => {
    setBusy(true);
    setFailure(undefined);
    try {
      const jobs = await allJobs(query);
      const text = kind === "csv" ? toCsv(jobs) : `${JSON.stringify(jobs, null, 2)}\n`;
      const type = kind === "csv" ? "text/csv" : "application/json";
      saveBlob(new Blob([text], { type }), `gristmill-jobs.${kind}`);
    } catch (error) {
      setFailure(errorText(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <span className="flex flex-wrap items-center gap-2">
      {(["csv", "json"] as const).map((kind) => (
        <Button key={kind} size="sm" disabled={isBusy} onClick={() => void save(kind)}>
          {t(kind)}
        </Button>
      ))}
      {failure && (
        <Notice tone="bad" live>
          {failure}
        </Notice>
      )}
    </span>
  );
}
