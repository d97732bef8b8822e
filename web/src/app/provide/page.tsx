/** The way to a node of one's own. */

import type { Metadata } from "next";
import { Suspense } from "react";
import { ProvidePage } from "@/components/provide/provide-page";

export const metadata: Metadata = { title: "Provide a GPU" };

export default function Provide() {
  return (
    <Suspense>
      <ProvidePage />
    </Suspense>
  );
}
