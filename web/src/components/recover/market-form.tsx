"use client";
/** Takes an RPC endpoint and a contract by hand, where no server has ever told this browser of its market. */

import { type FormEvent, useState } from "react";
import { Button } from "@/components/ui/button";
import { errorText } from "@/components/ui/empty";
import { Field } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { Card } from "@/components/ui/page";
import { rememberConfig, type WebConfig } from "@/lib/config";
import { useMessages } from "@/lib/i18n";
import { recoverMessages } from "./messages";

async function ask(url: string, method: string, params: unknown[]): Promise<string> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    signal: AbortSignal.timeout(10_000),
  });
  const { result, error } = (await answer.json()) as { result?: string; error?: { message: string } };
  if (typeof result !== "string") throw new Error(error?.message ?? `HTTP ${answer.status}`);
  return result;
}

function isUrl(text: string): boolean {
  try {
    return /^https?:$/.test(new URL(text).protocol);
  } catch {
    return false;
  }
}

type Problems = { rpc?: string; contract?: string; block?: string };

export function MarketForm() {
  const t = useMessages(recoverMessages);
  const [rpc, setRpc] = useState("");
  const [contract, setContract] = useState("");
  const [block, setBlock] = useState("0");
  const [problems, setProblems] = useState<Problems>({});
  const [failure, setFailure] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const take = async (event: FormEvent) => {
    event.preventDefault();
    const found: Problems = {
      ...(isUrl(rpc.trim()) ? {} : { rpc: t("badUrl") }),
      ...(/^0x[0-9a-fA-F]{40}$/.test(contract.trim()) ? {} : { contract: t("badContract") }),
      ...(/^\d{1,12}$/.test(block.trim()) ? {} : { block: t("badBlock") }),
    };
    setProblems(found);
    setFailure(undefined);
    if (Object.keys(found).length > 0) return;
    setBusy(true);
    try {
      const id = Number(await ask(rpc.trim(), "eth_chainId", []));
      const code = await ask(rpc.trim(), "eth_getCode", [contract.trim(), "latest"]);
      if (code === "0x") {
        setProblems({ contract: t("noCode", { chain: id }) });
        return;
      }
      const config: WebConfig = {
        scheduler_version: "",
        chain: { id, name: `chain ${id}`, coin: { symbol: "U2U", decimals: 18 } },
        contract: contract.trim() as WebConfig["contract"],
        from_block: Number(block.trim()),
        rpc_urls: [rpc.trim()],
        explorer_url: null,
        development: false,
      };
      rememberConfig(config);
      // Everything starts from the configuration, so the page starts again with it.
      window.location.reload();
    } catch (error) {
      setFailure(t("noAnswer", { reason: errorText(error) }));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card title={t("noConfig")} className="max-w-2xl">
      <form noValidate onSubmit={(event) => void take(event)} className="flex flex-col gap-4">
        <p className="text-ink-soft">{t("noConfigText")}</p>
        <Field label={t("rpc")} help={t("rpcHelp")} error={problems.rpc}>
          <input
            className="field-box"
            type="url"
            value={rpc}
            onChange={(event) => setRpc(event.target.value)}
          />
        </Field>
        <Field label={t("contract")} help={t("contractHelp")} error={problems.contract}>
          <input
            className="field-box font-mono"
            spellCheck={false}
            value={contract}
            onChange={(event) => setContract(event.target.value)}
          />
        </Field>
        <Field label={t("block")} help={t("blockHelp")} error={problems.block}>
          <input
            className="field-box"
            inputMode="numeric"
            value={block}
            onChange={(event) => setBlock(event.target.value)}
          />
        </Field>
        {failure && (
          <Notice tone="bad" live>
            {failure}
          </Notice>
        )}
        <Button type="submit" look="primary" busy={isBusy} className="self-start">
          {t("connect")}
        </Button>
      </form>
    </Card>
  );
}
