"use client";
/** One node: what it offers, what it asks, how it has done, and its jobs. */

import { Server } from "lucide-react";
import Link from "next/link";
import { useSearchParams } from "next/navigation";
import { AddressId } from "@/components/explorer";
import { RecentJobs } from "@/components/home/recent-jobs";
import { useProvider } from "@/components/provide/provider-data";
import { Badge, StatusBadge } from "@/components/ui/badge";
import { ButtonLink } from "@/components/ui/button";
import { Empty, ErrorState, Skeleton } from "@/components/ui/empty";
import { Card, Facts, Page } from "@/components/ui/page";
import { Ago } from "@/components/ui/time";
import { isAddress, isAddressEqual } from "@/lib/address";
import { ApiError, type NodeView } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { NODE_STATUS } from "@/lib/status";
import { useAddress } from "@/lib/wallet";
import { nodeMessages } from "./messages";
import { useNode } from "./node-data";
import { Gpus, HardwareFacts, PriceFacts } from "./offer-facts";

export function NodeDetail() {
  const m = useMessages(nodeMessages);
  const id = useSearchParams().get("id") ?? "";
  const list = <ButtonLink href="/nodes/">{m("all")}</ButtonLink>;
  if (!isAddress(id)) {
    return (
      <Page title={m("noId")} width="narrow">
        <Empty icon={Server} title={m("noId")} action={list}>
          {m("noIdHelp")}
        </Empty>
      </Page>
    );
  }
  return <KnownNode id={id.toLowerCase()} />;
}

function KnownNode({ id }: { id: string }) {
  const m = useMessages(nodeMessages);
  const address = useAddress();
  const node = useNode(id);
  const isUnknown = node.error instanceof ApiError && node.error.code === "not_found";
  const isMine = address && node.data && isAddressEqual(node.data.provider, address);
  const title = (
    <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
      {m("node")} <AddressId value={id} />
      {node.data && <StatusBadge status={NODE_STATUS[node.data.state]} />}
    </span>
  );
  return (
    <Page
      title={title}
      actions={
        <>
          {isMine && <ButtonLink href="/provide/dashboard/">{m("yours")}</ButtonLink>}
          <ButtonLink href="/nodes/">{m("all")}</ButtonLink>
        </>
      }
    >
      {node.data ? (
        <Known node={node.data} />
      ) : isUnknown ? (
        <Empty icon={Server} title={m("unknown")}>
          {m("unknownHelp")}
        </Empty>
      ) : node.isError ? (
        <ErrorState error={node.error} onRetry={() => node.refetch()} />
      ) : (
        <div className="grid gap-4 lg:grid-cols-3">
          <Skeleton className="h-80 w-full lg:col-span-2" />
          <Skeleton className="h-80 w-full" />
        </div>
      )}
    </Page>
  );
}

function Known({ node }: { node: NodeView }) {
  const m = useMessages(nodeMessages);
  const provider = useProvider(node.provider, 30);
  return (
    <div className="grid items-start gap-4 lg:grid-cols-3">
      <div className="flex min-w-0 flex-col gap-4 lg:col-span-2">
        <Card title={m("offers")} action={<Badge tone="neutral">{m("reported")}</Badge>}>
          <div className="flex flex-col gap-5">
            <Gpus offer={node.offer} />
            <div className="grid items-start gap-x-8 gap-y-5 md:grid-cols-2">
              <HardwareFacts offer={node.offer} />
              <PriceFacts offer={node.offer} />
            </div>
          </div>
        </Card>
        <Card title={m("jobs")} flush>
          <RecentJobs of={{ node: node.id }} empty={<Empty title={m("noJobs")}>{m("noJobsHelp")}</Empty>} />
        </Card>
      </div>
      <Card title={m("counters")}>
        <Facts
          items={[
            [m("reputation"), `${(node.reputation_permille / 10).toFixed(1)} %`],
            [m("attemptsAccepted"), node.attempts_accepted],
            [m("attemptsFailed"), node.attempts_failed],
            [
              m("holding"),
              node.holding.length === 0
                ? m("nothing")
                : node.holding.map(({ job_id }) => (
                    <Link
                      key={job_id}
                      href={`/job/?id=${job_id}`}
                      className="mr-2 font-mono text-[13px] text-brand hover:underline"
                    >
                      {job_id.slice(0, 10)}…
                    </Link>
                  )),
            ],
            [m("heard"), <Ago key="heard" ms={node.last_heard_at_ms} />],
            [m("registered"), <Ago key="registered" ms={node.registered_at_ms} />],
            [m("provider"), <AddressId key="provider" value={node.provider} label={m("provider")} />],
            [
              m("providerJobs"),
              provider.data ? m("providerJobsNote", { jobs: provider.data.jobs_settled }) : "…",
            ],
          ]}
        />
      </Card>
    </div>
  );
}
