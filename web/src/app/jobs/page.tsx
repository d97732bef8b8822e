/** The list of jobs, with its filters in the address: `/jobs/`. */

import type { Metadata } from "next";
import { Suspense } from "react";
import { JobsPage } from "@/components/jobs/jobs-page";

export const metadata: Metadata = { title: "Jobs" };

export default function Jobs() {
  return (
    <Suspense>
      <JobsPage />
    </Suspense>
  );
}
