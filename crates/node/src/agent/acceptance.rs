//! Which assignments are taken on: what can be said without looking at the chain.

use gristmill_protocol::Address;
use gristmill_protocol::api::{Assignment, Offer};
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::Domain;
use gristmill_protocol::spec::{Resources, Runtime, parse_compute_capability};
use gristmill_protocol::terms::Terms;

/// What the provider has decided.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The contract that the node believes in.
    pub domain: Domain,
    /// The node's own address.
    pub node: Address,
    pub schedulers: Vec<Address>,
    /// Who may rule where money of the provider is at stake. Without a stake a trusted scheduler may rule too.
    pub arbiters: Vec<Address>,
    pub offer: Offer,
    /// How long an assignment may take until it is in a block.
    pub escrow_wait_ms: u64,
    pub publish_before_deadline_seconds: u64,
    pub claim_delay_seconds: u64,
    pub release_when_rejected: bool,
}

/// Says why an assignment is refused, if it is.
pub fn check(rules: &Rules, assignment: &Assignment) -> Result<(), String> {
    let Assignment { job_id, terms, spec, .. } = assignment;
    if terms.id(&rules.domain) != *job_id {
        return Err(format!(
            "the terms do not hash to this job id on contract {} of chain {}",
            rules.domain.contract, rules.domain.chain_id
        ));
    }
    if spec.hash() != terms.spec_hash {
        return Err("the job spec is not the one that the terms name".into());
    }
    spec.validate().map_err(|error| error.to_string())?;
    spec.supported().map_err(|error| error.to_string())?;
    if !rules.schedulers.contains(&terms.scheduler) {
        return Err(format!("the scheduler {} is not trusted by this provider", terms.scheduler));
    }
    check_arbiter(rules, terms)?;
    let offer = &rules.offer;
    if terms.token != offer.token {
        return Err(format!(
            "the job pays in the token {}, the offer asks for {}",
            terms.token, offer.token
        ));
    }
    if terms.bond > offer.bond_max {
        return Err(format!(
            "the job asks for a bond of {}, this provider puts {} at stake at most",
            terms.bond, offer.bond_max
        ));
    }
    let pay = terms.bounty.checked_sub(terms.fee).ok_or("the fee is more than the bounty")?;
    if pay < offer.price_floor {
        return Err(format!("the job pays {pay}, below the price floor of {}", offer.price_floor));
    }
    if spec.max_run_seconds > offer.max_run_seconds {
        return Err(format!(
            "the job may run {} s, the offer allows {} s",
            spec.max_run_seconds, offer.max_run_seconds
        ));
    }
    let kind = spec.runtime.kind();
    if !offer.runtimes.contains(&kind) {
        return Err(format!("this node does not run {} jobs", kind.as_str()));
    }
    if matches!(spec.runtime, Runtime::Wasm { .. }) && spec.resources.gpus > 0 {
        return Err("wasm jobs cannot use a GPU on this node".into());
    }
    check_resources(&spec.resources, offer)
}

/// Where a bond is at stake, an arbiter decides whose it is: then only one that the provider has named will do.
fn check_arbiter(rules: &Rules, terms: &Terms) -> Result<(), String> {
    let at_stake = terms.bond != Amount::ZERO || terms.dispute_bond != Amount::ZERO;
    let arbiter = terms.arbiter;
    if rules.arbiters.contains(&arbiter) || (!at_stake && rules.schedulers.contains(&arbiter)) {
        return Ok(());
    }
    let why = if at_stake { " with a bond" } else { "" };
    Err(format!("the arbiter {arbiter} is not trusted{why} by this provider"))
}

fn check_resources(asked: &Resources, offer: &Offer) -> Result<(), String> {
    for (name, asks, has) in [
        ("cpu_millis", u64::from(asked.cpu_millis), u64::from(offer.cpu_millis)),
        ("memory_bytes", asked.memory_bytes, offer.memory_bytes),
        ("disk_bytes", asked.disk_bytes, offer.disk_bytes),
    ] {
        if asks > has {
            return Err(format!("the job asks for {name} {asks}, the offer has {has}"));
        }
    }
    let fitting = fitting_gpus(asked, offer).len();
    if fitting < asked.gpus as usize {
        return Err(format!("the job asks for {} GPUs, {fitting} of the offer fit", asked.gpus));
    }
    Ok(())
}

/// The indices of the GPUs that would do.
#[must_use]
pub fn fitting_gpus(asked: &Resources, offer: &Offer) -> Vec<usize> {
    let least = asked.compute_capability.as_deref().and_then(parse_compute_capability);
    let fits = |gpu: &gristmill_protocol::api::Gpu| {
        let capability = gpu.compute_capability.as_deref().and_then(parse_compute_capability);
        (asked.gpu_models.is_empty() || asked.gpu_models.contains(&gpu.model))
            && gpu.vram_bytes >= asked.vram_bytes
            && least.is_none_or(|least| capability.is_some_and(|capability| capability >= least))
    };
    offer.gpus.iter().enumerate().filter(|(_, gpu)| fits(gpu)).map(|(index, _)| index).collect()
}
