"use client";
/** How the parts of this market are, asked from the browser that shows it. */

import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useDeployment } from "@/components/deployment";
import { AddressId } from "@/components/explorer";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { ErrorState, errorText, Skeleton } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Card, Facts, Page } from "@/components/ui/page";
import { Table } from "@/components/ui/table";
import { useNow } from "@/components/ui/time";
import type { Info } from "@/lib/api";
import { ownRpc, type WebConfig } from "@/lib/config";
import { useI18n, useMessages } from "@/lib/i18n";
import type { StatusIcon, Tone } from "@/lib/status";
import { formatDate, formatDuration } from "@/lib/time";
import { statusMessages } from "./messages";
import {
  type Answer,
  askChain,
  askInfo,
  askOperator,
  firstRpc,
  HEAD_AGE_SECONDS_MAX,
  type Health,
  speed,
} from "./probes";

const EVERY_MS = 10_000;
const LOOKS: Record<Health | "asking", { tone: Tone; icon: StatusIcon }> = {
  ok: { tone: "good", icon: "check" },
  slow: { tone: "warn", icon: "clock" },
  down: { tone: "bad", icon: "x" },
  asking: { tone: "neutral", icon: "search" },
};

type Row = {
  key: string;
  part: string;
  health: Health | "asking";
  answer: ReactNode;
  tookMs?: number | undefined;
};

function useProbe<T>(key: string, ask: () => Promise<Answer<T>>, enabled = true) {
  return useQuery({
    queryKey: ["status", key],
    queryFn: ask,
    refetchInterval: EVERY_MS,
    retry: false,
    enabled,
  });
}

/** One line: asked and not answered yet, answered, or failed in its own words. */
function row<T>(
  key: string,
  part: string,
  probe: UseQueryResult<Answer<T>>,
  read: (value: T) => [Health, ReactNode],
): Row {
  if (probe.isError) return { key, part, health: "down", answer: errorText(probe.error) };
  if (!probe.data) return { key, part, health: "asking", answer: <Skeleton className="h-5 w-40" /> };
  const [health, answer] = read(probe.data.value);
  const { tookMs } = probe.data;
  return { key, part, health: health === "ok" ? speed(tookMs) : health, answer, tookMs };
}

export function StatusPage() {
  const m = useMessages(statusMessages);
  const deployment = useDeployment();
  return (
    <Page title={m("title")} lead={m("lead")} width="narrow">
      {deployment.state === "failed" ? (
        <ErrorState error={deployment.error} onRetry={deployment.retry} />
      ) : (
        <Parts config={deployment.state === "ready" ? deployment.config : undefined} />
      )}
    </Page>
  );
}

function Parts({ config }: { config: WebConfig | undefined }) {
  const m = useMessages(statusMessages);
  const { language } = useI18n();
  const now = useNow(1000);
  const info = useProbe("info", askInfo);
  const health = useProbe("healthz", () => askOperator("/healthz"));
  const ready = useProbe("readyz", () => askOperator("/readyz"));
  const onChain = useProbe(
    `chain ${config ? firstRpc(config) : ""}`,
    () => askChain(config as WebConfig),
    config !== undefined,
  );
  const operator = ({ ok, text }: { ok: boolean; text: string }): [Health, ReactNode] => [
    ok ? "ok" : "slow",
    text,
  ];
  const rows: Row[] = [
    row("info", m("scheduler"), info, ({ version, strategy }) => [
      "ok",
      m("schedulerIs", { version, strategy }),
    ]),
    row("payouts", m("payouts"), info, ({ payouts_stopped: stopped }) =>
      stopped
        ? [
            "slow",
            m("payoutsStopped", { since: formatDate(stopped.since_ms, language), reason: stopped.reason }),
          ]
        : ["ok", m("payoutsGo")],
    ),
    row("healthz", m("healthz"), health, operator),
    row("readyz", m("readyz"), ready, operator),
    row("chain", m("chain"), onChain, ({ chainId, head, headSeconds }) => {
      if (config && chainId !== config.chain.id) {
        return ["down", m("chainMismatch", { found: chainId, wanted: config.chain.id })];
      }
      const age = Math.max(0, Math.round((now || Date.now()) / 1000 - headSeconds));
      const isOld = age > HEAD_AGE_SECONDS_MAX;
      return [isOld ? "slow" : "ok", m(isOld ? "chainOld" : "chainHead", { block: head, age })];
    }),
    row("contract", m("contract"), onChain, ({ codeBytes }) => {
      const address = config?.contract ?? "";
      return codeBytes > 0
        ? ["ok", m("contractThere", { bytes: codeBytes, address })]
        : ["down", m("contractMissing", { address })];
    }),
  ];
  const isAsking = rows.some(({ health: one }) => one === "asking");
  const isWell = rows.every(({ health: one }) => one === "ok");
  const again = () => void Promise.all([info, health, ready, onChain].map((probe) => probe.refetch()));
  return (
    <div className="flex flex-col gap-4">
      <Notice tone={isAsking ? "neutral" : isWell ? "good" : "warn"} live>
        {m(isAsking ? "asking" : isWell ? "all" : "some")}
      </Notice>
      <Card
        flush
        title={m("parts")}
        action={
          <Button size="sm" onClick={again}>
            {m("again")}
          </Button>
        }
      >
        <Table<Row>
          caption={m("parts")}
          rows={rows}
          rowKey={({ key }) => key}
          columns={[
            {
              key: "part",
              title: m("part"),
              cell: ({ part }) => <span className="font-medium">{part}</span>,
            },
            {
              key: "state",
              title: m("state"),
              cell: ({ health: one }) => (
                <Badge tone={LOOKS[one].tone} icon={LOOKS[one].icon}>
                  {m(one)}
                </Badge>
              ),
            },
            {
              key: "answer",
              title: m("answer"),
              cell: ({ answer }) => (
                <span className="text-ink-soft [overflow-wrap:anywhere] max-sm:text-right">{answer}</span>
              ),
            },
            {
              key: "took",
              title: m("took"),
              numeric: true,
              cell: ({ tookMs }) => (
                <span className="whitespace-nowrap">
                  {tookMs === undefined ? "–" : m("ms", { ms: tookMs })}
                </span>
              ),
            },
          ]}
        />
      </Card>
      {config && <MarketFacts config={config} info={info.data?.value} />}
    </div>
  );
}

function MarketFacts({ config, info }: { config: WebConfig; info: Info | undefined }) {
  const m = useMessages(statusMessages);
  return (
    <Card title={m("facts")}>
      <Facts
        items={[
          [m("chainId"), `${config.chain.id}, ${config.chain.name}`],
          [m("contract"), <AddressId key="contract" value={config.contract} label={m("contract")} />],
          [
            m("rpc"),
            <span key="rpc" className="font-mono text-[13px]">
              {firstRpc(config)}
              {ownRpc(config.chain.id) && ` (${m("own")})`}
            </span>,
          ],
          info && [
            m("schedulerAddress"),
            <AddressId key="scheduler" value={info.scheduler} label={m("schedulerAddress")} />,
          ],
          info && [m("arbiter"), <AddressId key="arbiter" value={info.arbiter} label={m("arbiter")} />],
          info && [m("fee"), m("feeIs", { percent: info.fee_bps / 100 })],
          info && [m("lease"), formatDuration(info.lease_seconds)],
          info && [m("silence"), m("silenceIs", { seconds: info.silence_ms / 1000 })],
        ]}
      />
    </Card>
  );
}
