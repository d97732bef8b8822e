/** What the scheduler knows of a provider: earnings, and nodes that wait for its wallet. */

import { useQuery } from "@tanstack/react-query";
import { api, body, type Schemas } from "@/lib/api";

export type ProviderView = Schemas["ProviderView"];
export type WaitingNode = Schemas["WaitingNode"];

export function useProvider(address: string, days: number) {
  return useQuery({
    queryKey: ["provider", address, days],
    queryFn: () =>
      body(api.GET("/v1/providers/{address}", { params: { path: { address }, query: { days } } })),
    refetchInterval: 15_000,
  });
}

/**
 * Nodes that have sent their consent: those that wait for a wallet, or one node whatever wallet it waits for. Asked often,
 * because somebody looks at the page until one comes.
 */
export function useWaitingNodes(wanted: { provider: string } | { node: string | undefined }) {
  const isWanted = "provider" in wanted || wanted.node !== undefined;
  return useQuery({
    queryKey: ["enrollments", wanted],
    queryFn: async () => (await body(api.GET("/v1/enrollments", { params: { query: wanted } }))).items,
    refetchInterval: 2000,
    enabled: isWanted,
  });
}
