"use client";
/** A provider's nodes with their health, and the way to revoke one. */

import { Server } from "lucide-react";
import { useEffect, useState } from "react";
import type { Address } from "viem";
import { Money } from "@/components/money";
import { gpuText } from "@/components/node/format";
import { useNodes } from "@/components/node/node-data";
import { NodeLink } from "@/components/node/node-link";
import { Badge, StatusBadge } from "@/components/ui/badge";
import { Button, ButtonLink } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { Empty, ErrorState, LoadingRows } from "@/components/ui/empty";
import { Card } from "@/components/ui/page";
import { Table } from "@/components/ui/table";
import { Ago } from "@/components/ui/time";
import { TransactionButton } from "@/components/wallet/transaction";
import { isAddressEqual } from "@/lib/address";
import type { NodeView } from "@/lib/api";
import { useMessages, useT } from "@/lib/i18n";
import { NODE_STATUS } from "@/lib/status";
import { dashboardMessages } from "./dashboard-messages";
import { useEnrollment } from "./on-chain";

export function MyNodes({ provider }: { provider: string }) {
  const m = useMessages(dashboardMessages);
  const nodes = useNodes();
  const [revoking, setRevoking] = useState<NodeView>();
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = nodes;
  // The list knows no providers, so it is read to its end.
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const mine = nodes.data?.pages
    .flatMap(({ items }) => items)
    .filter((node) => isAddressEqual(node.provider, provider));
  return (
    <Card title={m("nodes")} flush>
      {!mine ? (
        <div className="p-4">
          {nodes.isError ? (
            <ErrorState error={nodes.error} onRetry={() => nodes.refetch()} />
          ) : (
            <LoadingRows rows={2} />
          )}
        </div>
      ) : mine.length === 0 ? (
        <div className="p-4">
          <Empty
            icon={Server}
            title={m("noNodes")}
            action={
              <ButtonLink href="/provide/" look="primary">
                {m("add")}
              </ButtonLink>
            }
          >
            {m("noNodesHelp")}
          </Empty>
        </div>
      ) : (
        <Table<NodeView>
          caption={m("nodes")}
          rows={mine}
          rowKey={({ id }) => id}
          columns={[
            { key: "node", title: m("node"), cell: ({ id }) => <NodeLink id={id} /> },
            {
              key: "state",
              title: m("state"),
              cell: ({ state }) => <StatusBadge status={NODE_STATUS[state]} />,
            },
            {
              key: "gpu",
              title: m("gpu"),
              cell: ({ offer }) => (
                <span className="[overflow-wrap:anywhere] max-sm:text-right">
                  {gpuText(offer) || m("noGpu")}
                </span>
              ),
            },
            {
              key: "floor",
              title: m("floor"),
              numeric: true,
              cell: ({ offer }) => <Money amount={offer.price_floor} token={offer.token} />,
            },
            {
              key: "record",
              title: m("record"),
              numeric: true,
              cell: ({ attempts_accepted: accepted, attempts_failed: failed }) =>
                accepted + failed === 0
                  ? m("noRecord")
                  : m("recordOf", { accepted, finished: accepted + failed }),
            },
            {
              key: "heard",
              title: m("heard"),
              numeric: true,
              cell: ({ last_heard_at_ms }) => <Ago ms={last_heard_at_ms} />,
            },
            {
              key: "revoke",
              title: m("revoke"),
              numeric: true,
              cell: (node) => <Revoke node={node} onRevoke={() => setRevoking(node)} />,
            },
          ]}
        />
      )}
      {revoking && <RevokeDialog node={revoking} onClose={() => setRevoking(undefined)} />}
    </Card>
  );
}

/** Whether a node is revoked only the chain knows. */
function Revoke({ node, onRevoke }: { node: NodeView; onRevoke: () => void }) {
  const m = useMessages(dashboardMessages);
  const enrollment = useEnrollment(node.id);
  if (enrollment.data?.revoked) {
    return (
      <Badge tone="bad" icon="x">
        {m("isRevoked")}
      </Badge>
    );
  }
  return (
    <Button size="sm" onClick={onRevoke} aria-haspopup="dialog">
      {m("revoke")}
    </Button>
  );
}

function RevokeDialog({ node, onClose }: { node: NodeView; onClose: () => void }) {
  const m = useMessages(dashboardMessages);
  const t = useT();
  return (
    <Dialog
      open
      onClose={onClose}
      title={m("revokeTitle")}
      footer={<Button onClick={onClose}>{t("action.close")}</Button>}
    >
      <div className="flex flex-col gap-4">
        <p className="font-mono text-[13px] [overflow-wrap:anywhere]">{node.id}</p>
        <p>{m("revokeText")}</p>
        <TransactionButton
          look="danger"
          done={m("revoked")}
          call={() => ({ functionName: "revoke", args: [node.id as Address] })}
        >
          {m("revoke")}
        </TransactionButton>
      </div>
    </Dialog>
  );
}
