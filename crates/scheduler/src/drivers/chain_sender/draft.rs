//! What is to be signed: fees, limits of gas, and the signature.

use alloy::consensus::{SignableTransaction, TxEip1559};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use gristmill_protocol::Address;
use gristmill_protocol::ids::TxHash;

use crate::drivers::chain_rpc::Fees;
use crate::store::chain::Broadcast;

/// What is to be signed, under a nonce that is not known yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub to: Address,
    pub data: Bytes,
    pub gas_limit: u64,
    pub fees: Fees,
    pub at_block: u64,
    pub filler: bool,
}

/// U2U charges a tenth of the gas that is not used, so limits are tight: an estimate and a twentieth, rounded up.
pub(super) fn with_margin(gas: u64) -> u64 {
    gas.saturating_add(gas.div_ceil(20))
}

/// The fees of a new version: an eighth more than the last one, because pools refuse less, or what the chain asks for now
/// if that is more. Nothing where the ceiling leaves no room for an eighth.
pub(super) fn raise(last: &Broadcast, wanted: Fees, ceiling_wei: u64) -> Option<Fees> {
    let eighth_more = |wei: u64| wei.saturating_add(wei.div_ceil(8));
    let least = eighth_more(last.max_fee_wei);
    if least > ceiling_wei {
        return None;
    }
    let max_wei = least.max(wanted.max_wei).min(ceiling_wei);
    let priority_wei = eighth_more(last.priority_fee_wei).max(wanted.priority_wei).min(max_wei);
    Some(Fees { max_wei, priority_wei })
}

/// Signs a draft. Nothing where the key fails, which a key in memory never does.
pub(super) fn sign(
    draft: &Draft,
    nonce: u64,
    chain_id: u64,
    signer: &PrivateKeySigner,
) -> Option<Broadcast> {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: draft.gas_limit,
        max_fee_per_gas: draft.fees.max_wei.into(),
        max_priority_fee_per_gas: draft.fees.priority_wei.into(),
        to: TxKind::Call(draft.to),
        value: U256::ZERO,
        access_list: Default::default(),
        input: draft.data.clone(),
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).ok()?;
    let signed = tx.into_signed(signature);
    Some(Broadcast {
        hash: TxHash(*signed.hash()),
        raw: signed.encoded_2718(),
        max_fee_wei: draft.fees.max_wei,
        priority_fee_wei: draft.fees.priority_wei,
        at_block: draft.at_block,
        filler: draft.filler,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::consensus::TxEnvelope;
    use alloy::eips::eip2718::Decodable2718;

    fn broadcast(max_fee_wei: u64, priority_fee_wei: u64) -> Broadcast {
        Broadcast {
            hash: TxHash::default(),
            raw: Vec::new(),
            max_fee_wei,
            priority_fee_wei,
            at_block: 0,
            filler: false,
        }
    }

    #[test]
    fn a_limit_is_a_twentieth_above_the_estimate_rounded_up() {
        for (gas, limit) in [(0, 0), (1, 2), (20, 21), (21, 23), (100_000, 105_000)] {
            assert_eq!(with_margin(gas), limit);
        }
    }

    #[test]
    fn fees_rise_by_an_eighth_or_to_what_is_asked_and_never_above_the_ceiling() {
        let fees = |max_wei, priority_wei| Some(Fees { max_wei, priority_wei });
        let asked = Fees { max_wei: 5, priority_wei: 1 };
        assert_eq!(raise(&broadcast(800, 80), asked, 10_000), fees(900, 90));
        assert_eq!(
            raise(&broadcast(801, 81), asked, 10_000),
            fees(902, 92),
            "rounded up, or pools would refuse it"
        );
        let asked = Fees { max_wei: 5_000, priority_wei: 2_000 };
        assert_eq!(raise(&broadcast(800, 80), asked, 10_000), fees(5_000, 2_000));
        assert_eq!(raise(&broadcast(800, 80), asked, 1_000), fees(1_000, 1_000));
        assert_eq!(raise(&broadcast(800, 80), asked, 899), None);
        assert_eq!(raise(&broadcast(u64::MAX, 1), asked, u64::MAX), fees(u64::MAX, 2_000));
    }

    #[test]
    fn what_is_signed_is_what_was_drafted() {
        let signer = PrivateKeySigner::random();
        let draft = Draft {
            to: Address::repeat_byte(7),
            data: vec![1, 2, 3].into(),
            gas_limit: 60_000,
            fees: Fees { max_wei: 9, priority_wei: 2 },
            at_block: 5,
            filler: false,
        };
        let broadcast = sign(&draft, 42, 4439, &signer).unwrap();
        let tx = TxEnvelope::decode_2718(&mut broadcast.raw.as_slice()).unwrap();
        assert_eq!(tx.hash(), &broadcast.hash.0);
        let signed = tx.as_eip1559().unwrap();
        let signer_found =
            signed.signature().recover_address_from_prehash(&signed.signature_hash()).unwrap();
        assert_eq!(signer_found, signer.address());
        let tx = signed.tx();
        assert_eq!((tx.chain_id, tx.nonce, tx.gas_limit), (4439, 42, 60_000));
        assert_eq!((tx.max_fee_per_gas, tx.max_priority_fee_per_gas), (9, 2));
        assert_eq!(tx.input.as_ref(), [1, 2, 3]);
    }
}
