"use client";
/** The list of nodes with its filters and the comparison, all of it in the page's address. */

import { Server } from "lucide-react";
import { useSearchParams } from "next/navigation";
import { useEffect, useMemo, useState } from "react";
import { useCoin } from "@/components/money";
import { Button, ButtonLink } from "@/components/ui/button";
import { Empty, ErrorState, Skeleton } from "@/components/ui/empty";
import { Card, Page } from "@/components/ui/page";
import { useMessages, useT } from "@/lib/i18n";
import { Comparison } from "./comparison";
import { FilterBar } from "./filter-bar";
import { COMPARE_MAX, matches, type NodeFilters, readFilters, sortNodes, writeFilters } from "./filters";
import { nodeMessages } from "./messages";
import { useNodes } from "./node-data";
import { NodeTable } from "./node-table";

/** Rows that are drawn at first; the rest comes by a click. */
const ROWS = 100;

export function NodeList() {
  const m = useMessages(nodeMessages);
  const coin = useCoin();
  const params = useSearchParams();
  const [filters, setFilters] = useState(() => readFilters(new URLSearchParams(params)));
  // The address decides, such as after "back". It is read itself: `params` comes later than what one clicks.
  // biome-ignore lint/correctness/useExhaustiveDependencies: `params` says that the address has changed.
  useEffect(() => setFilters(readFilters(new URLSearchParams(window.location.search))), [params]);
  const nodes = useNodes();
  const [rows, setRows] = useState(ROWS);
  const all = useMemo(() => nodes.data?.pages.flatMap(({ items }) => items) ?? [], [nodes.data]);
  const found = useMemo(() => {
    const matching = all.filter((node) => matches(node, filters, coin.decimals));
    return sortNodes(matching, filters.sort, filters.descending);
  }, [all, filters, coin.decimals]);
  const compared = filters.compare.flatMap((id) =>
    all.filter((node) => node.id === id.toLowerCase() || node.id === id),
  );

  const show = (next: NodeFilters) => {
    const query = writeFilters(next).toString();
    setFilters(next);
    window.history.replaceState(null, "", query ? `?${query}` : window.location.pathname);
  };
  const change = (changed: Partial<NodeFilters>) => show({ ...filters, ...changed });
  const clear = () => show({ sort: filters.sort, descending: filters.descending, compare: filters.compare });

  return (
    <Page
      title={m("title")}
      lead={m("lead")}
      actions={<ButtonLink href="/provide/">{m("provide")}</ButtonLink>}
    >
      <div className="flex flex-col gap-5">
        <FilterBar nodes={all} filters={filters} onChange={change} onClear={clear} />
        {compared.length > 0 && <Comparison nodes={compared} onClear={() => change({ compare: [] })} />}
        <div className="flex flex-col gap-2">
          <div className="flex min-h-5 flex-wrap justify-between gap-x-4 text-[13px] text-ink-soft">
            <p role="status">{nodes.data ? m("count", { shown: found.length, total: all.length }) : ""}</p>
            {all.length > 1 && <p>{m("compareHelp", { max: COMPARE_MAX })}</p>}
          </div>
          {nodes.isPending ? (
            <LoadingTable />
          ) : nodes.isError && all.length === 0 ? (
            <ErrorState error={nodes.error} onRetry={() => nodes.refetch()} />
          ) : all.length === 0 ? (
            <Empty
              icon={Server}
              title={m("empty")}
              action={
                <ButtonLink href="/provide/" look="primary">
                  {m("provide")}
                </ButtonLink>
              }
            >
              {m("emptyHelp")}
            </Empty>
          ) : found.length === 0 ? (
            <Empty icon={Server} title={m("noMatch")} action={<Button onClick={clear}>{m("clear")}</Button>}>
              {m("noMatchHelp")}
            </Empty>
          ) : (
            <Card flush>
              <NodeTable nodes={found.slice(0, rows)} filters={filters} onChange={change} />
            </Card>
          )}
          <div className="flex flex-wrap justify-center gap-2">
            {found.length > rows && <Button onClick={() => setRows(rows + ROWS)}>{m("more")}</Button>}
            {found.length <= rows && nodes.hasNextPage && (
              <Button busy={nodes.isFetchingNextPage} onClick={() => nodes.fetchNextPage()}>
                {m("more")}
              </Button>
            )}
          </div>
        </div>
      </div>
    </Page>
  );
}

function LoadingTable() {
  const t = useT();
  return (
    <Card flush>
      <div role="status" aria-label={t("state.loading")} className="flex flex-col">
        {Array.from({ length: 6 }, (_, row) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike.
          <div key={row} className="border-b border-line px-4 py-2.5 last:border-0">
            <Skeleton className="h-5 w-full" />
          </div>
        ))}
      </div>
    </Card>
  );
}
