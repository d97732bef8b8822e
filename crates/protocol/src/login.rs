//! The Sign-In with Ethereum message (EIP-4361) that wallets and nodes sign.

use alloy_primitives::Address;

/// What a person reads in the wallet before signing.
pub const STATEMENT: &str = "Sign in to Gristmill. This costs nothing and moves no money.";

/// Writes the message for `uri`, the scheduler's address, such as `http://127.0.0.1:8080`. `issued_at` is RFC 3339.
#[must_use]
pub fn message(uri: &str, address: Address, chain_id: u64, nonce: &str, issued_at: &str) -> String {
    let domain = domain_of(uri);
    format!(
        "{domain} wants you to sign in with your Ethereum account:\n{}\n\n{STATEMENT}\n\nURI: {uri}\nVersion: 1\nChain ID: {chain_id}\nNonce: {nonce}\nIssued At: {issued_at}",
        address.to_checksum(None),
    )
}

/// Host and port of a URI: the `domain` that the message must name.
#[must_use]
pub fn domain_of(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_form_of_eip_4361() {
        let text = message(
            "http://127.0.0.1:8080/",
            Address::ZERO,
            4439,
            "abcdefgh",
            "2026-11-24T08:00:00Z",
        );
        insta::assert_snapshot!(text, @r"
        127.0.0.1:8080 wants you to sign in with your Ethereum account:
        0x0000000000000000000000000000000000000000

        Sign in to Gristmill. This costs nothing and moves no money.

        URI: http://127.0.0.1:8080/
        Version: 1
        Chain ID: 4439
        Nonce: abcdefgh
        Issued At: 2026-11-24T08:00:00Z
        ");
    }
}
