/** All nodes of the market. */

import type { Metadata } from "next";
import { Suspense } from "react";
import { NodeList } from "@/components/node/node-list";

export const metadata: Metadata = { title: "Nodes" };

export default function NodesPage() {
  return (
    <Suspense>
      <NodeList />
    </Suspense>
  );
}
