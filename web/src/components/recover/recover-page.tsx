"use client";
/** All money of the connected wallet, found and moved without the scheduler. */

import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import type { Address, Hex } from "viem";
import { useDeployment } from "@/components/deployment";
import type { ChainJob } from "@/components/job/chain-job";
import { submissions } from "@/components/job/submission";
import { Button } from "@/components/ui/button";
import { Empty, ErrorState, LoadingRows } from "@/components/ui/empty";
import { Card, Page } from "@/components/ui/page";
import { WalletGate } from "@/components/wallet/wallet-gate";
import { useMessages } from "@/lib/i18n";
import type { Terms } from "@/lib/terms";
import { chain } from "@/lib/wallet";
import { holdsMoney } from "@/lib/ways-out";
import { BalanceCard } from "./balance-card";
import { MarketForm } from "./market-form";
import { recoverMessages } from "./messages";
import { RecoverJobs } from "./recover-jobs";

export function RecoverPage() {
  const t = useMessages(recoverMessages);
  const deployment = useDeployment();
  useEffect(() => {
    // All of this page is fetched at once: the server that it comes from may be gone when it is needed.
    for (const part of [import("./find-money"), import("@/components/wallet/connect-dialog")]) {
      part.catch(() => {});
    }
  }, []);
  return (
    <Page title={t("title")} lead={t("lead")}>
      {deployment.state === "failed" ? (
        <MarketForm />
      ) : (
        <WalletGate why={t("why")}>{(address) => <Recover key={address} address={address} />}</WalletGate>
      )}
    </Page>
  );
}

type Scan =
  | { status: "looking"; share: number }
  | { status: "done"; terms: ReadonlyMap<Hex, Terms> }
  | { status: "failed"; error: unknown };

/** The wallet's jobs. The history is long, so it is read once, and not again after every transaction. */
function useScan(address: Address): { scan: Scan; again: () => void } {
  const [scan, setScan] = useState<Scan>({ status: "looking", share: 0 });
  const [turn, setTurn] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a turn is a wish to look again.
  useEffect(() => {
    let isGone = false;
    const tell = (next: Scan) => !isGone && setScan(next);
    tell({ status: "looking", share: 0 });
    const look = async () => {
      const [client, { termsOf }] = await Promise.all([chain(), import("./find-money")]);
      const terms = await termsOf(client, address, submissions(), (share) =>
        tell({ status: "looking", share }),
      );
      tell({ status: "done", terms });
    };
    look().catch((error) => tell({ status: "failed", error }));
    return () => {
      isGone = true;
    };
  }, [address, turn]);
  return { scan, again: useCallback(() => setTurn((before) => before + 1), []) };
}

function Recover({ address }: { address: Address }) {
  const t = useMessages(recoverMessages);
  const { scan, again } = useScan(address);
  return (
    <div className="flex flex-col gap-4">
      <BalanceCard address={address} />
      {scan.status === "failed" && <ErrorState error={scan.error} onRetry={again} />}
      {scan.status === "looking" && (
        <Card title={t("jobs")}>
          <p role="status" className="mb-3 text-ink-soft">
            {t("looking", { share: Math.floor(100 * scan.share) })}
          </p>
          <LoadingRows rows={4} />
        </Card>
      )}
      {scan.status === "done" && <Jobs address={address} terms={scan.terms} again={again} />}
    </div>
  );
}

function Jobs({
  address,
  terms,
  again,
}: {
  address: Address;
  terms: ReadonlyMap<Hex, Terms>;
  again: () => void;
}) {
  const t = useMessages(recoverMessages);
  const [withEnded, setWithEnded] = useState(false);
  const jobs = useQuery({
    queryKey: ["chain-jobs", address, terms.size],
    queryFn: async () => {
      const [client, { readJobs }] = await Promise.all([chain(), import("./find-money")]);
      return readJobs(client, terms);
    },
    refetchInterval: terms.size <= 50 ? 5000 : 60_000,
  });
  // What something is being done on stays, although it may have ended by that.
  const [active, setActive] = useState<string>();
  const isShown = ({ id, stored }: ChainJob) =>
    withEnded || holdsMoney(stored) || stored.state === "none" || id === active;
  const shown = jobs.data?.filter(isShown) ?? [];
  return (
    <Card
      title={t("jobs")}
      flush
      action={
        <span className="flex flex-wrap items-center gap-x-4 gap-y-2">
          <label className="flex min-h-6 items-center gap-2 text-[13px]">
            <input
              type="checkbox"
              checked={withEnded}
              onChange={(event) => setWithEnded(event.target.checked)}
            />
            {t("ended")}
          </label>
          <Button size="sm" onClick={again}>
            {t("again")}
          </Button>
        </span>
      }
    >
      {jobs.isPending ? (
        <div className="p-4">
          <LoadingRows rows={4} />
        </div>
      ) : jobs.isError ? (
        <ErrorState error={jobs.error} onRetry={() => void jobs.refetch()} />
      ) : shown.length === 0 ? (
        <div className="p-4">
          <Empty title={t("none")}>{t("noneText")}</Empty>
        </div>
      ) : (
        <RecoverJobs jobs={shown} address={address} onActive={setActive} />
      )}
    </Card>
  );
}
