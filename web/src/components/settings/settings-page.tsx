"use client";
/** What a person can choose about these pages. */

import { useDeployment } from "@/components/deployment";
import { ErrorState, Skeleton } from "@/components/ui/empty";
import { Page } from "@/components/ui/page";
import { useMessages } from "@/lib/i18n";
import { Appearance } from "./appearance";
import { DataSetting } from "./data-setting";
import { settingsMessages } from "./messages";
import { RpcSetting } from "./rpc-setting";

export function SettingsPage() {
  const m = useMessages(settingsMessages);
  const deployment = useDeployment();
  return (
    <Page title={m("title")} lead={m("lead")} width="narrow">
      <div className="flex flex-col gap-4">
        <Appearance />
        {deployment.state === "ready" ? (
          <RpcSetting config={deployment.config} />
        ) : deployment.state === "failed" ? (
          <ErrorState error={deployment.error} onRetry={deployment.retry} />
        ) : (
          <Skeleton className="h-72 w-full" />
        )}
        <DataSetting />
      </div>
    </Page>
  );
}
