"use client";
/** The frame of the receipt page. What checks signatures is large, and comes after the first paint. */

import dynamic from "next/dynamic";
import { LoadingRows } from "@/components/ui/empty";
import { Page } from "@/components/ui/page";
import { useMessages } from "@/lib/i18n";
import { receiptMessages } from "./messages";

const ReceiptPage = dynamic(() => import("./receipt-page").then((module) => module.ReceiptPage), {
  ssr: false,
  loading: () => <LoadingRows rows={8} />,
});

export function LazyReceiptPage() {
  const t = useMessages(receiptMessages);
  return (
    <Page title={t("title")} lead={t("lead")}>
      <ReceiptPage />
    </Page>
  );
}
