//! The OpenAPI document says what is on the wire: programs in other languages are generated from it.

use gristmill_protocol::api::{
    AttemptState, EscrowState, EventBody, IntentKind, IntentState, JobEvent, JobState, NodeState,
    Ruling, WebChain, WebCoin, WebConfig,
};
use gristmill_protocol::ids::{AttemptNumber, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::{Limit, Outcome};
use gristmill_protocol::spec::{Network, Runtime, RuntimeKind, Strategy, Verification};
use serde::Serialize;
use serde_json::Value;

use super::*;

struct Document(Value);

impl Document {
    fn read() -> Self {
        Self(serde_json::from_str(&crate::openapi_json()).unwrap())
    }

    fn schema(&self, name: &str) -> &Value {
        let schema = &self.0["components"]["schemas"][name];
        assert!(schema.is_object(), "the document has no schema {name}");
        schema
    }

    #[track_caller]
    fn describes(&self, name: &str, value: &impl Serialize) {
        let json = serde_json::to_value(value).unwrap();
        let found = self.check(self.schema(name), &json, &mut Vec::new(), true);
        assert_eq!(found, Ok(()), "{name} does not describe {json}");
    }

    /// Whether `value` is what `schema` describes. `known` gathers the fields that it names; where `closed`, a value may
    /// have no others, whether the schema forbids them or not.
    fn check<'a>(
        &'a self,
        schema: &'a Value,
        value: &Value,
        known: &mut Vec<&'a str>,
        closed: bool,
    ) -> Result<(), String> {
        if let Some(link) = schema["$ref"].as_str() {
            let name = link.rsplit('/').next().unwrap_or_default();
            return self.check(self.schema(name), value, known, closed);
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let fitting: Vec<_> = choices
                .iter()
                .filter_map(|choice| {
                    let mut fields = Vec::new();
                    self.check(choice, value, &mut fields, closed).ok().map(|()| fields)
                })
                .collect();
            let [fields] = &fitting[..] else {
                return Err(format!("{} choices fit {value}", fitting.len()));
            };
            known.extend(fields);
            return Ok(());
        }
        if let Some(parts) = schema["allOf"].as_array() {
            for part in parts {
                self.check(part, value, known, false)?;
            }
            return only(known, value, closed);
        }
        if let Some(names) = schema["enum"].as_array()
            && !names.contains(value)
        {
            return Err(format!("{value} is none of {names:?}"));
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let kind_or_kinds = &schema["type"];
        let kinds = kind_or_kinds.as_array().cloned().unwrap_or(vec![kind_or_kinds.clone()]);
        if !kinds.contains(&kind.into()) {
            return Err(format!("{value} is none of {kinds:?}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.check(&schema["items"], item, &mut Vec::new(), true)?;
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if value.get(name).is_none() {
                return Err(format!("{value} lacks {name}"));
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            known.push(name);
            if let Some(field) = value.get(name) {
                self.check(schema, field, &mut Vec::new(), true)?;
            }
        }
        only(known, value, closed && schema["additionalProperties"].as_object().is_none())
    }
}

fn only(known: &[&str], value: &Value, closed: bool) -> Result<(), String> {
    let mut names = value.as_object().into_iter().flatten().map(|(name, _)| name);
    match names.find(|name| closed && !known.contains(&name.as_str())) {
        Some(name) => Err(format!("nothing is said of {name}")),
        None => Ok(()),
    }
}

#[test]
fn codes_and_states_are_written_as_on_the_wire() {
    let document = Document::read();
    for code in ErrorCode::ALL {
        document.describes("ErrorCode", code);
        document.describes("Problem", &Problem::new(*code, "why"));
    }
    let codes = document.schema("ErrorCode")["enum"].as_array().unwrap();
    assert_eq!(codes.len(), ErrorCode::ALL.len(), "and no others");
    // The names of a plain enum are all in its schema; one that is written otherwise would be none of them.
    document.describes("JobState", &JobState::CallingIn);
    document.describes("AttemptState", &AttemptState::Abandoned);
    document.describes("EscrowState", &EscrowState::Published);
    document.describes("IntentKind", &IntentKind::OpenAndAssign);
    document.describes("IntentState", &IntentState::Blocked);
    document.describes("NodeState", &NodeState::Draining);
    document.describes("Strategy", &Strategy::BestFit);
    document.describes("RuntimeKind", &RuntimeKind::Docker);
    document.describes("Ruling", &Ruling::Reopen);
    document.describes("Limit", &Limit::RunTime);
}

#[test]
fn what_comes_in_several_forms_is_told_apart_by_its_tag() {
    let document = Document::read();
    for runtime in [
        Runtime::Docker { image: "a/b@sha256:00".into() },
        Runtime::Wasm { module: "bafy".into(), fuel: None },
        Runtime::Wasm { module: "bafy".into(), fuel: Some(1) },
    ] {
        document.describes("Runtime", &runtime);
    }
    document.describes("Network", &Network::None);
    document.describes("Network", &Network::AllowList { hosts: vec!["a.example".into()] });
    for verification in [
        Verification::Receipt,
        Verification::Rerun { percent: 5 },
        Verification::Replicate { k: 2, n: 3 },
        Verification::Approve,
    ] {
        document.describes("Verification", &verification);
    }
    let outcomes = [
        Outcome::Exited { exit_code: -1 },
        Outcome::Limited { limit: Limit::RunTime },
        Outcome::NotStarted { reason: "no image".into() },
        Outcome::OutputRefused { reason: "a link".into() },
    ];
    let attempt = AttemptNumber(1);
    let mut bodies = vec![
        EventBody::Created,
        EventBody::Funded,
        EventBody::Queued { reason: "funded".into() },
        EventBody::CalledIn { attempt },
        EventBody::Accepted { attempt, receipt_hash: ReceiptHash::default() },
        EventBody::Rejected { attempt, reasons: vec!["no output".into()] },
        EventBody::Held { until_ms: NOW },
        EventBody::Forfeited {
            provider: PROVIDER,
            to_submitter: Amount(u128::MAX),
            to_pool: Amount(1),
        },
        EventBody::Ruled { ruling: Ruling::Reopen },
    ];
    for outcome in outcomes {
        document.describes("Outcome", &outcome);
        bodies.push(EventBody::Reported { attempt, outcome, output_cid: "bafy".into() });
    }
    for body in bodies {
        document.describes("EventBody", &body);
        let event = JobEvent { job_id: JobId::default(), version: 1, at_ms: NOW, body };
        document.describes("JobEvent", &event);
    }
    // Each form has its tag, and as a constant: that is what makes a union of it in other languages.
    for (name, tag) in [
        ("Runtime", "kind"),
        ("Network", "mode"),
        ("Verification", "level"),
        ("Outcome", "kind"),
        ("EventBody", "event"),
    ] {
        let mut seen = std::collections::BTreeSet::new();
        for form in document.schema(name)["oneOf"].as_array().unwrap() {
            let names = form["properties"][tag]["enum"].as_array().unwrap();
            assert_eq!(names.len(), 1, "{name}");
            assert!(seen.insert(names[0].as_str().unwrap()), "{name} has {} twice", names[0]);
            assert!(form["required"].as_array().unwrap().contains(&tag.into()), "{name}");
        }
    }
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let document = Document::read();
    let mut terms = samples::terms(samples::SUBMITTER, 1);
    terms.bounty = Amount(u128::MAX);
    document.describes("Terms", &terms);
    let json = serde_json::to_value(terms).unwrap();
    for amount in ["bounty", "fee", "bond", "dispute_bond"] {
        assert!(json[amount].is_string(), "{amount}: a JSON number would lose digits");
    }
    assert_eq!(json["bounty"], u128::MAX.to_string());
    document.describes("JobSpec", &samples::spec().spec);
    document.describes("Offer", &samples::offer());
    let config = |explorer_url| WebConfig {
        scheduler_version: "0".into(),
        chain: WebChain {
            id: 1,
            name: "a".into(),
            coin: WebCoin { symbol: "U2U".into(), decimals: 18 },
        },
        contract: PROVIDER,
        from_block: 1,
        rpc_urls: vec!["https://rpc.example".into()],
        explorer_url,
        development: false,
    };
    document.describes("WebConfig", &config(None));
    document.describes("WebConfig", &config(Some("https://scan.example".into())));

    let mill = Mill::start().await;
    let node = mill.node(&PrivateKeySigner::random()).await;
    let (job, _) = mill.funded_job(&PrivateKeySigner::random(), 1).await;
    document.describes("JobView", &node.job(job).await.unwrap());
    for (path, name) in [
        ("/v1/info".to_owned(), "Info"),
        ("/config.json".to_owned(), "WebConfig"),
        ("/v1/jobs".to_owned(), "Page_JobSummary"),
        ("/v1/nodes".to_owned(), "Page_NodeView"),
        (format!("/v1/jobs/{job}"), "JobView"),
        (format!("/v1/jobs/{job}/explain"), "Explanation"),
        ("/v1/nowhere".to_owned(), "Problem"),
    ] {
        let answer = mill.request("GET", &path, &[], "").await;
        document.describes(name, &serde_json::from_str::<Value>(&answer.body).unwrap());
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = Document::read();
    let mut seen = std::collections::BTreeSet::new();
    let mut operations = 0;
    for (path, item) in document.0["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path}"));
            assert!(seen.insert(id.to_owned()), "{method} {path} is named {id}, as another is");
            operations += 1;
        }
    }
    assert!(operations > 20, "{operations}");
}
