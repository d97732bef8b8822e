"use client";
/** The spec of a job, to read, copy, or submit again. */

import { useRouter } from "next/navigation";
import { Button } from "@/components/ui/button";
import { CopyButton, Id } from "@/components/ui/copy";
import { Empty } from "@/components/ui/empty";
import { Card } from "@/components/ui/page";
import type { JobView } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { Text } from "./file-preview";
import { resultMessages } from "./result-messages";

/** The form to submit a job takes up the spec that lies here. */
const IMPORT = "gristmill:import";

export function SpecTab({ job }: { job: JobView }) {
  const t = useMessages(resultMessages);
  const router = useRouter();
  if (!job.spec) return <Empty title={t("noSpec")} />;
  const text = JSON.stringify(job.spec, null, 2);
  const again = () => {
    localStorage.setItem(IMPORT, JSON.stringify(job.spec));
    router.push("/submit/");
  };
  return (
    <Card
      title={t("spec")}
      action={
        <span className="flex flex-wrap items-center gap-2">
          <CopyButton text={text} />
          <Button size="sm" onClick={again}>
            {t("again")}
          </Button>
        </span>
      }
    >
      <p className="mb-3 flex flex-wrap items-center gap-2 text-[13px]">
        <span className="text-ink-soft">{t("specHash")}</span>
        <Id value={job.terms.spec_hash} />
      </p>
      <Text label={t("spec")}>{text}</Text>
    </Card>
  );
}
