"use client";
/** Links into the chain's explorer, where the deployment has one. */

import { useConfig } from "./deployment";
import { Id } from "./ui/copy";

export function useExplorer(): (
  kind: "tx" | "address" | "block",
  value: string | number,
) => string | undefined {
  const config = useConfig();
  return (kind, value) =>
    config?.explorer_url ? `${config.explorer_url.replace(/\/$/, "")}/${kind}/${value}` : undefined;
}

export function AddressId({ value, label }: { value: string; label?: string }) {
  const explorer = useExplorer();
  return <Id value={value} href={explorer("address", value)} {...(label ? { label } : {})} />;
}

export function TxId({ value, label }: { value: string; label?: string }) {
  const explorer = useExplorer();
  return <Id value={value} href={explorer("tx", value)} {...(label ? { label } : {})} />;
}
