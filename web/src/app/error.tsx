"use client";
/** Where a page fails in the browser. A chunk that is gone means that a newer version was deployed. */

import { Button } from "@/components/ui/button";
import { Empty, ErrorState } from "@/components/ui/empty";
import { Page } from "@/components/ui/page";
import { useT } from "@/lib/i18n";

export default function PageError({ error, reset }: { error: Error; reset: () => void }) {
  const t = useT();
  const isStale =
    error.name === "ChunkLoadError" || /loading chunk|failed to fetch dynamically/i.test(error.message);
  return (
    <Page title="Gristmill" width="narrow">
      {isStale ? (
        <Empty
          title={t("error.newVersion")}
          action={
            <Button look="primary" onClick={() => window.location.reload()}>
              {t("action.reload")}
            </Button>
          }
        />
      ) : (
        <ErrorState error={error} onRetry={reset} />
      )}
    </Page>
  );
}
