//! A node and a wallet find each other: consents, and who may leave which.

use gristmill_protocol::api::{Consent, WAITING_PER_PROVIDER_MAX};
use gristmill_protocol::signing::Domain;

use super::*;

fn consent(signer: &PrivateKeySigner, provider: Address, expires: u64) -> Consent {
    let node = NodeId(signer.address());
    let signature = sign_message(signer, &Message::Enroll { node, provider, expires });
    Consent { node, provider, expires, signature, offer: samples::offer() }
}

fn soon() -> u64 {
    NOW.unix_seconds() + 600
}

#[tokio::test]
async fn a_consent_is_found_by_its_wallet_until_the_node_is_enrolled() {
    let mill = Mill::start().await;
    let signer = PrivateKeySigner::random();
    let sent = consent(&signer, PROVIDER, soon());
    let nobody = mill.client();
    nobody.put_consent(&sent).await.unwrap();
    let found = nobody.waiting_nodes(PROVIDER).await.unwrap();
    assert_eq!(found.items.len(), 1);
    let waiting = &found.items[0];
    assert_eq!((waiting.node, waiting.signature), (sent.node, sent.signature));
    assert_eq!((waiting.provider, waiting.expires), (PROVIDER, soon()));
    assert_eq!((&waiting.offer, waiting.seen_at_ms), (&sent.offer, NOW));
    assert_eq!(nobody.waiting_nodes(Address::repeat_byte(9)).await.unwrap().items, []);

    let by_node = async |more: &str| {
        let path = format!("/v1/enrollments?node={}{more}", sent.node);
        let answer = mill.request("GET", &path, &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body.contains("\"signature\"")
    };
    assert!(by_node("").await);
    assert!(by_node(&format!("&provider={PROVIDER}")).await);
    assert!(!by_node(&format!("&provider={}", Address::repeat_byte(9))).await);

    mill.enroll(signer.address()).await;
    assert_eq!(nobody.waiting_nodes(PROVIDER).await.unwrap().items, []);
    nobody.put_consent(&sent).await.unwrap();
    assert_eq!(nobody.waiting_nodes(PROVIDER).await.unwrap().items, [], "it waits for nobody");
}

#[tokio::test]
async fn only_what_the_node_has_signed_for_this_contract_is_kept() {
    let mill = Mill::start().await;
    let client = mill.client();
    let signer = PrivateKeySigner::random();
    let good = consent(&signer, PROVIDER, soon());
    let refused = async |consent: Consent| code(client.put_consent(&consent).await);
    let stranger = PrivateKeySigner::random();
    let by_stranger = consent(&stranger, PROVIDER, soon()).signature;
    let elsewhere = Domain { chain_id: 1, ..samples::deployment().domain() };
    let message = Message::Enroll { node: good.node, provider: PROVIDER, expires: soon() };
    let elsewhere = signer.sign_hash_sync(&elsewhere.digest(&message)).unwrap();
    let invalid = Some(ErrorCode::InvalidConsent);
    assert_eq!(refused(Consent { signature: by_stranger, ..good.clone() }).await, invalid);
    let elsewhere = CompactSignature::new(&elsewhere);
    assert_eq!(refused(Consent { signature: elsewhere, ..good.clone() }).await, invalid);
    assert_eq!(refused(Consent { expires: soon() + 1, ..good.clone() }).await, invalid);
    let other = Address::repeat_byte(9);
    assert_eq!(refused(Consent { provider: other, ..good.clone() }).await, invalid);
    assert_eq!(refused(consent(&signer, Address::ZERO, soon())).await, invalid);
    assert_eq!(refused(consent(&signer, PROVIDER, NOW.unix_seconds())).await, invalid);
    let mut offer = samples::offer();
    offer.runtimes.clear();
    assert_eq!(refused(Consent { offer, ..good.clone() }).await, Some(ErrorCode::InvalidOffer));
    assert_eq!(client.waiting_nodes(PROVIDER).await.unwrap().items, [], "nothing of it is kept");
    client.put_consent(&good).await.unwrap();
    // Nothing to look for is a question too many answers fit.
    let answer = mill.request("GET", "/v1/enrollments", &[], "").await;
    assert_eq!(answer.problem().code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn one_wallet_is_not_flooded() {
    let mill = Mill::start().await;
    let client = mill.client();
    for _ in 0..WAITING_PER_PROVIDER_MAX {
        client.put_consent(&consent(&PrivateKeySigner::random(), PROVIDER, soon())).await.unwrap();
    }
    let late = consent(&PrivateKeySigner::random(), PROVIDER, soon());
    let refused = client.put_consent(&late).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::TooManyWaiting));
    assert!(refused.to_string().contains("gristmill-node enroll-message"), "{refused}");
    mill.clock.advance_ms(601_000);
    assert_eq!(client.waiting_nodes(PROVIDER).await.unwrap().items, []);
    let later = NOW.unix_seconds() + 1200;
    client.put_consent(&consent(&PrivateKeySigner::random(), PROVIDER, later)).await.unwrap();
}
