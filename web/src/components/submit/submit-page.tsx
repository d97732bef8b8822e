"use client";
/** The form, what the market says about it as one types, and the way to the wallet. */

import dynamic from "next/dynamic";
import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { FormProvider, type Resolver, set, useForm, useWatch } from "react-hook-form";
import { useInfo } from "@/components/banners";
import { Button } from "@/components/ui/button";
import { Page } from "@/components/ui/page";
import { ConnectButton } from "@/components/wallet/wallet-button";
import type { JobSpec } from "@/lib/api";
import {
  type CheckedDraft,
  checkDraft,
  type Draft,
  draftOf,
  EMPTY_DRAFT,
  forgetDraft,
  loadDraft,
  type Parties,
  saveDraft,
} from "@/lib/draft";
import { useMessages } from "@/lib/i18n";
import { basisPoints } from "@/lib/money";
import { useAddress } from "@/lib/wallet";
import { CostPanel, MatchPanel, SameJobPanel } from "./aside-panels";
import { DataSection } from "./data-section";
import { FundingPanel } from "./funding-panel";
import { HardwareSection } from "./hardware-section";
import { NATIVE, type PreviewRequest, useMatchPreview } from "./market";
import { messages } from "./messages";
import { MoneySection } from "./money-section";
import { ProgramSection } from "./program-section";
import type { Upload } from "./uploads";
import { useFunding } from "./use-funding";

const PasteDialog = dynamic(() => import("./paste-dialog").then((module) => module.PasteDialog), {
  ssr: false,
});
const ReviewDialog = dynamic(() => import("./review-dialog").then((module) => module.ReviewDialog), {
  ssr: false,
});
const Unfinished = dynamic(() => import("./unfinished").then((module) => module.Unfinished), { ssr: false });

/** Typing pauses this long before the scheduler is asked what it thinks. */
const PAUSE_MS = 350;
/** Stands for what is not right yet and chooses no node, so that hardware and price can be looked at before. */
const ANY_PROGRAM: Partial<Draft> = {
  name: "",
  command: "",
  env: [],
  inputs: [],
  fuel: "",
  image: `any@sha256:${"0".repeat(64)}`,
  module: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
};

export function SubmitPage() {
  const t = useMessages(messages);
  const address = useAddress();
  const info = useInfo().data;
  const parties = useRef<Parties>({});
  parties.current = {
    submitter: address,
    ...(info ? { scheduler: info.scheduler, arbiter: info.arbiter } : {}),
  };
  const resolver = useRef<Resolver<Draft>>(async (values) => {
    const { issues } = checkDraft(values, parties.current);
    const errors = {};
    for (const [field, message] of Object.entries(issues)) set(errors, field, { type: "draft", message });
    return Object.keys(issues).length > 0 ? { values: {}, errors } : { values, errors: {} };
  });
  const form = useForm<Draft>({ defaultValues: EMPTY_DRAFT, resolver: resolver.current, mode: "onTouched" });
  const { reset, handleSubmit, control } = form;
  const [isLoaded, setLoaded] = useState(false);
  useEffect(() => {
    reset(loadDraft());
    setLoaded(true);
  }, [reset]);
  const draft = useWatch({ control }) as Draft;
  useEffect(() => {
    if (isLoaded) saveDraft(draft);
  }, [draft, isLoaded]);

  const settled = usePaused(useDeferredValue(draft), PAUSE_MS);
  const checked = useMemo(
    () =>
      checkDraft(settled, {
        submitter: address,
        ...(info ? { scheduler: info.scheduler, arbiter: info.arbiter } : {}),
      }),
    [settled, address, info],
  );
  const preview = useMatchPreview(
    useMemo(() => previewOf(settled, checked, info?.fee_bps ?? 0), [settled, checked, info]),
  );

  const { funding, start, resume, confirm, look, reset: close } = useFunding();
  const isBusy = funding.state !== "idle" && funding.state !== "stopped" && funding.state !== "unseen";
  const [isPasting, setPasting] = useState(false);
  const submit = handleSubmit((values) => {
    const { spec, money } = checkDraft(values, parties.current);
    if (spec && money) void start({ spec, money }, uploadsOf(values));
  });
  const startOver = () => {
    if (!window.confirm(t("startOverConfirm"))) return;
    forgetDraft();
    reset(EMPTY_DRAFT);
    close();
  };
  return (
    <Page
      title={t("title")}
      lead={t("lead")}
      actions={
        <>
          <Button onClick={() => setPasting(true)} aria-haspopup="dialog">
            {t("paste")}
          </Button>
          <Button look="quiet" onClick={startOver}>
            {t("startOver")}
          </Button>
        </>
      }
    >
      {address && !isBusy && <Unfinished address={address} onContinue={resume} onLook={look} />}
      <FormProvider {...form}>
        <form
          onSubmit={(event) => {
            void submit(event);
          }}
          noValidate
          className="grid items-start gap-6 lg:grid-cols-[minmax(0,1fr)_minmax(0,400px)]"
        >
          <fieldset disabled={isBusy} className="contents">
            <div className="flex min-w-0 flex-col gap-4">
              <ProgramSection />
              <DataSection />
              <HardwareSection />
              <MoneySection floors={preview.data?.price_floors} feeBps={info?.fee_bps} />
            </div>
          </fieldset>
          <aside className="flex min-w-0 flex-col gap-4 lg:sticky lg:top-[72px] lg:max-h-[calc(100dvh-88px)] lg:overflow-y-auto lg:pr-1">
            <MatchPanel preview={preview} />
            <CostPanel checked={checked} info={info} />
            <FundingPanel
              funding={funding}
              onAgain={resume}
              onClose={close}
              onOpened={() => {
                forgetDraft();
                setLoaded(false);
              }}
            />
            <SubmitBar isBusy={isBusy} isConnected={address !== undefined} />
            <SameJobPanel checked={checked} hasUploads={uploadsOf(settled).length > 0} />
          </aside>
        </form>
      </FormProvider>
      {isPasting && (
        <PasteDialog
          onClose={() => setPasting(false)}
          onSpec={(spec: JobSpec) => reset(draftOf(spec, form.getValues()))}
        />
      )}
      {funding.state === "review" && (
        <ReviewDialog
          submission={funding.submission}
          quote={funding.quote}
          twin={funding.twin}
          onConfirm={() => void confirm(funding.submission)}
          onBack={close}
        />
      )}
    </Page>
  );
}

function SubmitBar({ isBusy, isConnected }: { isBusy: boolean; isConnected: boolean }) {
  const t = useMessages(messages);
  const info = useInfo();
  if (!isConnected) {
    return (
      <div className="flex flex-wrap items-center justify-between gap-3">
        <p className="text-ink-soft">{t("connect")}</p>
        <ConnectButton size="md" />
      </div>
    );
  }
  return (
    <div className="flex flex-col gap-2">
      <Button
        type="submit"
        look="primary"
        busy={isBusy}
        disabled={info.isError}
        aria-describedby="submit-help"
      >
        {t("submit")}
      </Button>
      <p id="submit-help" className="text-[13px] text-ink-soft">
        {info.isError ? t("schedulerDown") : t("submitHelp")}
      </p>
    </div>
  );
}

/** The value once it has stayed the same for a while. */
function usePaused<Value>(value: Value, pauseMs: number): Value {
  const [paused, setPaused] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setPaused(value), pauseMs);
    return () => clearTimeout(timer);
  }, [value, pauseMs]);
  return paused;
}

/** What the scheduler is asked about a draft. A program or bounty that is missing yet does not matter. */
function previewOf(draft: Draft, { spec, money }: CheckedDraft, feeBps: number): PreviewRequest | undefined {
  const asked = spec ?? checkDraft({ ...draft, ...ANY_PROGRAM }).spec;
  if (!asked) return undefined;
  const bounty = money?.bounty ?? 1n;
  // To the minute, so that the same question is the same.
  const minutes = Math.ceil(Date.now() / 60_000);
  return {
    spec: asked,
    bounty: bounty.toString(),
    fee: basisPoints(bounty, feeBps).toString(),
    bond: (money?.bond ?? 0n).toString(),
    token: NATIVE,
    deadline: minutes * 60 + (money?.deadlineSeconds ?? 86_400),
  };
}

/** What was dropped on this page, or on an earlier visit. */
function uploadsOf({ inputs, runtime, module, moduleFile }: Draft): Upload[] {
  const uploads = inputs
    .filter(({ source, uri }) => source === "upload" && uri !== "")
    .map(({ uri, file }) => ({ cid: uri.replace("ipfs://", ""), name: file }));
  return runtime === "wasm" && moduleFile ? [...uploads, { cid: module.trim(), name: moduleFile }] : uploads;
}
