//! Which instructions a chain's EVM knows, found out by running them. The chain's name or version says less: a node may
//! be released long before its fork is switched on.

use std::fmt;

use alloy::providers::Provider;
use alloy::transports::RpcError;
use anyhow::{Result, bail, ensure};
use serde::Serialize;
use serde_json::json;

use super::rpc::Rpc;

/// `RETURN` of nothing: what every EVM can do.
const ALWAYS: &str = "0x60006000f3";
/// `INVALID`: what no EVM does.
const NEVER: &str = "0xfe";

/// What the EVM of a chain knows, newest fork last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Evm {
    /// `BASEFEE`, of London.
    base_fee: bool,
    /// `PUSH0`, of Shanghai.
    push0: bool,
    /// `TLOAD`, of Cancun.
    transient_storage: bool,
    /// `MCOPY`, of Cancun.
    memory_copy: bool,
}

impl Evm {
    /// Asks the chain to run each instruction as a contract's constructor, in a call that changes nothing.
    pub(crate) async fn probe(rpc: &Rpc) -> Result<Self> {
        ensure!(
            runs(rpc, ALWAYS).await? && !runs(rpc, NEVER).await?,
            "{rpc} does not run code in `eth_call`, so what its EVM knows cannot be found out: use another --rpc-url"
        );
        Ok(Self {
            base_fee: runs(rpc, "0x4860006000f3").await?,
            push0: runs(rpc, "0x5f5ff3").await?,
            transient_storage: runs(rpc, "0x600060005c50600060006000f3").await?,
            memory_copy: runs(rpc, "0x6000600060005e60006000f3").await?,
        })
    }

    /// The contract is compiled for London. A newer EVM runs it too.
    pub(crate) fn check(self) -> Result<()> {
        if !self.base_fee {
            bail!(
                "this chain's EVM is older than London (it does not know BASEFEE), and the contract is built for London"
            );
        }
        Ok(())
    }

    pub(crate) fn is_newer(self) -> bool {
        self.push0 || self.transient_storage || self.memory_copy
    }
}

impl fmt::Display for Evm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [self.base_fee, self.push0, self.transient_storage, self.memory_copy];
        let fork = match known {
            [false, false, false, false] => "older than London",
            [true, false, false, false] => "London",
            [true, true, false, false] => "Shanghai",
            [true, true, true, true] => "Cancun or newer",
            _ => "a mixture of forks",
        };
        let word = |known: bool| if known { "yes" } else { "no" };
        write!(
            f,
            "{fork} (BASEFEE {}, PUSH0 {}, TLOAD {}, MCOPY {})",
            word(self.base_fee),
            word(self.push0),
            word(self.transient_storage),
            word(self.memory_copy)
        )
    }
}

/// Whether the chain runs `code` to its end. Only `data` is sent, so that no field can trouble an older endpoint.
async fn runs(rpc: &Rpc, code: &str) -> Result<bool> {
    let call = (json!({"data": code}), "latest");
    match rpc.provider.raw_request::<_, String>("eth_call".into(), call).await {
        Ok(_) => Ok(true),
        Err(RpcError::ErrorResp(_)) => Ok(false),
        Err(error) => Err(rpc.failed("run code", &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_evm_knows_has_a_name() {
        for (known, name, is_old_enough, is_newer) in [
            ([false, false, false, false], "older than London", false, false),
            ([true, false, false, false], "London", true, false),
            ([true, true, false, false], "Shanghai", true, true),
            ([true, true, true, true], "Cancun or newer", true, true),
            ([true, false, true, false], "a mixture", true, true),
            ([false, true, false, false], "a mixture", false, true),
        ] {
            let [base_fee, push0, transient_storage, memory_copy] = known;
            let evm = Evm { base_fee, push0, transient_storage, memory_copy };
            assert!(evm.to_string().starts_with(name), "{evm}");
            assert_eq!((evm.check().is_ok(), evm.is_newer()), (is_old_enough, is_newer), "{evm}");
        }
    }
}
