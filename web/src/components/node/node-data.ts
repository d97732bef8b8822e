/** Nodes, as the scheduler knows them. */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, body } from "@/lib/api";

const PAGE_NODES = 200;
/** Pages that are kept fresh; of more than these nodes, filters see only the first. */
const PAGES_MAX = 5;

/** The nodes of the market, page by page. */
export function useNodes() {
  return useInfiniteQuery({
    queryKey: ["nodes", "pages"],
    queryFn: ({ pageParam }) =>
      body(
        api.GET("/v1/nodes", {
          params: { query: { limit: PAGE_NODES, ...(pageParam ? { cursor: pageParam } : {}) } },
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page, pages) => (pages.length < PAGES_MAX ? (page.next ?? undefined) : undefined),
    refetchInterval: 10_000,
  });
}

export function useNode(id: string | undefined) {
  return useQuery({
    queryKey: ["node", id],
    queryFn: () => body(api.GET("/v1/nodes/{id}", { params: { path: { id: id ?? "" } } })),
    enabled: id !== undefined,
    refetchInterval: 5000,
  });
}
