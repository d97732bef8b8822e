/** One node, named by `?id=`. */

import type { Metadata } from "next";
import { Suspense } from "react";
import { NodeDetail } from "@/components/node/node-detail";

export const metadata: Metadata = { title: "Node" };

export default function NodePage() {
  return (
    <Suspense>
      <NodeDetail />
    </Suspense>
  );
}
