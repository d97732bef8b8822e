"use client";
/** What a person must know on every page: a scheduler or chain that does not answer, payouts that are stopped. */

import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api, body } from "@/lib/api";
import type { WebConfig } from "@/lib/config";
import { useT } from "@/lib/i18n";
import type { Tone } from "@/lib/status";
import { chain, useWallet } from "@/lib/wallet";
import { useDeployment, WithConfig } from "./deployment";
import { TONES } from "./ui/badge";

export function useInfo() {
  return useQuery({
    queryKey: ["info"],
    queryFn: () => body(api.GET("/v1/info")),
    refetchInterval: 15_000,
    staleTime: 10_000,
  });
}

export function Banners() {
  const t = useT();
  const deployment = useDeployment();
  const info = useInfo();
  const offline = info.isError || (deployment.state === "ready" && !deployment.fresh && !info.isSuccess);
  return (
    <div data-no-print>
      {offline && <Banner tone="warn">{t("banner.offline")}</Banner>}
      {info.data?.payouts_stopped && (
        <Banner tone="bad">{t("banner.stopped", { reason: info.data.payouts_stopped.reason })}</Banner>
      )}
      <WithConfig>{(config) => <ChainBanners config={config} />}</WithConfig>
    </div>
  );
}

function ChainBanners({ config }: { config: WebConfig }) {
  const t = useT();
  const wallet = useWallet();
  const isElsewhere = wallet.status === "connected" && wallet.chainId !== config.chain.id;
  // A wallet that declines has said so itself.
  const switchChain = () => void chain().then((client) => client.switchChain().catch(() => {}));
  return (
    <>
      {config.development && <Banner tone="info">{t("banner.development")}</Banner>}
      {isElsewhere && (
        <Banner tone="warn">
          {t("banner.wrongChain")}{" "}
          <button type="button" className="font-medium underline" onClick={switchChain}>
            {t("banner.switch", { chain: config.chain.name })}
          </button>
        </Banner>
      )}
    </>
  );
}

function Banner({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <div role="status" className={`px-4 py-2 text-center text-[13px] ${TONES[tone]}`}>
      {children}
    </div>
  );
}
