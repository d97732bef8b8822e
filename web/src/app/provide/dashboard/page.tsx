/** What a provider earns. */

import type { Metadata } from "next";
import { Dashboard } from "@/components/provide/dashboard";

export const metadata: Metadata = { title: "Earnings" };

export default function DashboardPage() {
  return <Dashboard />;
}
