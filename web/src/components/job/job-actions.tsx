"use client";
/** The deeds that the connected wallet can do on a job now. */

import { useState } from "react";
import type { JobState } from "@/lib/api";
import { useAddress } from "@/lib/wallet";
import { isOpen, type Verb, type WayOut, waysOut } from "@/lib/ways-out";
import { CancelButton } from "./cancel-button";
import type { ChainJob } from "./chain-job";
import { WayOutButton } from "./way-out-button";

const CAN_BE_STOPPED: readonly JobState[] = ["funding", "queued", "assigned", "calling_in", "refunding"];

/** `state` is the scheduler's; absent where it is not asked, so that everything goes to the contract alone. */
export function JobActions({ job, state }: { job: ChainJob; state?: JobState }) {
  const address = useAddress();
  // What is being done stays on the page until its dialog is closed, however the job changes meanwhile.
  const [active, setActive] = useState<Verb | "stop">();
  if (!address) return null;
  const { terms, stored, leaseEnd, now } = job;
  const isSubmitter = terms.submitter.toLowerCase() === address.toLowerCase();
  const isOurs = isSubmitter || job.provider.toLowerCase() === address.toLowerCase();
  const asksScheduler =
    isSubmitter && state !== undefined && CAN_BE_STOPPED.includes(state) && stored.state !== "none";
  const isWithTheContract = stored.state === "open" || stored.state === "assigned";
  const shown = (way: WayOut) => {
    if (!isOpen(way, now)) return false;
    if (way.verb === "cancel") return !asksScheduler;
    // Anyone may pay out or refund; it is offered to those whose money it is.
    return way.verb === "rule" || isOurs || way.verb === "dispute";
  };
  const verbs = waysOut(terms, stored, leaseEnd, address)
    .filter(shown)
    .map(({ verb }) => verb);
  if (active && active !== "stop" && !verbs.includes(active)) verbs.push(active);
  const onActive = (what: Verb | "stop") => (isActive: boolean) => setActive(isActive ? what : undefined);
  return (
    <>
      {((asksScheduler && isWithTheContract) || active === "stop") && (
        <CancelButton job={job} onActive={onActive("stop")} />
      )}
      {verbs.map((verb) => (
        <WayOutButton
          key={verb}
          job={job}
          verb={verb}
          look={verb === "dispute" || verb === "cancel" ? "danger" : "primary"}
          onActive={onActive(verb)}
        />
      ))}
    </>
  );
}
