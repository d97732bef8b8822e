"use client";
/** The way from a wallet to a node that earns, step by step. Where it stands is told from the chain and the scheduler. */

import dynamic from "next/dynamic";
import { useSearchParams } from "next/navigation";
import { useState } from "react";
import { useInfo } from "@/components/banners";
import { useDeployment } from "@/components/deployment";
import { useNode } from "@/components/node/node-data";
import { Button, ButtonLink } from "@/components/ui/button";
import { Id } from "@/components/ui/copy";
import { ErrorState, Skeleton } from "@/components/ui/empty";
import { Notice } from "@/components/ui/notice";
import { Card, Page } from "@/components/ui/page";
import { useNow } from "@/components/ui/time";
import { ConnectButton } from "@/components/wallet/wallet-button";
import { isAddress } from "@/lib/address";
import { ApiError } from "@/lib/api";
import { useMessages } from "@/lib/i18n";
import { NATIVE } from "@/lib/money";
import { useWallet } from "@/lib/wallet";
import { CheckStep } from "./check-step";
import { CommandStep } from "./command-step";
import { confirmNode, isConfirmed } from "./confirmed";
import { provideMessages } from "./messages";
import { useApproval, useEnrollment } from "./on-chain";
import { OnlineDone, OnlineStep } from "./online-step";
import { useWaitingNodes } from "./provider-data";
import { StepFrame } from "./step-frame";
import { type Problem, STEPS, type Step, stand } from "./steps";

/** Brings the contract's hashes with it, which nobody needs before this step. */
const EnrollStep = dynamic(() => import("./enroll-step").then((module) => module.EnrollStep), {
  ssr: false,
  loading: () => <Skeleton className="h-52 w-full" />,
});

function showNode(node: string | undefined): void {
  window.history.replaceState(null, "", node ? `?node=${node}` : window.location.pathname);
}

export function ProvidePage() {
  const m = useMessages(provideMessages);
  const deployment = useDeployment();
  return (
    <Page
      title={m("title")}
      lead={m("lead")}
      width="narrow"
      actions={<ButtonLink href="/provide/dashboard/">{m("dashboard")}</ButtonLink>}
    >
      {deployment.state === "failed" ? (
        <ErrorState error={deployment.error} onRetry={deployment.retry} />
      ) : (
        <Card>
          <Steps />
        </Card>
      )}
    </Page>
  );
}

/** Everything that is known about the node in the page's address. */
function useStand() {
  const linked = useSearchParams().get("node") ?? "";
  const node = isAddress(linked) ? linked : undefined;
  const walletState = useWallet();
  const wallet = walletState.status === "connected" ? walletState.address : undefined;
  const now = useNow(5000);
  const [, setConfirmations] = useState(0);
  const info = useInfo();
  const consent = useWaitingNodes({ node });
  const enrollment = useEnrollment(node);
  const seen = useNode(node);
  const waiting = consent.data && (consent.data[0] ?? null);
  const isUnseen = seen.error instanceof ApiError && seen.error.code === "not_found";
  const view = seen.data ?? (isUnseen ? null : undefined);
  const token = view?.offer.token ?? waiting?.offer.token ?? NATIVE;
  const approval = useApproval(wallet, info.data?.scheduler, token);
  const standing = stand({
    wallet,
    node,
    waiting,
    enrollment: enrollment.data,
    approval: approval.data,
    view,
    isConfirmed: node !== undefined && isConfirmed(node),
    nowSeconds: now / 1000,
  });
  const confirm = () => {
    if (node) confirmNode(node);
    setConfirmations((count) => count + 1);
  };
  const failure = enrollment.error ?? approval.error ?? consent.error ?? info.error;
  return {
    ...{ node, wallet, waiting, view, token, confirm, failure },
    isStarting: walletState.status === "starting",
    info: info.data,
    enrollment: enrollment.data,
    isApproved: approval.data?.approved ?? false,
    ...standing,
  };
}

function Steps() {
  const m = useMessages(provideMessages);
  const s = useStand();
  const at = s.step === "done" ? STEPS.length : STEPS.indexOf(s.step === "unknown" ? "command" : s.step);
  const frame = (step: Step) => {
    const index = STEPS.indexOf(step);
    const place = index < at ? ("done" as const) : index === at ? ("current" as const) : ("later" as const);
    return { number: index + 1, title: m(`step.${step}`), place, isLast: index === STEPS.length - 1 };
  };
  return (
    <>
      <ol className="flex flex-col">
        <StepFrame {...frame("wallet")} summary={s.wallet && <Id value={s.wallet} label={m("walletIs")} />}>
          <p className="text-ink-soft">{m("why")}</p>
          {s.isStarting ? <Skeleton className="h-9 w-36" /> : <ConnectButton size="md" />}
        </StepFrame>
        <StepFrame {...frame("command")} summary={s.node && <Id value={s.node} label={m("node")} />}>
          {s.problem && <ProblemNotice problem={s.problem} />}
          {s.step === "unknown" ? (
            <Unknown failure={s.failure} />
          ) : (
            s.wallet && <CommandStep wallet={s.wallet} onChoose={showNode} />
          )}
        </StepFrame>
        <StepFrame {...frame("check")} summary={<span className="text-ink-soft">{m("checked")}</span>}>
          {s.problem ? (
            <ProblemNotice problem={s.problem} />
          ) : (
            s.waiting && <CheckStep waiting={s.waiting} onConfirm={s.confirm} />
          )}
        </StepFrame>
        <StepFrame {...frame("enroll")}>
          {s.wallet && s.info ? (
            <EnrollStep
              wallet={s.wallet}
              waiting={s.waiting ?? undefined}
              isEnrolled={Boolean(s.enrollment)}
              isApproved={s.isApproved}
              token={s.token}
              info={s.info}
            />
          ) : (
            <Unknown failure={s.failure} />
          )}
        </StepFrame>
        <StepFrame {...frame("online")}>
          <OnlineStep view={s.view ?? undefined} />
        </StepFrame>
      </ol>
      {s.step === "done" && s.node && (
        <div className="mt-6">
          <OnlineDone
            node={s.node}
            onMore={<Button onClick={() => showNode(undefined)}>{m("more")}</Button>}
          />
        </div>
      )}
    </>
  );
}

function Unknown({ failure }: { failure: unknown }) {
  const m = useMessages(provideMessages);
  if (failure instanceof ApiError) return <ErrorState error={failure} />;
  if (failure) return <Notice tone="bad">{m("chainDown")}</Notice>;
  return (
    <>
      <Skeleton className="h-5 w-2/3" />
      <Skeleton className="h-12 w-full" />
    </>
  );
}

function ProblemNotice({ problem }: { problem: Problem }) {
  const m = useMessages(provideMessages);
  const values = "wallet" in problem ? { wallet: problem.wallet } : undefined;
  return (
    <Notice
      tone="bad"
      live
      action={
        <Button size="sm" onClick={() => showNode(undefined)}>
          {m("another")}
        </Button>
      }
    >
      {m(`problem.${problem.kind}`, values)}
    </Notice>
  );
}
