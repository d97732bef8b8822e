// A wallet for tests that announces itself by EIP-6963. It signs in this process, so that its key never enters a page,
// and it misbehaves as `faults` say.
import { createWalletClient, hexToBigInt, http, numberToHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";

/**
 * Faults, all off at first, may be changed at any time:
 * - `declineConnect`, `declineSign`, `declineTransaction`, `declineSwitch`: the person says no (4001)
 * - `chainId`: the wallet is on another chain; `unknownChain`: it does not know ours (4902)
 * - `hold`: prompts stay open until it is false again; `loseAnswer`: the wallet crashes after it has sent
 */
export async function installWallet(context, { stack, key, faults = {} }) {
  const account = privateKeyToAccount(key);
  const signer = createWalletClient({ account, chain: stack.chain, transport: http(stack.rpc_url) });
  const requests = [];
  let isConnected = false;

  const refuse = (code, message) => ({ error: { code, message } });
  const declined = () => refuse(4001, "User rejected the request.");
  const released = async () => {
    while (faults.hold) await new Promise((resolve) => setTimeout(resolve, 50));
  };

  async function answer(method, params) {
    switch (method) {
      case "eth_accounts":
        return { result: isConnected ? [account.address] : [] };
      case "eth_requestAccounts":
      case "wallet_requestPermissions": {
        if (faults.declineConnect) return declined();
        isConnected = true;
        const permissions = [{ parentCapability: "eth_accounts", caveats: [{ value: [account.address] }] }];
        return { result: method === "eth_requestAccounts" ? [account.address] : permissions };
      }
      case "wallet_revokePermissions":
        isConnected = false;
        return { result: null };
      case "eth_chainId":
        return { result: numberToHex(faults.chainId ?? stack.chain_id) };
      case "wallet_switchEthereumChain":
      case "wallet_addEthereumChain": {
        const isAdding = method === "wallet_addEthereumChain";
        if (faults.declineSwitch) return declined();
        if (faults.unknownChain && !isAdding) return refuse(4902, "Unrecognized chain ID.");
        faults.unknownChain = false;
        faults.chainId = undefined;
        return { result: null, emit: ["chainChanged", params[0].chainId] };
      }
      case "personal_sign":
        await released();
        if (faults.declineSign) return declined();
        return { result: await account.signMessage({ message: { raw: params[0] } }) };
      case "eth_signTypedData_v4": {
        await released();
        if (faults.declineSign) return declined();
        const { EIP712Domain, ...types } = JSON.parse(params[1]).types;
        return { result: await account.signTypedData({ ...JSON.parse(params[1]), types }) };
      }
      case "eth_sendTransaction": {
        await released();
        if (faults.declineTransaction) return declined();
        const { to, data, value, gas } = params[0];
        const hash = await signer.sendTransaction({
          to,
          data,
          value: value ? hexToBigInt(value) : 0n,
          gas: gas ? hexToBigInt(gas) : undefined,
        });
        if (faults.loseAnswer) return refuse(-32603, "Internal error: the wallet crashed.");
        return { result: hash };
      }
      default:
        return { result: await stack.rpc.request({ method, params }) };
    }
  }

  await context.exposeBinding("__testWallet", async (_source, { method, params = [] }) => {
    requests.push({ method, params });
    try {
      return await answer(method, params);
    } catch (error) {
      return refuse(error.code ?? -32603, error.shortMessage ?? error.message);
    }
  });
  await context.addInitScript(() => {
    const listeners = {};
    const emit = (event, value) => {
      for (const listener of listeners[event] ?? []) listener(value);
    };
    const provider = {
      async request({ method, params }) {
        const answered = await globalThis.__testWallet({ method, params });
        if (answered.emit) setTimeout(() => emit(...answered.emit), 0);
        if (answered.error)
          throw Object.assign(new Error(answered.error.message), { code: answered.error.code });
        return answered.result;
      },
      on(event, listener) {
        listeners[event] = [...(listeners[event] ?? []), listener];
        return provider;
      },
      removeListener(event, listener) {
        listeners[event] = (listeners[event] ?? []).filter((other) => other !== listener);
        return provider;
      },
    };
    const info = Object.freeze({
      uuid: "350670db-19fa-4704-a166-e52e178b59d2",
      name: "Test wallet",
      icon: "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>",
      rdns: "example.test-wallet",
    });
    const announce = () =>
      window.dispatchEvent(
        new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }),
      );
    window.addEventListener("eip6963:requestProvider", announce);
    announce();
  });
  const sent = () => requests.filter(({ method }) => method === "eth_sendTransaction").length;
  return { account, address: account.address, faults, requests, sent };
}
