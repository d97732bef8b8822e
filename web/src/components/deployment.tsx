"use client";
/** The deployment that this page belongs to: its configuration, its chain and wallets, and whether it is reachable. */

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { ApiError } from "@/lib/api";
import { loadConfig, type WebConfig } from "@/lib/config";
import { startChain } from "@/lib/wallet";

type Deployment =
  | { state: "loading" }
  /** `fresh` is false where the server does not answer and an older configuration is used. */
  | { state: "ready"; config: WebConfig; fresh: boolean }
  | { state: "failed"; error: unknown; retry: () => void };

const DeploymentContext = createContext<Deployment>({ state: "loading" });

export function useDeployment(): Deployment {
  return useContext(DeploymentContext);
}

/** The configuration, once it is known. */
export function useConfig(): WebConfig | undefined {
  const deployment = useContext(DeploymentContext);
  return deployment.state === "ready" ? deployment.config : undefined;
}

function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2000,
        // What the server refuses will be refused again; only what was not reached is worth another try.
        retry: (count, error) => count < 2 && !(error instanceof ApiError && !error.isUnreachable),
        retryDelay: (count) => Math.min(500 * 2 ** count, 4000),
      },
    },
  });
}

export function DeploymentProvider({ children }: { children: ReactNode }) {
  const [queries] = useState(makeQueryClient);
  const [deployment, setDeployment] = useState<Deployment>({ state: "loading" });
  useEffect(() => {
    let gone = false;
    const load = () => {
      loadConfig().then(
        ({ config, fresh }) => {
          startChain(config);
          if (!gone) setDeployment({ state: "ready", config, fresh });
        },
        (error: unknown) => !gone && setDeployment({ state: "failed", error, retry: load }),
      );
    };
    load();
    return () => {
      gone = true;
    };
  }, []);
  return (
    <DeploymentContext.Provider value={deployment}>
      <QueryClientProvider client={queries}>{children}</QueryClientProvider>
    </DeploymentContext.Provider>
  );
}

/** Draws `children` once the deployment is known, `fallback` until then. */
export function WithConfig({
  children,
  fallback,
}: {
  children: (config: WebConfig) => ReactNode;
  fallback?: ReactNode;
}) {
  const config = useConfig();
  return config ? children(config) : (fallback ?? null);
}
