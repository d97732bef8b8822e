//! Signing in: once per message, for this scheduler, and until it ends.

use gristmill_protocol::api::{LoginRequest, Nonce};
use gristmill_protocol::login;

use super::*;

#[tokio::test]
async fn a_login_message_works_once() {
    let mill = Mill::start().await;
    let signer = PrivateKeySigner::random();
    let nonce = mill.request("POST", "/v1/auth/nonce", &[], "").await;
    let nonce: Nonce = serde_json::from_str(&nonce.body).unwrap();
    let message = login::message(&mill.url, signer.address(), 4439, &nonce.nonce, ISSUED_AT);
    let signature = format!("0x{}", hex::encode(sign(&signer, &message).unwrap()));
    let body = serde_json::to_string(&LoginRequest { message, signature }).unwrap();
    let login =
        || mill.request("POST", "/v1/auth/login", &["content-type: application/json"], &body);
    assert_eq!(login().await.status, 200);
    let replayed = login().await.problem();
    assert_eq!(replayed.code, ErrorCode::InvalidLogin);
    assert!(replayed.detail.contains("used before"), "{}", replayed.detail);
}

#[tokio::test]
async fn of_many_who_send_the_same_message_at_once_one_gets_in() {
    let mill = Mill::start().await;
    let signer = PrivateKeySigner::random();
    let nonce = mill.request("POST", "/v1/auth/nonce", &[], "").await;
    let nonce: Nonce = serde_json::from_str(&nonce.body).unwrap();
    let message = login::message(&mill.url, signer.address(), 4439, &nonce.nonce, ISSUED_AT);
    let signature = format!("0x{}", hex::encode(sign(&signer, &message).unwrap()));
    let body = serde_json::to_string(&LoginRequest { message, signature }).unwrap();
    let login =
        || mill.request("POST", "/v1/auth/login", &["content-type: application/json"], &body);
    let answers = tokio::join!(login(), login(), login(), login());
    let statuses = [answers.0.status, answers.1.status, answers.2.status, answers.3.status];
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

#[tokio::test]
async fn who_signs_for_another_scheduler_is_told_which_one_this_is() {
    let mill = Mill::start().await;
    let signer = PrivateKeySigner::random();
    let elsewhere = Client::new(&mill.url.replace("127.0.0.1", "localhost")).unwrap();
    let refused = elsewhere
        .sign_in(signer.address(), ISSUED_AT, |text| sign(&signer, text))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::InvalidLogin));
    assert!(refused.to_string().contains(&mill.url), "{refused}");

    let client = mill.client();
    let other = PrivateKeySigner::random();
    let forged = client.sign_in(signer.address(), ISSUED_AT, |text| sign(&other, text)).await;
    assert_eq!(code(forged), Some(ErrorCode::InvalidLogin));
    let wrong_chain = client
        .sign_in(signer.address(), ISSUED_AT, |text| sign(&signer, &text.replace("4439", "39")))
        .await;
    assert_eq!(code(wrong_chain), Some(ErrorCode::InvalidLogin));
}

#[tokio::test]
async fn a_session_ends_by_signing_out_and_by_time() {
    let mill = Mill::start().await;
    let signer = PrivateKeySigner::random();
    let spec = samples::spec().spec;
    let anonymous = mill.client();
    assert_eq!(code(anonymous.put_spec(&spec).await), Some(ErrorCode::Unauthenticated));
    anonymous.set_token(Some("gristmill_00".into()));
    assert_eq!(
        code(anonymous.put_spec(&spec).await),
        Some(ErrorCode::Unauthenticated),
        "an invented token"
    );

    let client = mill.signed_in(&signer).await;
    let other = mill.signed_in(&signer).await;
    let login =
        client.sign_in(signer.address(), ISSUED_AT, |text| sign(&signer, text)).await.unwrap();
    client.put_spec(&spec).await.unwrap();
    client.sign_out().await.unwrap();
    client.set_token(Some(login.token));
    assert_eq!(
        code(client.put_spec(&spec).await),
        Some(ErrorCode::Unauthenticated),
        "the token is worth nothing now"
    );
    other.put_spec(&spec).await.unwrap();
    mill.clock.advance_ms(mill.app.config.limits.session_seconds * 1000);
    assert_eq!(code(other.put_spec(&spec).await), Some(ErrorCode::Unauthenticated), "expired");
}
