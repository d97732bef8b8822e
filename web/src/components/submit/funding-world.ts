/** The scheduler, the chain and the wallet for a submission. Brings viem with it: load it lazily. */

import { type Address, encodeFunctionData, type Hex, zeroAddress } from "viem";
import { estimateGas, getChainId, getCode, getGasPrice } from "viem/actions";
import * as actions from "wagmi/actions";
import { jobMarketAbi } from "@/generated/job-market";
import { api, body } from "@/lib/api";
import type { ChainClient } from "@/lib/chain";
import { storedJob, transact } from "@/lib/escrow";
import { type FundingWorld, StopError } from "@/lib/funding-state";
import { ensureSession } from "@/lib/session";
import { canonicalSpec, specHash } from "@/lib/spec";
import { Submissions } from "@/lib/submission";
import { type Terms, toWire } from "@/lib/terms";
import { chain } from "@/lib/wallet";
import { type Upload, uploadAll } from "./uploads";

/** How long a chain may be without a new block until it is asked all the same. */
const BLOCK_MS_MAX = 12_000;
const LOOK_MS = 500;

export async function fundingWorld(
  submitter: Address,
  uploads: readonly Upload[] = [],
): Promise<FundingWorld> {
  const client = await chain();
  const { contract } = client.deployment;
  const rpc = () => client.wagmi.getClient({ chainId: client.chainId });
  return {
    submitter,
    domain: { chainId: client.chainId, contract },
    records: new Submissions(),
    info: () => body(api.GET("/v1/info")),
    signIn: () => ensureSession(submitter),
    async upload(_, onShare) {
      const missing = await uploadAll(uploads, onShare);
      if (missing !== undefined) throw new StopError("uploadMissing", missing);
    },
    async storeSpec(spec) {
      const path = { hash: specHash(spec) };
      // The canonical form, so that the scheduler hashes what was hashed here.
      const stored = api.PUT("/v1/specs/{hash}", { params: { path }, body: JSON.parse(canonicalSpec(spec)) });
      return (await body(stored)).spec_hash;
    },
    async announce(terms) {
      await body(api.POST("/v1/jobs", { body: { terms: toWire(terms) } }));
    },
    async blockTime() {
      return Number(await client.now());
    },
    clock: () => Math.floor(Date.now() / 1000),
    async isDeployed() {
      const [chainId, code] = await Promise.all([getChainId(rpc()), getCode(rpc(), { address: contract })]);
      return chainId === client.chainId && code !== undefined && code !== "0x";
    },
    balance: () => client.balance(submitter),
    async estimate(terms) {
      const value = coinsWith(terms);
      const call = {
        address: contract,
        abi: jobMarketAbi,
        chainId: client.chainId,
        account: submitter,
      } as const;
      const open = { functionName: "open", args: [terms], value } as const;
      await actions.simulateContract(client.wagmi, { ...call, ...open } as never);
      const data = encodeFunctionData({ abi: jobMarketAbi, ...open });
      const [gas, price] = await Promise.all([
        estimateGas(rpc(), { account: submitter, to: contract, data, value }),
        getGasPrice(rpc()),
      ]);
      return { gas, gasPrice: price };
    },
    async escrowState(id) {
      return (await storedJob(client, id)).state;
    },
    open: (terms, onProgress) =>
      transact(
        client,
        submitter,
        { functionName: "open", args: [terms], value: coinsWith(terms) },
        onProgress,
      ),
    explain: (error) => client.explain(error),
    nextBlock: (signal) => nextBlock(client, signal),
    salt() {
      const bytes = crypto.getRandomValues(new Uint8Array(32));
      return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}` as Hex;
    },
  };
}

export async function gasPrice(): Promise<bigint> {
  const client = await chain();
  return getGasPrice(client.wagmi.getClient({ chainId: client.chainId }));
}

function coinsWith({ token, bounty }: Terms): bigint {
  return token === zeroAddress ? bounty : 0n;
}

async function nextBlock(client: ChainClient, signal: AbortSignal): Promise<void> {
  const end = Date.now() + BLOCK_MS_MAX;
  const number = () => client.blockNumber().catch(() => undefined);
  const first = await number();
  while (!signal.aborted && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const now = await number();
    if (now !== undefined && now !== first) return;
  }
}
