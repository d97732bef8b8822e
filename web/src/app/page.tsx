/** The start page. */

import type { Metadata } from "next";
import { ButtonLink } from "@/components/ui/button";
import { Page } from "@/components/ui/page";

export const metadata: Metadata = {};

export default function Home() {
  return (
    <Page title="GPU jobs without a middleman">
      <div className="flex gap-2">
        <ButtonLink href="/submit/" look="primary">
          Submit a job
        </ButtonLink>
        <ButtonLink href="/provide/">Provide a GPU</ButtonLink>
      </div>
    </Page>
  );
}
