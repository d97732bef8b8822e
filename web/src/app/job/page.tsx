/** One job: `/job/?id=0x…`. */

import type { Metadata } from "next";
import { Suspense } from "react";
import { JobPage } from "@/components/job/job-page";
import { LoadingRows } from "@/components/ui/empty";
import { Page } from "@/components/ui/page";

export const metadata: Metadata = { title: "Job" };

export default function Job() {
  return (
    <Suspense
      fallback={
        <Page title="Job">
          <LoadingRows rows={8} />
        </Page>
      }
    >
      <JobPage />
    </Suspense>
  );
}
