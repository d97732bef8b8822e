"use client";
/** What happens to a submission, step by step, and what can be done about it. */

import { useQuery } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useEffect } from "react";
import { TxId } from "@/components/explorer";
import { useCoin } from "@/components/money";
import { Button, ButtonLink, Spinner } from "@/components/ui/button";
import { Notice } from "@/components/ui/notice";
import { api, body } from "@/lib/api";
import type { Funding } from "@/lib/funding-state";
import { useI18n, useMessages } from "@/lib/i18n";
import { exactAmount } from "@/lib/money";
import type { Submission } from "@/lib/submission";
import { formatDate } from "@/lib/time";
import { messages } from "./messages";

type Of<State extends Funding["state"]> = Extract<Funding, { state: State }>;

export function FundingPanel({
  funding,
  onAgain,
  onClose,
  onOpened,
}: {
  funding: Funding;
  /** Tries the same submission again, with the same id. */
  onAgain: (submission: Submission) => void;
  onClose: () => void;
  /** The draft has done its work. */
  onOpened: () => void;
}) {
  switch (funding.state) {
    case "idle":
    case "review":
      return null;
    case "working":
      return <Working funding={funding} />;
    case "paying":
      return <Paying funding={funding} />;
    case "checking":
      return <Checking funding={funding} />;
    case "unseen":
      return <Unseen funding={funding} onAgain={onAgain} onClose={onClose} />;
    case "stopped":
      return <Stopped funding={funding} onClose={onClose} />;
    case "open":
      return <Opened submission={funding.submission} onOpened={onOpened} />;
  }
}

function Working({ funding: { doing, share } }: { funding: Of<"working"> }) {
  const t = useMessages(messages);
  const percent = Math.floor((share ?? 0) * 100);
  return (
    <Notice live>
      <span className="flex items-center gap-2">
        <Spinner />
        {t(`doing.${doing}`, { percent })}
      </span>
      {doing === "uploading" && (
        <progress
          max={100}
          value={percent}
          aria-label={t("doing.uploading", { percent })}
          className="mt-2 h-1.5 w-full accent-(--brand)"
        />
      )}
    </Notice>
  );
}

function Paying({ funding: { phase, tx } }: { funding: Of<"paying"> }) {
  const t = useMessages(messages);
  return (
    <Notice live>
      <span className="flex flex-wrap items-center gap-2">
        <Spinner />
        {t(`paying.${phase}`)}
        {tx && <TxId value={tx} />}
      </span>
    </Notice>
  );
}

function Checking({
  funding: { reason, blocks, blocksMax, isReachable, submission },
}: {
  funding: Of<"checking">;
}) {
  const t = useMessages(messages);
  const values = { reason, block: Math.min(blocks, blocksMax), blocks: blocksMax };
  return (
    <Notice tone="warn" title={t("checking.title")} live>
      <span className="flex flex-wrap items-center gap-2">
        <Spinner />
        {!isReachable && t("checking.unreachable")}
        {isReachable && t(reason ? "checking.text" : "checking.plain", values)}
        {submission.tx && <TxId value={submission.tx} />}
      </span>
    </Notice>
  );
}

function Unseen({
  funding: { submission, reason },
  onAgain,
  onClose,
}: {
  funding: Of<"unseen">;
  onAgain: (submission: Submission) => void;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  return (
    <Notice tone="warn" title={t("unseen.title")} live>
      <p>
        {reason} {t("unseen.text")}
      </p>
      <div className="mt-2 flex flex-wrap gap-2">
        <Button look="primary" size="sm" onClick={() => onAgain(submission)}>
          {t("again")}
        </Button>
        <Button size="sm" onClick={onClose}>
          {t("close")}
        </Button>
      </div>
    </Notice>
  );
}

function Stopped({ funding: { why, detail }, onClose }: { funding: Of<"stopped">; onClose: () => void }) {
  const t = useMessages(messages);
  const { symbol, decimals } = useCoin();
  const amount = why === "balance" ? `${exactAmount(BigInt(detail), decimals)} ${symbol}` : "";
  return (
    <Notice
      tone={why === "declined" || why === "signInDeclined" ? "info" : "bad"}
      title={t("stop.title")}
      live
    >
      <p>{t(`stop.${why}`, { detail, amount })}</p>
      <Button size="sm" className="mt-2" onClick={onClose}>
        {t("close")}
      </Button>
    </Notice>
  );
}

/** The bounty is locked, whether or not the scheduler answers. */
function Opened({ submission, onOpened }: { submission: Submission; onOpened: () => void }) {
  const t = useMessages(messages);
  const { language } = useI18n();
  const router = useRouter();
  const href = `/job/?id=${submission.jobId}`;
  const known = useQuery({
    queryKey: ["submitted", submission.jobId],
    queryFn: () => body(api.GET("/v1/jobs/{id}", { params: { path: { id: submission.jobId } } })),
    retry: false,
    // Until it answers.
    refetchInterval: ({ state }) => (state.data ? false : 2000),
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each job, whatever the page draws meanwhile.
  useEffect(() => onOpened(), [submission.jobId]);
  useEffect(() => {
    if (known.isSuccess) router.push(href);
  }, [known.isSuccess, router, href]);
  const date = formatDate(submission.terms.deadline * 1000, language);
  return (
    <Notice tone="good" title={t("open.title")} live>
      <p>
        {submission.block === undefined ? t("open.noBlock") : t("open.block", { block: submission.block })}{" "}
        {known.isError ? t("open.waiting", { date }) : t("open.moving")}
      </p>
      <div className="mt-2 flex flex-wrap items-center gap-2">
        <ButtonLink href={href} size="sm" look="primary">
          {t("open.see")}
        </ButtonLink>
        {submission.tx && <TxId value={submission.tx} />}
      </div>
    </Notice>
  );
}
