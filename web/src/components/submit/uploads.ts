/** What was dropped on this page, packed, until it is uploaded; and the upload itself, which says how far it is. */

import { ApiError, authorization, refusal, type Schemas } from "@/lib/api";
import { API_URL } from "@/lib/config";
import type { Packed } from "./pack/car";

const packed = new Map<string, Packed>();
const stored = new Set<string>();

/** Keeps what was packed for the upload. It holds slices of the files, not their bytes. */
export function keepPacked(content: Packed): void {
  packed.set(content.cid, content);
}

/** Something that was dropped and must be with the scheduler before the job is paid. */
export type Upload = { cid: string; name: string };

/** Brings uploads to the scheduler, those that it has left out. Answers the name of one that must be dropped again. */
export async function uploadAll(
  uploads: readonly Upload[],
  onShare: (share: number) => void,
): Promise<string | undefined> {
  const wanted = uploads.filter(({ cid }) => !stored.has(cid));
  const total = wanted.reduce((sum, { cid }) => sum + (packed.get(cid)?.car.size ?? 0), 0);
  let before = 0;
  for (const { cid, name } of wanted) {
    const content = packed.get(cid);
    if (content) {
      await send(content, (bytes) => onShare((before + bytes) / total));
      before += content.car.size;
    } else if (!(await isStored(cid))) return name;
    stored.add(cid);
  }
  onShare(1);
  return undefined;
}

async function isStored(cid: string): Promise<boolean> {
  try {
    return (await fetch(`${API_URL}/ipfs/${cid}?format=raw`, { method: "HEAD" })).ok;
  } catch {
    throw unreachable();
  }
}

function unreachable(): ApiError {
  return new ApiError("unreachable", "Unreachable", "The scheduler cannot be reached.", 0);
}

/** `fetch` cannot say how much of an upload is done; this older way can. */
function send({ car, cid }: Packed, onBytes: (bytes: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${API_URL}/v1/content`);
    request.setRequestHeader("content-type", "application/vnd.ipld.car");
    const header = authorization();
    if (header) request.setRequestHeader("authorization", header);
    request.upload.onprogress = ({ loaded }) => onBytes(loaded);
    request.onerror = () => reject(unreachable());
    request.onload = () => {
      const { status, responseText, statusText } = request;
      if (status < 200 || status > 299) {
        void refusal(new Response(responseText, { status, statusText })).then(reject);
        return;
      }
      const { roots } = JSON.parse(responseText) as Schemas["ContentStored"];
      if (roots.includes(cid)) resolve();
      else
        reject(new ApiError("internal", "Internal", `The scheduler stored another root than ${cid}.`, 500));
    };
    request.send(car);
  });
}
