/**
 * The chain of this deployment and the wallets that can sign for it. No list of chains, no third party.
 *
 * This module brings viem and wagmi with it, so pages load it lazily, through `chain()` in `wallet.ts`. What needs more
 * of the chain than is here imports `wagmi/actions` with `chain.wagmi`, in a module that is loaded lazily as well.
 */

import { type Address, type Chain, defineChain, type EIP1193Provider, type Hex } from "viem";
import { type Config, createConfig, createConnector, fallback, http } from "wagmi";
import * as actions from "wagmi/actions";
import { explainChainError } from "./chain-error";
import { ownRpc, type WebConfig } from "./config";
import type { WalletState } from "./wallet";

export function rpcUrls(config: WebConfig): string[] {
  const own = ownRpc(config.chain.id);
  return own ? [own, ...config.rpc_urls] : config.rpc_urls;
}

function chainOf(config: WebConfig): Chain {
  const { id, name, coin } = config.chain;
  return defineChain({
    id,
    name,
    nativeCurrency: { name: coin.symbol, symbol: coin.symbol, decimals: coin.decimals },
    rpcUrls: { default: { http: rpcUrls(config) } },
    blockExplorers: config.explorer_url
      ? { default: { name: "Explorer", url: config.explorer_url } }
      : undefined,
  });
}

/** The accounts of `make up`, in the order of the chain's well-known mnemonic. The chain itself signs for them. */
const DEVELOPMENT_ACCOUNTS = [
  { id: "submitter", name: "Alice, a submitter", index: 1 },
  { id: "provider", name: "Axel, a provider", index: 3 },
  { id: "newcomer", name: "A newcomer with coins", index: 7 },
] as const;

/** A wallet of a development chain: the chain holds the keys, so that nobody has to install anything. */
function developmentWallet(rpcUrl: string, account: (typeof DEVELOPMENT_ACCOUNTS)[number]) {
  const connected = `gristmill:development:${account.id}`;
  return createConnector<EIP1193Provider>((config) => {
    const chainId = config.chains[0].id;
    const request = async ({ method, params }: { method: string; params?: unknown }): Promise<unknown> => {
      if (method === "eth_accounts" || method === "eth_requestAccounts") {
        const accounts = (await send("eth_accounts", [])) as string[];
        return accounts.slice(account.index, account.index + 1);
      }
      return send(method, params ?? []);
    };
    async function send(method: string, params: unknown): Promise<unknown> {
      const answer = await fetch(rpcUrl, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
      });
      const { result, error } = await answer.json();
      if (error) throw Object.assign(new Error(error.message), { code: error.code, data: error.data });
      return result;
    }
    const provider = { request, on: () => {}, removeListener: () => {} } as unknown as EIP1193Provider;
    return {
      id: `development-${account.id}`,
      name: account.name,
      type: "development",
      connect: (async () => {
        const accounts = (await request({ method: "eth_accounts" })) as `0x${string}`[];
        localStorage.setItem(connected, "1");
        return { accounts, chainId };
      }) as never,
      async disconnect() {
        localStorage.removeItem(connected);
      },
      getAccounts: async () => (await request({ method: "eth_accounts" })) as `0x${string}`[],
      getChainId: async () => chainId,
      getProvider: async () => provider,
      isAuthorized: async () => localStorage.getItem(connected) === "1",
      onAccountsChanged: () => {},
      onChainChanged: () => {},
      onDisconnect: () => {},
    };
  });
}

function isLoopback(url: string): boolean {
  try {
    return ["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname);
  } catch {
    return false;
  }
}

/** Development wallets are offered only where the server calls itself a development stack and its chain is on loopback. */
function developmentRpc(config: WebConfig): string | undefined {
  const [url] = config.rpc_urls;
  return config.development && url && isLoopback(url) ? url : undefined;
}

function wagmiConfig(config: WebConfig): Config {
  const chain = chainOf(config);
  const development = developmentRpc(config);
  return createConfig({
    chains: [chain],
    connectors: development
      ? DEVELOPMENT_ACCOUNTS.map((account) => developmentWallet(development, account))
      : [],
    multiInjectedProviderDiscovery: true,
    transports: { [chain.id]: fallback(rpcUrls(config).map((url) => http(url, { retryCount: 1 }))) },
    pollingInterval: config.development ? 500 : 2000,
  });
}

/** A wallet that can be chosen. */
export type WalletChoice = { uid: string; name: string; isDevelopment: boolean; icon?: string };

export class ChainClient {
  readonly wagmi: Config;

  constructor(
    readonly deployment: WebConfig,
    publish: (state: WalletState) => void,
  ) {
    this.wagmi = wagmiConfig(deployment);
    const tell = () => publish(this.state());
    actions.watchConnection(this.wagmi, { onChange: tell });
    void actions.reconnect(this.wagmi).finally(tell);
  }

  private state(): WalletState {
    const { address, chainId, connector, status } = actions.getConnection(this.wagmi);
    if (!address) return { status: status === "reconnecting" ? "starting" : "none" };
    return { status: "connected", address, chainId, name: connector?.name ?? "" };
  }

  get chainId(): number {
    return this.deployment.chain.id;
  }

  /** Wallets announce themselves at any time, so ask when the list is shown, and again when `onChange` is called. */
  wallets(): WalletChoice[] {
    return this.wagmi.connectors.map(({ uid, name, type, icon }) => ({
      uid,
      name,
      isDevelopment: type === "development",
      ...(icon === undefined ? {} : { icon }),
    }));
  }

  onWalletsChange(onChange: () => void): () => void {
    return actions.watchConnectors(this.wagmi, { onChange });
  }

  async connect(uid: string): Promise<void> {
    const connector = this.wagmi.connectors.find((candidate) => candidate.uid === uid);
    if (!connector) throw new Error("this wallet is gone");
    await actions.connect(this.wagmi, { connector });
  }

  async disconnect(): Promise<void> {
    await actions.disconnect(this.wagmi);
  }

  /** Brings the wallet to this deployment's chain, adding it where the wallet does not know it. */
  async switchChain(): Promise<void> {
    await actions.switchChain(this.wagmi, { chainId: this.chainId });
  }

  async signMessage(message: string): Promise<Hex> {
    return actions.signMessage(this.wagmi, { message });
  }

  async balance(address: Address): Promise<bigint> {
    return (await actions.getBalance(this.wagmi, { address, chainId: this.chainId })).value;
  }

  async blockNumber(): Promise<bigint> {
    return actions.getBlockNumber(this.wagmi, { chainId: this.chainId, cacheTime: 0 });
  }

  /** Seconds by the newest block's clock, which is the contract's. */
  async now(): Promise<bigint> {
    return (await actions.getBlock(this.wagmi, { chainId: this.chainId })).timestamp;
  }

  explain(error: unknown) {
    return explainChainError(error);
  }
}
