/** What people read when the wallet, the endpoint or the contract says no. */

import { BaseError, ContractFunctionRevertedError, encodeErrorResult, UserRejectedRequestError } from "viem";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { jobMarketAbi } from "@/generated/job-market";
import { explainChainError } from "./chain-error";

const id = `0x${"1".repeat(64)}` as const;
const data = encodeErrorResult({ abi: jobMarketAbi, errorName: "WrongState", args: [id, 1] });

const inLanguage = (lang: string) => vi.stubGlobal("document", { documentElement: { lang } });

describe("errors of the chain", () => {
  beforeEach(() => inLanguage("en"));

  it("are told from a person who declines", () => {
    const declined = new BaseError("outer", { cause: new UserRejectedRequestError(new Error("no")) });
    expect(explainChainError(declined)).toMatchObject({ kind: "declined" });
    expect(explainChainError({ code: 4001 })).toMatchObject({ kind: "declined" });
  });

  it("are named, as data or as words", () => {
    const revert = new ContractFunctionRevertedError({ abi: jobMarketAbi, data, functionName: "open" });
    const words = `execution reverted: custom error ${data.slice(0, 10)}: ${data.slice(10)}`;
    const inWords = new BaseError("The wallet failed.", { details: words });
    for (const error of [new BaseError("outer", { cause: revert }), inWords]) {
      expect(explainChainError(error)).toMatchObject({
        kind: "reverted",
        name: "WrongState",
        text: "The job has moved on: look at its state and try again.",
      });
    }
  });

  it("are said in the language of the page", () => {
    inLanguage("vi");
    expect(explainChainError({ code: 4001 }).text).toBe("Bạn đã từ chối trong ví. Không có gì được gửi.");
  });

  it("stay unknown where they are, with their own words", () => {
    const strange = new BaseError("The wallet failed.", { details: "custom error 0xdeadbeef: 00" });
    expect(explainChainError(strange)).toEqual({ kind: "unknown", text: "The wallet failed." });
    expect(explainChainError(new Error("odd"))).toEqual({ kind: "unknown", text: "odd" });
  });
});
