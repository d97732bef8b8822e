/** Verify a receipt: `/receipt/`, or `/receipt/?id=0x…` of a job. */

import type { Metadata } from "next";
import { Suspense } from "react";
import { LazyReceiptPage } from "@/components/receipt/lazy-receipt-page";

export const metadata: Metadata = { title: "Verify a receipt" };

export default function Receipt() {
  return (
    <Suspense>
      <LazyReceiptPage />
    </Suspense>
  );
}
