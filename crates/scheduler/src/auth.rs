//! Sign-In with Ethereum (EIP-4361): nonces, messages, and the opaque tokens that a login yields.
//!
//! A nonce carries its own expiry and a keyed hash, so that handing one out stores nothing; only nonces that were used are
//! remembered, until they expire. Tokens are random, and only their sha-256 is stored.

use alloy::primitives::Signature;
use gristmill_protocol::Address;
use gristmill_protocol::login::domain_of;
use gristmill_protocol::time::Timestamp;
use rand::Rng;
use sha2::{Digest, Sha256};
use signinwithethereum::Message;

use crate::store::TokenHash;

/// How long a nonce, and the message that holds it, is good for.
pub const NONCE_MS: u64 = 10 * 60_000;
/// How far the signer's clock may be ahead of ours.
const SKEW_MS: u64 = 2 * 60_000;
/// Bytes of a message. Ours has about 350.
pub const MESSAGE_BYTES_MAX: usize = 4096;
/// What a token starts with, so that a leaked one is recognised for what it is.
const TOKEN_PREFIX: &str = "gristmill_";

/// What a login must be meant for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// This scheduler's address, without a trailing slash.
    pub public_url: &'a str,
    pub chain_id: u64,
    pub nonce_key: &'a [u8; 32],
    pub now: Timestamp,
}

/// Who has signed in. The nonce is still to be used up, in the commit that stores the session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    pub address: Address,
    pub nonce: String,
    pub nonce_expires_at: Timestamp,
}

/// Why a login is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoginError {
    #[error("the message is not of the form of EIP-4361: {0}")]
    Malformed(String),
    #[error("the message is for {found}; this scheduler is {expected}: sign in there")]
    WrongDomain { found: String, expected: String },
    #[error("the message is for the chain {found}; this scheduler works on {expected}")]
    WrongChain { found: u64, expected: u64 },
    #[error("the nonce is not one of ours, or has expired: ask for another one")]
    UnknownNonce,
    #[error("the nonce was used before: ask for another one")]
    UsedNonce,
    #[error(
        "the message was issued at another time than now, or has expired: check the clock of this machine"
    )]
    WrongTime,
    #[error("the signature must be 65 bytes: 0x and 130 hexadecimal digits")]
    MalformedSignature,
    #[error("the signature is not by {0}; wallets that are contracts cannot sign in yet")]
    WrongSigner(Address),
}

/// A nonce that is good until `now` + [`NONCE_MS`].
#[must_use]
pub fn new_nonce(key: &[u8; 32], now: Timestamp) -> (String, Timestamp) {
    let expires_at = now.plus_millis(NONCE_MS);
    let random: [u8; 8] = rand::rng().random();
    let mut nonce = [0; 32];
    nonce[..8].copy_from_slice(&random);
    nonce[8..16].copy_from_slice(&expires_at.0.to_be_bytes());
    let seal = seal(key, &nonce[..16]);
    nonce[16..].copy_from_slice(&seal);
    (hex::encode(nonce), expires_at)
}

/// When a nonce of ours expires; nothing for any other text.
fn nonce_expiry(key: &[u8; 32], nonce: &str) -> Option<Timestamp> {
    let nonce: [u8; 32] = hex::decode(nonce).ok()?.try_into().ok()?;
    let same = seal(key, &nonce[..16])
        .iter()
        .zip(&nonce[16..])
        .fold(0, |difference, (a, b)| difference | (a ^ b));
    let expires_at = u64::from_be_bytes(nonce[8..16].try_into().expect("a slice of 8 bytes"));
    (same == 0).then_some(Timestamp(expires_at))
}

/// A keyed hash. What it hashes has one length, and the outer hash hides the state of the inner one.
fn seal(key: &[u8; 32], text: &[u8]) -> [u8; 16] {
    let inner = Sha256::new().chain_update(key).chain_update(text).finalize();
    let outer: [u8; 32] = Sha256::new().chain_update(key).chain_update(inner).finalize().into();
    let (head, _) = outer.split_at(16);
    head.try_into().expect("the head has 16 bytes")
}

/// Checks a signed message, all but whether its nonce was used before.
pub fn verify(text: &str, signature: &str, expected: Expected<'_>) -> Result<Verified, LoginError> {
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(LoginError::Malformed(format!("it is longer than {MESSAGE_BYTES_MAX} bytes")));
    }
    let message: Message =
        text.parse().map_err(|error| LoginError::Malformed(format!("{error}")))?;
    let domain = domain_of(expected.public_url);
    let uri = message.uri.as_str().trim_end_matches('/');
    if message.domain.as_str() != domain || uri != expected.public_url {
        let found = format!("{} ({uri})", message.domain);
        return Err(LoginError::WrongDomain { found, expected: expected.public_url.to_owned() });
    }
    if message.chain_id != expected.chain_id {
        return Err(LoginError::WrongChain {
            found: message.chain_id,
            expected: expected.chain_id,
        });
    }
    let nonce_expires_at =
        nonce_expiry(expected.nonce_key, &message.nonce).ok_or(LoginError::UnknownNonce)?;
    if nonce_expires_at <= expected.now {
        return Err(LoginError::UnknownNonce);
    }
    let now_ms = i128::from(expected.now.0);
    let millis =
        |stamp: &signinwithethereum::TimeStamp| stamp.as_ref().unix_timestamp_nanos() / 1_000_000;
    let issued_ms = millis(&message.issued_at);
    let current =
        issued_ms >= now_ms - i128::from(NONCE_MS) && issued_ms <= now_ms + i128::from(SKEW_MS);
    let expired = message.expiration_time.as_ref().is_some_and(|at| millis(at) <= now_ms);
    let early =
        message.not_before.as_ref().is_some_and(|at| millis(at) > now_ms + i128::from(SKEW_MS));
    if !current || expired || early {
        return Err(LoginError::WrongTime);
    }
    let address = Address::from(message.address);
    let bytes: Option<[u8; 65]> = signature
        .strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or(LoginError::MalformedSignature)?;
    // Over the bytes as they came, so that no difference in how a message is read and written can matter.
    let signer =
        Signature::try_from(&bytes[..]).ok().and_then(|it| it.recover_address_from_msg(text).ok());
    if signer != Some(address) {
        return Err(LoginError::WrongSigner(address));
    }
    Ok(Verified { address, nonce: message.nonce, nonce_expires_at })
}

/// A token that nobody can guess.
#[must_use]
pub fn new_token() -> String {
    let random: [u8; 32] = rand::rng().random();
    format!("{TOKEN_PREFIX}{}", hex::encode(random))
}

/// What is stored of a token.
#[must_use]
pub fn token_hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;
    use gristmill_protocol::login;

    const KEY: [u8; 32] = [7; 32];
    const URL: &str = "http://127.0.0.1:8080";
    /// 2026-11-24T08:00:00Z
    const NOW: Timestamp = Timestamp(1_795_507_200_000);

    fn expected() -> Expected<'static> {
        Expected { public_url: URL, chain_id: 4439, nonce_key: &KEY, now: NOW }
    }

    fn sign(signer: &PrivateKeySigner, text: &str) -> String {
        format!("0x{}", hex::encode(signer.sign_message_sync(text.as_bytes()).unwrap().as_bytes()))
    }

    #[test]
    fn only_a_fresh_message_for_this_scheduler_by_its_signer_is_accepted() {
        let signer = PrivateKeySigner::random();
        let other = PrivateKeySigner::random();
        let (nonce, _) = new_nonce(&KEY, NOW);
        let (foreign, _) = new_nonce(&[8; 32], NOW);
        let (expired, _) = new_nonce(&KEY, Timestamp(NOW.0 - NONCE_MS));
        let issued = "2026-11-24T08:00:00Z";
        let write = |url: &str, chain, nonce: &str, issued: &str| {
            login::message(url, signer.address(), chain, nonce, issued)
        };
        let good = write(URL, 4439, &nonce, issued);
        let verified = verify(&good, &sign(&signer, &good), expected()).unwrap();
        assert_eq!((verified.address, verified.nonce.as_str()), (signer.address(), nonce.as_str()));

        type Check = fn(&LoginError) -> bool;
        let refused: &[(String, Check)] = &[
            (write("http://evil.example", 4439, &nonce, issued), |e| {
                matches!(e, LoginError::WrongDomain { .. })
            }),
            (good.replacen("URI: http://127", "URI: http://227", 1), |e| {
                matches!(e, LoginError::WrongDomain { .. })
            }),
            (write(URL, 1, &nonce, issued), |e| {
                matches!(e, LoginError::WrongChain { found: 1, expected: 4439 })
            }),
            (write(URL, 4439, "abcdefgh", issued), |e| *e == LoginError::UnknownNonce),
            (write(URL, 4439, &foreign, issued), |e| *e == LoginError::UnknownNonce),
            (write(URL, 4439, &expired, issued), |e| *e == LoginError::UnknownNonce),
            (write(URL, 4439, &nonce, "2026-11-24T07:49:59Z"), |e| *e == LoginError::WrongTime),
            (write(URL, 4439, &nonce, "2026-11-24T08:02:01Z"), |e| *e == LoginError::WrongTime),
            (format!("{good}\nExpiration Time: 2026-11-24T08:00:00Z"), |e| {
                *e == LoginError::WrongTime
            }),
            (format!("{good}\nNot Before: 2026-11-24T09:00:00Z"), |e| *e == LoginError::WrongTime),
            (good.replacen("Version: 1", "Version: 2", 1), |e| {
                matches!(e, LoginError::Malformed(_))
            }),
            ("hello".into(), |e| matches!(e, LoginError::Malformed(_))),
            ("x".repeat(MESSAGE_BYTES_MAX + 1), |e| matches!(e, LoginError::Malformed(_))),
        ];
        for (text, check) in refused {
            let error = verify(text, &sign(&signer, text), expected()).unwrap_err();
            assert!(check(&error), "{text}\n{error}");
        }
        for signature in [sign(&other, &good), sign(&signer, "another text")] {
            assert_eq!(
                verify(&good, &signature, expected()),
                Err(LoginError::WrongSigner(signer.address()))
            );
        }
        for signature in ["", "0x", "0x12", "zz"] {
            assert_eq!(verify(&good, signature, expected()), Err(LoginError::MalformedSignature));
        }
        let zeros = format!("0x{}", "00".repeat(65));
        assert_eq!(
            verify(&good, &zeros, expected()),
            Err(LoginError::WrongSigner(signer.address()))
        );
    }

    #[test]
    fn a_nonce_cannot_be_made_to_last_longer() {
        let (nonce, expires_at) = new_nonce(&KEY, NOW);
        assert_eq!(nonce_expiry(&KEY, &nonce), Some(expires_at));
        let mut bytes = hex::decode(&nonce).unwrap();
        bytes[8] ^= 1;
        assert_eq!(nonce_expiry(&KEY, &hex::encode(bytes)), None);
    }
}
