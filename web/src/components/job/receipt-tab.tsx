"use client";
/** The receipt of a job within its page. */

import { ReceiptOfJob } from "@/components/receipt/receipt-page";
import type { JobView } from "@/lib/api";

export function ReceiptTab({ job }: { job: JobView }) {
  return <ReceiptOfJob id={job.id} />;
}
