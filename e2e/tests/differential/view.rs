//! Everything that can be read of the world, as questions that model and contract both answer. All of them go to the chain
//! in one call, to a small program that asks them one after the other.

use alloy::primitives::{Bytes, U256, address};
use alloy::sol_types::SolCall;
use gristmill_protocol::Address;
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::contracts::erc20::Erc20;
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_sim::model::{COIN, Contract};

use crate::cast::Cast;

/// Where the code below lies, for the time of a call.
pub(crate) const READER: Address = address!("00000000000000000000000000000000007ead01");
pub(crate) const BANK: Address = address!("00000000000000000000000000000000007ead02");

/// Bytes of a question: a word with the bytes of the answer in its first byte and whom to ask in its last 20, and 128 bytes
/// of calldata.
const QUESTION_BYTES: usize = 160;

/// Answers all questions of its calldata, one behind the other, from memory 0x80 on. In the comments lies the stack, its top
/// first: `question` and `answer` are offsets into calldata and memory.
pub(crate) const READER_CODE: &str = concat!(
    "0x",
    // question = 0, answer = 0x80.
    "60806000",
    // JUMPDEST. Where question < CALLDATASIZE, on to the body.
    "5b368110601357",
    // Else RETURN(0x80, answer - 0x80).
    "506080809103",
    "90f3",
    // JUMPDEST, the body: CALLDATACOPY(0, question + 0x20, 0x80).
    "5b608081602001600037",
    // [size, word, question, answer]: the first word, and its first byte.
    "80358060001a",
    // STATICCALL(GAS, word, 0, 0x80, answer, size).
    "808460806000855afa",
    // [size, question, answer].
    "509050",
    // question += 0xa0, answer += size, and again.
    "9060a001910190600456",
);

/// Answers how much native coin an address has.
pub(crate) const BANK_CODE: &str = "0x6000353160005260206000f3";

/// What can be asked. An owner's wallet is what it has outside of the contract.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View {
    Job(JobId),
    Balance(Address, Address),
    Wallet(Address, Address),
    Allowance(Address, Address),
    Approval(Address, Address, Address),
    Node(NodeId),
    Epoch(Address),
}

impl View {
    /// All but the jobs.
    pub(crate) fn all(cast: &Cast) -> Vec<Self> {
        let mut views = Vec::new();
        let market = cast.domain.contract;
        let tokens = cast.tokens[1..].iter().copied();
        let holders = || cast.everybody().into_iter().chain([market]).chain(tokens.clone());
        for token in cast.tokens {
            views.extend(holders().map(|owner| Self::Balance(owner, token)));
            views.extend(holders().map(|owner| Self::Wallet(owner, token)));
            for provider in &cast.providers {
                let approval = |scheduler: &Address| Self::Approval(*provider, *scheduler, token);
                views.extend(cast.schedulers.iter().map(approval));
            }
        }
        for token in &cast.tokens[1..] {
            views.extend(cast.purses().into_iter().map(|owner| Self::Allowance(owner, *token)));
        }
        views.extend(cast.nodes.iter().map(|node| Self::Node(*node)));
        views.extend(cast.purses().into_iter().map(Self::Epoch));
        views
    }

    /// Words of the answer.
    fn words(self) -> usize {
        match self {
            Self::Job(_) => 7,
            Self::Approval(..) => 3,
            Self::Node(_) => 2,
            Self::Balance(..) | Self::Wallet(..) | Self::Allowance(..) | Self::Epoch(_) => 1,
        }
    }

    fn question(self, market: Address) -> [u8; QUESTION_BYTES] {
        let (whom, calldata) = match self {
            Self::Job(id) => (market, JobMarket::jobCall { id: id.0 }.abi_encode()),
            Self::Balance(owner, token) => {
                (market, JobMarket::balanceCall { owner, token }.abi_encode())
            }
            Self::Wallet(owner, COIN) => (BANK, owner.into_word().to_vec()),
            Self::Wallet(account, token) => {
                (token, Erc20::balanceOfCall { owner: account }.abi_encode())
            }
            Self::Allowance(owner, token) => {
                (token, Erc20::allowanceCall { owner, spender: market }.abi_encode())
            }
            Self::Approval(provider, scheduler, token) => {
                (market, JobMarket::approvalCall { provider, scheduler, token }.abi_encode())
            }
            Self::Node(node) => (market, JobMarket::nodeCall { node_: node.0 }.abi_encode()),
            Self::Epoch(owner) => (market, JobMarket::epochCall { owner }.abi_encode()),
        };
        let mut question = [0; QUESTION_BYTES];
        question[..32].copy_from_slice(whom.into_word().as_slice());
        question[0] = u8::try_from(self.words() * 32).expect("an answer is short");
        question[32..32 + calldata.len()].copy_from_slice(&calldata);
        question
    }

    /// What the model says.
    pub(crate) fn expected(self, model: &Contract, cast: &Cast) -> Vec<U256> {
        let word = |address: Address| U256::from_be_bytes(address.into_word().0);
        match self {
            Self::Job(id) => {
                let slot = model.slot(id);
                let flags = u8::from(slot.called_in)
                    + 2 * u8::from(slot.settled)
                    + 4 * u8::from(slot.disputed_by_scheduler);
                vec![
                    U256::from(slot.state as u8),
                    word(slot.node.0),
                    U256::from(slot.at),
                    U256::from(slot.assigned_at),
                    U256::from(slot.attempt),
                    U256::from(slot.forfeits),
                    U256::from(flags),
                ]
            }
            Self::Balance(owner, token) => vec![U256::from(model.balance(owner, token))],
            Self::Wallet(owner, token) if owner == cast.domain.contract => {
                vec![U256::from(model.holding(token))]
            }
            Self::Wallet(owner, token) => vec![U256::from(model.wallet(owner, token))],
            Self::Allowance(owner, token) => vec![U256::from(model.allowance(owner, token))],
            Self::Approval(provider, scheduler, token) => {
                let limit = model.bond_limit(provider, scheduler, token);
                vec![
                    U256::from(u8::from(model.is_approved(provider, scheduler))),
                    U256::from(limit.limit),
                    U256::from(limit.used),
                ]
            }
            Self::Node(node) => match model.enrolment(node) {
                Some(known) => {
                    vec![word(known.provider), U256::from(u8::from(known.revoked))]
                }
                None => vec![U256::ZERO; 2],
            },
            Self::Epoch(owner) => vec![U256::from(model.epoch(owner))],
        }
    }
}

/// The questions of many views, in the form that the reader takes.
pub(crate) fn questions(views: &[View], market: Address) -> Bytes {
    views.iter().flat_map(|view| view.question(market)).collect()
}

/// The first view in which the chain's answers are not what the model says.
pub(crate) fn differing(
    views: &[View],
    answers: &[u8],
    model: &Contract,
    cast: &Cast,
) -> Option<String> {
    let words: usize = views.iter().map(|view| view.words()).sum();
    if answers.len() != words * 32 {
        return Some(format!("the chain answered {} bytes, not {words} words", answers.len()));
    }
    let mut rest = answers;
    views.iter().find_map(|view| {
        let (answer, others) = rest.split_at(view.words() * 32);
        rest = others;
        let real: Vec<U256> = answer.chunks(32).map(U256::from_be_slice).collect();
        let expected = view.expected(model, cast);
        (real != expected)
            .then(|| format!("{view:?}\n  model:    {expected:?}\n  contract: {real:?}"))
    })
}
