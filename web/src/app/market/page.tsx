/** The market in numbers. */

import type { Metadata } from "next";
import { MarketPage } from "@/components/market/market-page";

export const metadata: Metadata = { title: "Market" };

export default function Market() {
  return <MarketPage />;
}
