"use client";
/** The RPC endpoint that the pages ask: the market's, or one of the person's own, which is checked before it is saved. */

import { type FormEvent, useState } from "react";
import { firstRpc } from "@/components/status/probes";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Field } from "@/components/ui/field";
import { Notice } from "@/components/ui/notice";
import { Card, Facts } from "@/components/ui/page";
import { ownRpc, setOwnRpc, type WebConfig } from "@/lib/config";
import { useMessages, useT } from "@/lib/i18n";
import { settingsMessages } from "./messages";
import { checkRpc, type RpcVerdict } from "./rpc-check";

type State = "idle" | "checking" | "saved" | "restored" | Exclude<RpcVerdict, { kind: "good" }>;

export function RpcSetting({ config }: { config: WebConfig }) {
  const m = useMessages(settingsMessages);
  const t = useT();
  const chainId = config.chain.id;
  const [own, setOwn] = useState(() => ownRpc(chainId));
  const [text, setText] = useState(own ?? "");
  const [state, setState] = useState<State>("idle");

  const save = async (event: FormEvent) => {
    event.preventDefault();
    setState("checking");
    const verdict = await checkRpc(text, chainId);
    if (verdict.kind !== "good") return setState(verdict);
    setOwnRpc(chainId, verdict.url);
    setOwn(verdict.url);
    setState("saved");
  };
  const restore = () => {
    setOwnRpc(chainId, undefined);
    setOwn(undefined);
    setText("");
    setState("restored");
  };
  const error = (() => {
    if (typeof state === "string") return undefined;
    switch (state.kind) {
      case "invalid":
        return m("rpcInvalid");
      case "blocked":
        return m("rpcBlocked", { origin: state.origin });
      case "unreachable":
        return m("rpcUnreachable", { reason: state.reason });
      case "wrong_chain":
        return m("rpcWrongChain", { found: state.found, wanted: chainId });
    }
  })();

  return (
    <Card title={m("rpc")}>
      <form onSubmit={save} className="flex flex-col gap-4">
        <p className="text-ink-soft">{m("rpcLead")}</p>
        <Facts
          items={[
            [
              m("rpcNow"),
              <span key="now" className="flex flex-wrap items-center gap-2">
                <span className="font-mono text-[13px]">{own ?? firstRpc(config)}</span>
                <Badge tone={own ? "good" : "neutral"}>{m(own ? "rpcOwn" : "rpcDefault")}</Badge>
              </span>,
            ],
          ]}
        />
        <Field label={m("rpcLabel")} help={m("rpcHelp", { chain: chainId })} error={error}>
          <input
            className="field-box font-mono"
            type="url"
            inputMode="url"
            autoComplete="off"
            spellCheck={false}
            placeholder="https://rpc.example.org"
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setState("idle");
            }}
          />
        </Field>
        <div className="flex flex-wrap gap-2">
          <Button type="submit" look="primary" busy={state === "checking"} disabled={text.trim() === ""}>
            {m("rpcSave")}
          </Button>
          {own && <Button onClick={restore}>{m("rpcBack")}</Button>}
        </div>
        <div aria-live="polite">
          {(state === "saved" || state === "restored") && (
            <Notice
              tone="good"
              action={
                <Button size="sm" onClick={() => window.location.reload()}>
                  {t("action.reload")}
                </Button>
              }
            >
              {m(state === "saved" ? "rpcSaved" : "rpcRestored")}
            </Notice>
          )}
        </div>
      </form>
    </Card>
  );
}
