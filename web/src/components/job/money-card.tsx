"use client";
/** Where a job's money is, how it is split, and what can be done with it. */

import { Money } from "@/components/money";
import { StatusBadge } from "@/components/ui/badge";
import { Skeleton } from "@/components/ui/empty";
import { Card, Facts } from "@/components/ui/page";
import type { JobView } from "@/lib/api";
import { useI18n, useMessages } from "@/lib/i18n";
import { ESCROW_STATUS } from "@/lib/status";
import { useAddress } from "@/lib/wallet";
import { poolOf, waysOut } from "@/lib/ways-out";
import type { ChainJob } from "./chain-job";
import { jobMessages } from "./messages";
import { WaysList } from "./ways-list";

export function MoneyCard({
  chainJob,
  job,
  isFailed,
}: {
  chainJob: ChainJob | undefined;
  job?: JobView;
  isFailed: boolean;
}) {
  const t = useMessages(jobMessages);
  const { language } = useI18n();
  const address = useAddress();
  if (!chainJob) {
    return (
      <Card title={t("money")}>
        {isFailed ? (
          <p className="text-ink-soft">{t("chainUnknown")}</p>
        ) : (
          <Skeleton className="h-56 w-full" />
        )}
      </Card>
    );
  }
  const { terms, stored, leaseEnd, now } = chainJob;
  const status = ESCROW_STATUS[stored.state];
  const isReturned = stored.state === "refunded" || stored.state === "cancelled";
  const pool = poolOf(terms, stored);
  // Without a wallet: what the submitter could do, for most who look are.
  const ways = waysOut(terms, stored, leaseEnd, address ?? terms.submitter);
  const mined = job?.transactions.filter(({ gas_used }) => gas_used != null) ?? [];
  const gas = mined.reduce((sum, { gas_used }) => sum + (gas_used ?? 0), 0);
  const money = (amount: bigint) => <Money amount={amount} token={terms.token} />;
  return (
    <Card title={t("money")} action={<StatusBadge status={status} />}>
      <Facts
        items={[
          [t("whereNow"), status.money[language]],
          [t("bounty"), money(terms.bounty)],
          !isReturned && [t("fee"), money(terms.fee)],
          !isReturned && [t("forProvider"), money(terms.bounty - terms.fee + pool)],
          terms.bond > 0n && [t("bond"), money(terms.bond)],
          pool > 0n && [t("pool"), money(pool)],
          terms.disputeBond > 0n && [t("disputeBond"), money(terms.disputeBond)],
          mined.length > 0 && [
            t("gas"),
            t("gasUnits", { gas: gas.toLocaleString(language), transactions: mined.length }),
          ],
        ]}
      />
      <h3 className="label mt-5 mb-2">{t("canBeDone")}</h3>
      {ways.length > 0 ? <WaysList ways={ways} now={now} /> : <p className="text-ink-soft">{t("nothing")}</p>}
    </Card>
  );
}
