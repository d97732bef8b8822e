/** All money of a wallet, with the chain alone: `/recover/`. */

import type { Metadata } from "next";
import { RecoverPage } from "@/components/recover/recover-page";

export const metadata: Metadata = { title: "Recover" };

export default function Recover() {
  return <RecoverPage />;
}
