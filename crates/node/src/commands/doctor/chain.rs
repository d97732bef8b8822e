//! Contract, gas, enrolment and stake, as the chain has them.

use gristmill_protocol::Address;
use gristmill_protocol::money::Amount;

use super::Findings;
use crate::chain::Chain;
use crate::config::Config;
use crate::key::NodeKey;

/// What a dozen renewals cost at a usual price.
const GAS_WEI_LEAST: u64 = 1_000_000_000_000_000;

pub(super) async fn examine(findings: &mut Findings, config: &Config, key: &NodeKey) {
    let chain = match Chain::new(&config.chain.rpc_url, config.domain(), key.clone()) {
        Ok(chain) => chain,
        Err(error) => return findings.fail("chain", error, "correct chain.rpc_url"),
    };
    if let Err(error) = chain.check().await {
        return findings.fail(
            "chain",
            error,
            "correct chain.rpc_url, chain.chain_id and chain.contract",
        );
    }
    findings.ok(
        "chain",
        format!("contract {} on chain {}", config.chain.contract, config.chain.chain_id),
    );
    match chain.balance().await {
        Ok(balance) if balance < alloy::primitives::U256::from(GAS_WEI_LEAST) => findings.warn("gas",
            format!("{balance} wei"),
            format!("send a little of the chain's coin to {}; without it the node cannot renew, publish or claim", key.id()),
        ),
        Ok(balance) => findings.ok("gas", format!("{balance} wei")),
        Err(error) => findings.fail("gas", error, "try again"),
    }
    let provider = match chain.provider_of(key.id()).await {
        Ok(Some(provider)) => provider,
        Ok(None) => {
            return findings.fail("enrolment",
                "no wallet has enrolled this node, or it was revoked",
                "gristmill-node enroll-message --provider 0xYourWallet > enroll.json; gristmill node enroll --message enroll.json",
            );
        }
        Err(error) => return findings.fail("enrolment", error, "try again"),
    };
    findings.ok("enrolment", format!("paid to {provider}"));
    let bond_max = config.offer().bond_max;
    for scheduler in &config.trust.schedulers {
        match chain.approval(provider, *scheduler, config.offer.token).await {
            Ok(approval) if approval.is_approved => {
                findings.ok("approval", format!("{scheduler} may give jobs"));
                if bond_max != Amount::ZERO {
                    examine_bond(findings, *scheduler, bond_max, approval.bond_free);
                }
            }
            Ok(_) => findings.fail(
                "approval",
                format!("the provider has not approved {scheduler}"),
                format!("gristmill provider approve {scheduler}"),
            ),
            Err(error) => findings.fail("approval", error, "try again"),
        }
    }
    if bond_max != Amount::ZERO {
        match chain.stake(provider, config.offer.token).await {
            Ok(stake) if stake < bond_max => findings.warn(
                "stake",
                format!("{stake} of {bond_max} that this node may put at stake for a job"),
                "gristmill deposit, or a lower trust.bond_max: jobs with a larger bond pass by",
            ),
            Ok(stake) => findings.ok("stake", format!("{stake}, enough for the largest bond")),
            Err(error) => findings.fail("stake", error, "try again"),
        }
    }
}

/// Compares what the scheduler may still lock with what the node takes on for one job.
fn examine_bond(findings: &mut Findings, scheduler: Address, bond_max: Amount, free: Amount) {
    if free < bond_max {
        findings.warn(
            "bond limit",
            format!("{scheduler} may lock {free} more, and this node takes jobs with a bond of {bond_max}"),
            format!("gristmill provider approve {scheduler} --bond-limit …, or a lower trust.bond_max"),
        );
    } else {
        findings.ok("bond limit", format!("{scheduler} may lock {free} more"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_limit_below_the_bond_is_told() {
        for (bond_max, free, expected) in
            [(5, 5, Verdict::Ok), (5, 6, Verdict::Ok), (5, 4, Verdict::Warn), (5, 0, Verdict::Warn)]
        {
            let mut findings = Findings::default();
            examine_bond(&mut findings, Address::ZERO, Amount(bond_max), Amount(free));
            assert_eq!(findings.0[0].verdict, expected, "{free} of {bond_max}");
        }
    }
}
