"use client";
/** Where a link leads nowhere. */

import { Compass } from "lucide-react";
import { ButtonLink } from "@/components/ui/button";
import { Empty } from "@/components/ui/empty";
import { Page } from "@/components/ui/page";
import { useT } from "@/lib/i18n";

export default function NotFound() {
  const t = useT();
  return (
    <Page title="404" width="narrow">
      <Empty
        icon={Compass}
        title={t("error.notFound")}
        action={
          <ButtonLink href="/" look="primary">
            {t("error.home")}
          </ButtonLink>
        }
      />
    </Page>
  );
}
