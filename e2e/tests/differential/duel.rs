//! Lets model and contract live through the same history, and compares them after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use alloy::primitives::{Bytes, LogData, U256, keccak256};
use alloy::sol_types::{SolCall, SolEventInterface, SolInterface, SolValue};
use anyhow::Result;
use gristmill_protocol::Address;
use gristmill_protocol::contracts::JobMarket::{JobMarketCalls, JobMarketErrors, JobMarketEvents};
use gristmill_protocol::contracts::{IJobMarket, JobMarket, erc20::Erc20};
use gristmill_protocol::ids::JobId;
use gristmill_sim::model::{Call, Contract, Event, Flaw, Revert};

use crate::anvil::{Anvil, START};
use crate::author::{self, Act, Step};
use crate::view::{self, View};
use crate::wire;

/// How long a history is made shorter.
const SHRINK_LIMIT: Duration = Duration::from_secs(60);

/// What happened in all histories: how often each verb succeeded, each error was given, each event was emitted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) steps: usize,
    pub(crate) verbs: BTreeMap<&'static str, u64>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) events: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn count(&mut self, step: &Step, outcome: &Result<Vec<Event>, Revert>) {
        self.steps += 1;
        let mut refused = |revert: &Revert| {
            let selector = wire::revert_data(revert).first_chunk().copied();
            if let Some(name) = selector.and_then(JobMarketErrors::name_by_selector) {
                *self.errors.entry(name).or_default() += 1;
            }
        };
        match outcome {
            Err(revert) => refused(revert),
            Ok(events) => {
                for event in events {
                    if let Event::Skipped { reason, .. } = event {
                        refused(reason);
                    }
                    let topic = wire::log(event).topics()[0];
                    if let Some(name) = JobMarketEvents::name_by_selector(topic.0) {
                        *self.events.entry(name).or_default() += 1;
                    }
                }
                let (Act::Call { call, .. } | Act::CallWithBadPermit { call, .. }) = &step.act
                else {
                    return;
                };
                let data = wire::calldata(call, no_permit());
                let selector = data.first_chunk().copied();
                if let Some(name) = selector.and_then(JobMarketCalls::name_by_selector) {
                    *self.verbs.entry(name).or_default() += 1;
                }
            }
        }
    }
}

/// One history, lived through by both.
struct Duel<'a> {
    anvil: &'a Anvil,
    model: Contract,
    /// Permits that a token has taken of an owner: the next one's nonce.
    permits: BTreeMap<(Address, Address), u64>,
    views: Vec<View>,
    questions: Vec<u8>,
    known: BTreeSet<JobId>,
}

/// Where model and contract differ.
pub(crate) struct Difference {
    pub(crate) step: usize,
    pub(crate) what: String,
}

/// Lives through `steps` until the two differ.
pub(crate) async fn fight(
    anvil: &mut Anvil,
    steps: &[Step],
    flaw: Option<Flaw>,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    anvil.reset().await?;
    let mut model = anvil.cast.model();
    model.flaw = flaw;
    let views = View::all(&anvil.cast);
    let questions = view::questions(&views, anvil.cast.domain.contract).to_vec();
    let (permits, known) = (BTreeMap::new(), BTreeSet::new());
    let mut duel = Duel { anvil, model, permits, views, questions, known };
    for (index, step) in steps.iter().enumerate() {
        let outcome = author::apply(&mut duel.model, step);
        if let Some(what) = duel.step(step, &outcome).await? {
            return Ok(Some(Difference { step: index, what }));
        }
        tally.count(step, &outcome);
    }
    Ok(None)
}

/// Drops steps for as long as the two still differ: first many at once, in the end one by one.
pub(crate) async fn shrink(anvil: &mut Anvil, mut steps: Vec<Step>) -> Result<Vec<Step>> {
    let end = Instant::now() + SHRINK_LIMIT;
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut first = 0;
        while first < steps.len() && Instant::now() < end {
            let mut fewer = steps.clone();
            fewer.drain(first..(first + size).min(steps.len()));
            match fight(anvil, &fewer, None, &mut Tally::default()).await? {
                Some(difference) => {
                    fewer.truncate(difference.step + 1);
                    steps = fewer;
                }
                None => first += size,
            }
        }
        size /= 2;
    }
    Ok(steps)
}

fn no_permit() -> IJobMarket::Permit {
    let zero = alloy::primitives::B256::ZERO;
    IJobMarket::Permit { deadline: U256::ZERO, v: 27, r: zero, s: zero }
}

impl Duel<'_> {
    /// What differs after the step, if anything does.
    async fn step(
        &mut self,
        step: &Step,
        outcome: &Result<Vec<Event>, Revert>,
    ) -> Result<Option<String>> {
        let market = self.anvil.cast.domain.contract;
        let (to, value, data) = match &step.act {
            Act::Call { call, value } => {
                (market, *value, wire::calldata(call, self.permit(step.caller, call)))
            }
            Act::CallWithBadPermit { call, .. } => (market, 0, wire::calldata(call, no_permit())),
            Act::Allow { token, amount } => {
                let call = Erc20::approveCall { spender: market, amount: U256::from(*amount) };
                (*token, 0, call.abi_encode())
            }
            Act::RefuseCoin { refuses } => {
                self.anvil.set_refusing(step.caller, *refuses).await?;
                return Ok(None);
            }
        };
        let events = match outcome {
            // No node of the network takes such a transaction.
            Err(Revert::NotEnoughCoin) => return Ok(None),
            Err(revert) => {
                let answer = self.anvil.attempt(step.caller, to, value, data, step.at).await?;
                let expected = wire::revert_data(revert);
                return Ok(match answer {
                    Err(real) if real == expected => None,
                    Err(real) => Some(format!(
                        "error\n  model:    {revert:?}\n  contract: {}",
                        error_text(&real)
                    )),
                    Ok(_) => Some(format!("outcome\n  model:    {revert:?}\n  contract: success")),
                });
            }
            Ok(events) => events,
        };
        self.anvil.set_time(step.at).await?;
        let receipt = self.anvil.send(step.caller, to, value, data.clone()).await?;
        if !receipt.status() {
            let answer = self.anvil.attempt(step.caller, to, value, data, step.at).await?;
            let reason = answer.err().map_or("no reason".into(), |real| error_text(&real));
            return Ok(Some(format!("outcome\n  model:    {events:?}\n  contract: {reason}")));
        }
        if let Act::Call { call, .. } = &step.act {
            self.count_permit(step.caller, call);
        }
        let logs = receipt.logs().iter().filter(|log| log.address() == market);
        let real: Vec<&LogData> = logs.map(|log| &log.inner.data).collect();
        let expected: Vec<LogData> = events.iter().map(wire::log).collect();
        if let Some(what) = differing_logs(&expected, &real) {
            return Ok(Some(what));
        }
        for job in events.iter().filter_map(Event::job).filter(|job| self.known.insert(*job)) {
            let view = View::Job(job);
            self.questions.extend(view::questions(&[view], market));
            self.views.push(view);
        }
        if let Some(what) = self.differing_lease(step, events).await? {
            return Ok(Some(what));
        }
        let answers = self.anvil.read(Bytes::copy_from_slice(&self.questions)).await?;
        let cast = &self.anvil.cast;
        Ok(view::differing(&self.views, &answers, &self.model, cast).or_else(|| self.imbalance()))
    }

    /// The view `leaseEnd`, which takes terms, of the jobs that the step was about.
    async fn differing_lease(&self, step: &Step, events: &[Event]) -> Result<Option<String>> {
        let jobs: BTreeSet<JobId> = events.iter().filter_map(Event::job).collect();
        for job in jobs {
            let Some(terms) = self.model.terms(job) else { continue };
            let data = JobMarket::leaseEndCall { t: terms.into() }.abi_encode();
            let market = self.anvil.cast.domain.contract;
            let real = self.anvil.attempt(step.caller, market, 0, data, step.at).await?;
            let expected = U256::from(self.model.lease_end(job));
            if real.as_ref().is_ok_and(|real| U256::try_from_be_slice(real) == Some(expected)) {
                continue;
            }
            let what = format!("leaseEnd of {job}\n  model:    {expected}\n  contract: {real:?}");
            return Ok(Some(what));
        }
        Ok(None)
    }

    /// What the contract has is exactly what it owes. The views were compared, so the model speaks for both.
    fn imbalance(&self) -> Option<String> {
        self.anvil.cast.tokens.iter().find_map(|token| {
            let of_token =
                |job: &JobId| self.model.terms(*job).is_some_and(|terms| terms.token == *token);
            let jobs = self.known.iter().filter(|job| of_token(job));
            let locked: u128 = jobs.map(|job| self.model.locked(*job)).sum();
            let balances = self.model.balances().filter(|(_, of, _)| of == token);
            let owed = locked + balances.map(|(_, _, amount)| amount).sum::<u128>();
            let held = self.model.holding(*token);
            (held != owed).then(|| format!("the contract has {held} of {token} and owes {owed}"))
        })
    }

    /// The caller's permit for what the call takes, which the token will accept.
    fn permit(&self, owner: Address, call: &Call) -> IJobMarket::Permit {
        let Some((token, amount)) = permitted(call) else { return no_permit() };
        let cast = &self.anvil.cast;
        let nonce = self.permits.get(&(owner, token)).copied().unwrap_or(0);
        let deadline = U256::from(2 * START);
        let domain = keccak256(
            (
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
                ),
                keccak256("Gristmill Test Token"),
                keccak256("1"),
                U256::from(cast.domain.chain_id),
                token,
            )
                .abi_encode(),
        );
        let message = keccak256(
            (
                keccak256(
                    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)",
                ),
                owner,
                cast.domain.contract,
                U256::from(amount),
                U256::from(nonce),
                deadline,
            )
                .abi_encode(),
        );
        let digest =
            keccak256([b"\x19\x01".as_slice(), domain.as_slice(), message.as_slice()].concat());
        let signature = cast.sign_digest(owner, &digest);
        IJobMarket::Permit {
            deadline,
            v: 27 + u8::from(signature.v()),
            r: signature.r().into(),
            s: signature.s().into(),
        }
    }

    fn count_permit(&mut self, owner: Address, call: &Call) {
        if let Some((token, _)) = permitted(call) {
            *self.permits.entry((owner, token)).or_default() += 1;
        }
    }
}

/// What a verb with a permit takes.
fn permitted(call: &Call) -> Option<(Address, u128)> {
    if let Call::OpenWithPermit { terms } = call {
        Some((terms.token, terms.bounty.0))
    } else if let Call::DepositWithPermit { token, amount } = call {
        Some((*token, *amount))
    } else {
        None
    }
}

fn differing_logs(expected: &[LogData], real: &[&LogData]) -> Option<String> {
    let text = |log: Option<&LogData>| match log {
        None => "nothing".to_owned(),
        Some(log) => match JobMarketEvents::decode_raw_log(log.topics(), &log.data) {
            Ok(JobMarketEvents::Skipped(skipped)) => {
                format!("Skipped {}: {}", skipped.jobId, error_text(&skipped.reason))
            }
            Ok(event) => format!("{event:?}"),
            Err(error) => format!("{log:?}: {error}"),
        },
    };
    let length = expected.len().max(real.len());
    (0..length).find_map(|index| {
        let (one, other) = (expected.get(index), real.get(index).copied());
        (one != other).then(|| {
            format!("event {index}\n  model:    {}\n  contract: {}", text(one), text(other))
        })
    })
}

fn error_text(data: &[u8]) -> String {
    match JobMarketErrors::abi_decode(data) {
        Ok(error) => format!("{error:?}"),
        Err(_) => format!("a revert with the data {}", Bytes::copy_from_slice(data)),
    }
}
