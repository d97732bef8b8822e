//! A node of a provider: it polls, works, reports, and looks after its money on chain. It may crash, be silent, be
//! careless or be greedy; it never forges a signature of another node.

use std::collections::BTreeMap;

use gristmill_market::command::{Command, Speaker};
use gristmill_market::reply::{Lease, Reply};
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptRef, EscrowState, Offer};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, ManifestHash, NodeId};
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::keys::sign;
use crate::model::{Call, Contract, Slot};
use crate::random::Random;

/// Marks an output that is what it should be; a verifier can see it, the market cannot.
pub const GOOD_OUTPUT: &str = "good";
const BAD_OUTPUT: &str = "bad";

pub struct Agent {
    pub id: NodeId,
    pub provider: Address,
    /// The scheduler that it works for: its number, and its address.
    pub mill: usize,
    pub scheduler: Address,
    pub offer: Offer,
    pub alive: bool,
    /// When it was last heard, while it is down.
    pub silent_since: Timestamp,
    pub temper: Temper,
    pub work: BTreeMap<(JobId, AttemptNumber), Work>,
    pub draining: bool,
}

/// How a node behaves, in percent.
#[derive(Clone, Copy)]
pub struct Temper {
    /// Starts on the scheduler's promise, before its assignment is in a block.
    pub trusting: bool,
    /// The program fails.
    pub fails: u64,
    /// The result is wrong.
    pub lies: u64,
    /// Publishes a result that was rejected.
    pub greedy: bool,
    /// Publishes every result at once.
    pub eager: bool,
    /// Gives work back for reasons of its own.
    pub flaky: u64,
    /// Does not sign releases when told to stop.
    pub stubborn: bool,
    /// Does not answer when a bond is asked for.
    pub shy: u64,
    /// Accepts bonds that its provider cannot put up.
    pub rash: bool,
}

impl Temper {
    pub const HONEST: Self = Self {
        trusting: false,
        fails: 0,
        lies: 0,
        greedy: false,
        eager: false,
        flaky: 0,
        stubborn: false,
        shy: 0,
        rash: false,
    };
}

/// One attempt in the node's journal, which survives its crashes.
pub struct Work {
    token: LeaseToken,
    phase: Phase,
    renewed_at: Timestamp,
    sent_on_chain_at: Timestamp,
    accepted_at: Timestamp,
    /// Of its acceptance: the same each time it is sent.
    expires: u64,
}

#[derive(Clone)]
enum Phase {
    /// Waits for its assignment on chain.
    Waiting,
    Running {
        until: Timestamp,
        started: Timestamp,
    },
    /// The receipt is signed. `heard` once the scheduler has it or does not want it.
    Done {
        receipt: Box<Receipt>,
        heard: bool,
    },
    /// Given up; the release is sent until it is heard.
    Stopped {
        reason: String,
    },
}

/// What an agent wants done.
#[derive(Default)]
pub struct Wishes {
    pub commands: Vec<Command>,
    pub calls: Vec<Call>,
}

impl Agent {
    /// One round of its loop.
    pub fn step(
        &mut self,
        now: Timestamp,
        chain: &Contract,
        runs: &dyn Fn(JobId) -> Option<(Terms, u32)>,
        random: &mut Random,
    ) -> Wishes {
        let mut wishes = Wishes::default();
        let keys: Vec<_> = self.work.keys().copied().collect();
        for key in keys {
            if let Some((terms, run_seconds)) = runs(key.0) {
                self.go_on(key, now, chain, &terms, run_seconds, random, &mut wishes);
            }
        }
        let holding = self
            .work
            .keys()
            .map(|(job_id, attempt)| AttemptRef { job_id: *job_id, attempt: *attempt });
        wishes.commands.push(Command::Poll {
            node: self.id,
            holding: holding.collect(),
            draining: self.draining,
            token: token(random),
        });
        wishes
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the round of one attempt reads all that the node knows"
    )]
    fn go_on(
        &mut self,
        key: (JobId, AttemptNumber),
        now: Timestamp,
        chain: &Contract,
        terms: &Terms,
        run_seconds: u32,
        random: &mut Random,
        wishes: &mut Wishes,
    ) {
        let (job, attempt) = key;
        let slot = chain.slot(job);
        let ours = slot.node == self.id && slot.attempt == attempt.0;
        let mine = ours && slot.state == EscrowState::Assigned;
        let temper = self.temper;
        let Some(work) = self.work.get(&key) else { return };
        let speaker = Speaker { node: self.id, job, attempt, token: work.token };
        if !ours && terms.bond.0 > 0 {
            self.accept(speaker, now, chain, terms, random, wishes);
        }
        let Some(work) = self.work.get(&key) else { return };
        match work.phase.clone() {
            Phase::Waiting if mine || temper.trusting => {
                let quick = u64::from(run_seconds) * random.between(20, 100) / 100;
                let until = now.plus_seconds(quick);
                self.set(key, Phase::Running { until, started: now });
                wishes.commands.push(Command::Start { speaker });
            }
            Phase::Waiting => {}
            Phase::Running { .. } if random.percent(temper.flaky) => {
                self.set(key, Phase::Stopped { reason: "the engine is broken".into() });
            }
            Phase::Running { until, started } if now >= until => {
                let receipt = self.receipt(key, started, now, terms, random);
                self.set(key, Phase::Done { receipt: Box::new(receipt), heard: false });
            }
            Phase::Running { .. } => {}
            Phase::Done { receipt, heard } => {
                if !heard {
                    wishes.commands.push(self.report(speaker, (*receipt).clone()));
                }
                self.look_after_result(key, now, slot, terms, &receipt, heard, wishes);
            }
            Phase::Stopped { reason } => {
                let signature = self.sign_release(key);
                wishes.commands.push(Command::Release { speaker, signature, reason });
            }
        }
        if mine {
            self.keep_lease(key, now, slot, terms, wishes);
        }
    }

    fn sign_release(&self, (job_id, attempt): (JobId, AttemptNumber)) -> CompactSignature {
        sign(self.id.0, &Message::Release { job_id, attempt })
    }

    /// Puts its provider's bond at stake, if that is there and may be locked.
    fn accept(
        &mut self,
        speaker: Speaker,
        now: Timestamp,
        chain: &Contract,
        terms: &Terms,
        random: &mut Random,
        wishes: &mut Wishes,
    ) {
        let Temper { shy, rash, .. } = self.temper;
        let (provider, token, bond) = (self.provider, terms.token, terms.bond.0);
        let limit = chain.bond_limit(provider, terms.scheduler, token);
        let able = chain.balance(provider, token) >= bond && limit.used + bond <= limit.limit;
        let Speaker { job: job_id, attempt, .. } = speaker;
        let Some(work) = self.work.get_mut(&(job_id, attempt)) else { return };
        if now.millis_since(work.accepted_at) < 10_000 || !(able || rash) || random.percent(shy) {
            return;
        }
        work.accepted_at = now;
        if work.expires == 0 {
            work.expires = now.unix_seconds() + 600;
        }
        let expires = work.expires;
        let signature = sign(self.id.0, &Message::Accept { job_id, attempt, expires });
        wishes.commands.push(Command::Accept { speaker, expires, signature });
    }

    fn set(&mut self, key: (JobId, AttemptNumber), phase: Phase) {
        if let Some(work) = self.work.get_mut(&key) {
            work.phase = phase;
        }
    }

    fn receipt(
        &self,
        (job_id, attempt): (JobId, AttemptNumber),
        started_at_ms: Timestamp,
        finished_at_ms: Timestamp,
        terms: &Terms,
        random: &mut Random,
    ) -> Receipt {
        let exit_code = i32::from(random.percent(self.temper.fails));
        let output_cid = if random.percent(self.temper.lies) { BAD_OUTPUT } else { GOOD_OUTPUT };
        Receipt {
            version: RECEIPT_VERSION,
            job_id,
            attempt,
            node: self.id,
            spec_hash: terms.spec_hash,
            outcome: Outcome::Exited { exit_code },
            output_cid: output_cid.into(),
            manifest_hash: ManifestHash::default(),
            output_bytes: 1,
            started_at_ms,
            finished_at_ms,
            fuel_used: None,
            log_bytes: 0,
        }
    }

    fn report(&self, speaker: Speaker, receipt: Receipt) -> Command {
        let Speaker { job: job_id, attempt, node, .. } = speaker;
        let (success, receipt_hash) = (receipt.outcome.is_success(), receipt.hash());
        let message = if success {
            Message::Result { job_id, attempt, node, receipt_hash }
        } else {
            Message::Failure { job_id, attempt, node, receipt_hash }
        };
        let signature = sign(self.id.0, &message);
        let release =
            (!success && !self.temper.stubborn).then(|| self.sign_release((job_id, attempt)));
        Command::Report { speaker, receipt, signature, release }
    }

    /// Publishes a result that nobody settles, and claims what is due.
    #[expect(
        clippy::too_many_arguments,
        reason = "the round of one attempt reads all that the node knows"
    )]
    fn look_after_result(
        &mut self,
        key: (JobId, AttemptNumber),
        now: Timestamp,
        slot: Slot,
        terms: &Terms,
        receipt: &Receipt,
        heard: bool,
        wishes: &mut Wishes,
    ) {
        let (job_id, attempt) = key;
        if !receipt.outcome.is_success() {
            if heard {
                self.work.remove(&key);
            }
            return;
        }
        let (id, now_s) = (self.id, now.unix_seconds());
        let Some(work) = self.work.get_mut(&key) else { return };
        let wait = now.millis_since(work.sent_on_chain_at) < 20_000;
        let ours = slot.node == id && slot.attempt == attempt.0;
        match slot.state {
            EscrowState::Assigned if ours => {
                let time = self.temper.eager || now_s + 120 >= terms.deadline;
                if time && now_s <= terms.deadline && !wait {
                    work.sent_on_chain_at = now;
                    let receipt_hash = receipt.hash();
                    let message = Message::Result { job_id, attempt, node: id, receipt_hash };
                    let signature = sign(id.0, &message);
                    wishes.calls.push(Call::Publish { terms: *terms, receipt_hash, signature });
                }
            }
            EscrowState::Held | EscrowState::Published | EscrowState::Disputed if ours => {
                if slot.window_end(terms).is_some_and(|end| now_s > end + 60) && !wait {
                    work.sent_on_chain_at = now;
                    wishes.calls.push(Call::Claim { terms: *terms });
                }
            }
            EscrowState::None | EscrowState::Open if heard => {
                self.work.remove(&key);
            }
            EscrowState::None | EscrowState::Open => {}
            // Somebody else has it, or it is over.
            EscrowState::Assigned
            | EscrowState::Held
            | EscrowState::Published
            | EscrowState::Disputed
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => {
                let over = now_s > terms.deadline + 600 || slot.state != EscrowState::Assigned;
                if over || heard {
                    self.work.remove(&key);
                }
            }
        }
    }

    /// Answers call-ins, and renews before the lease ends.
    fn keep_lease(
        &mut self,
        key: (JobId, AttemptNumber),
        now: Timestamp,
        slot: Slot,
        terms: &Terms,
        wishes: &mut Wishes,
    ) {
        let (id, now_s) = (self.id, now.unix_seconds());
        let Some(work) = self.work.get_mut(&key) else { return };
        if matches!(work.phase, Phase::Stopped { .. }) {
            return;
        }
        let end = slot.lease_end(terms);
        let wanted = slot.called_in || now_s + u64::from(terms.grace_seconds) > end;
        if wanted && now_s <= end && now_s > slot.at && now.millis_since(work.renewed_at) >= 10_000
        {
            work.renewed_at = now;
            let (job_id, attempt) = key;
            let signature = sign(id.0, &Message::Renew { job_id, attempt, issued_at: now_s });
            wishes.calls.push(Call::Renew { terms: *terms, issued_at: now_s, signature });
        }
    }

    /// Hears an answer of the scheduler.
    pub fn hear(&mut self, asked: &Command, answer: &Result<Reply, bool>) {
        match (asked, answer) {
            (Command::Poll { .. }, Ok(Reply::Polled { assignments, stop })) => {
                for Lease { job, attempt, token } in assignments {
                    let known =
                        self.work.get(&(*job, *attempt)).is_some_and(|work| work.token == *token);
                    if !known {
                        let work = Work {
                            token: *token,
                            phase: Phase::Waiting,
                            renewed_at: Timestamp::default(),
                            sent_on_chain_at: Timestamp::default(),
                            accepted_at: Timestamp::default(),
                            expires: 0,
                        };
                        self.work.insert((*job, *attempt), work);
                    }
                }
                for told in stop {
                    let key = (told.job_id, told.attempt);
                    let finished = self.work.get(&key).is_some_and(|work| {
                        matches!(&work.phase, Phase::Done { receipt, .. } if receipt.outcome.is_success())
                    });
                    // A finished result may still be published: the chain decides.
                    if finished && (self.temper.greedy || !told.release) {
                        continue;
                    }
                    if told.release && !self.temper.stubborn {
                        self.set(key, Phase::Stopped { reason: told.reason.clone() });
                    } else {
                        self.work.remove(&key);
                    }
                }
            }
            (Command::Report { speaker, .. }, Ok(_) | Err(true)) => {
                if let Some(Work { phase: Phase::Done { heard, .. }, .. }) =
                    self.work.get_mut(&(speaker.job, speaker.attempt))
                {
                    *heard = true;
                }
            }
            (Command::Release { speaker, .. }, Ok(_) | Err(true)) => {
                let key = (speaker.job, speaker.attempt);
                if self
                    .work
                    .get(&key)
                    .is_some_and(|work| matches!(work.phase, Phase::Stopped { .. }))
                {
                    self.work.remove(&key);
                }
            }
            _ => {}
        }
    }
}

#[must_use]
pub fn token(random: &mut Random) -> LeaseToken {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&random.draw().to_be_bytes());
    bytes[8..16].copy_from_slice(&random.draw().to_be_bytes());
    LeaseToken(bytes.into())
}

/// What the verifier finds when it fetches the output.
#[must_use]
pub fn is_good(receipt: &Receipt) -> bool {
    receipt.output_cid == GOOD_OUTPUT
}
