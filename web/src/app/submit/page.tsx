/** Submit a job. */

import type { Metadata } from "next";
import { SubmitPage } from "@/components/submit/submit-page";

export const metadata: Metadata = { title: "Submit a job" };

export default function Page() {
  return <SubmitPage />;
}
