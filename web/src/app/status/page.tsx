/** How the parts of this market are. */

import type { Metadata } from "next";
import { StatusPage } from "@/components/status/status-page";

export const metadata: Metadata = { title: "Status" };

export default function Status() {
  return <StatusPage />;
}
