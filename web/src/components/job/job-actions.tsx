"use client";
/** The deeds that the connected wallet can do on a job now. */

import type { JobState } from "@/lib/api";
import { useAddress } from "@/lib/wallet";
import { isOpen, type WayOut, waysOut } from "@/lib/ways-out";
import { CancelButton } from "./cancel-button";
import type { ChainJob } from "./chain-job";
import { WayOutButton } from "./way-out-button";

const CAN_BE_STOPPED: readonly JobState[] = ["funding", "queued", "assigned", "calling_in", "refunding"];

/** `state` is the scheduler's; absent where it is not asked, so that everything goes to the contract alone. */
export function JobActions({ job, state }: { job: ChainJob; state?: JobState }) {
  const address = useAddress();
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
  return (
    <>
      {asksScheduler && isWithTheContract && <CancelButton job={job} />}
      {waysOut(terms, stored, leaseEnd, address)
        .filter(shown)
        .map(({ verb }) => (
          <WayOutButton
            key={verb}
            job={job}
            verb={verb}
            look={verb === "dispute" || verb === "cancel" ? "danger" : "primary"}
          />
        ))}
    </>
  );
}
