// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";
import {MoodyWallet} from "./mocks/HostileReceivers.sol";

/// @notice What each verb costs as a whole transaction, once the parties' accounts have been used.
/// @dev The figures are checked in under `snapshots/`, and any change fails; `npm run gas` writes them anew.
contract GasTest is Steps {
    // What a job may cost: three transactions by itself, or its share of two batches.
    uint256 private constant OPEN_GOAL = 56_000;
    uint256 private constant ASSIGN_GOAL = 36_000;
    uint256 private constant SETTLE_GOAL = 66_000;
    uint256 private constant BATCH_OPEN_GOAL = 40_000;
    uint256 private constant BATCH_SETTLE_GOAL = 22_000;

    uint256 private constant BATCH = 100;

    function setUp() public override {
        super.setUp();
        vm.deal(PROVIDER, 1);
        vm.deal(SCHEDULER, 1 ether);
        vm.deal(SUBMITTER, 1 ether);
        token.mint(SUBMITTER, 1);
        token.mint(PROVIDER, 1);
        token.mint(SCHEDULER, 1);
        // The first deposit of a token sets the guard's slot, and the market's balance.
        IJobMarket.Terms memory first = _tokenTerms(address(token));
        first.salt = keccak256("first");
        _open(first);
    }

    /// @dev EIP-170.
    function test_size() public view {
        vm.assertLe(address(market).code.length, 24_576, "code size");
    }

    function test_gas_job() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        vm.assertLe(_snapshot("open, native coin"), OPEN_GOAL, "open");
        _assign(t, NODE, 1);
        vm.assertLe(_snapshot("assign"), ASSIGN_GOAL, "assign");
        _settle(t, NODE_KEY, 1);
        vm.assertLe(_snapshot("settle, native coin"), SETTLE_GOAL, "settle");
    }

    function test_gas_tokenJob() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        _open(t);
        _snapshot("open, token");
        _assign(t, NODE, 1);
        _settle(t, NODE_KEY, 1);
        _snapshot("settle, token");
    }

    function test_gas_permits() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        token.mint(SUBMITTER, 2 * BOUNTY);
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, BOUNTY, START);
        vm.prank(SUBMITTER);
        market.openWithPermit(t, p);
        _snapshot("openWithPermit");
        p = _permit(SUBMITTER_KEY, BOUNTY, START);
        vm.prank(SUBMITTER);
        market.depositWithPermit(address(token), BOUNTY, p);
        _snapshot("depositWithPermit");
    }

    function test_gas_bonds() public {
        _stake(PROVIDER, NATIVE, 10 * BOND, 10 * BOND);
        IJobMarket.Terms memory t = _bondedTerms();
        _open(t);
        _snapshot("open, with a bond");
        _assignWithTerms(t, NODE_KEY, 1);
        _snapshot("assignWithTerms, with a bond");
        vm.warp(START + t.leaseSeconds + 1);
        _assignWithTerms(t, NODE_KEY, 2);
        _snapshot("assignWithTerms, after a lapse with a bond");
        IJobMarket.Signature memory s = _signRelease(NODE_KEY, _id(t), 2);
        vm.prank(NODE);
        market.release(t, s);
        _snapshot("release, with a bond");
        _assignWithTerms(t, NODE_KEY, 3);
        _settle(t, NODE_KEY, 3);
        _snapshot("settle, with a bond and a pool");
    }

    function test_gas_disputes() public {
        _stake(PROVIDER, NATIVE, 10 * BOND, 10 * BOND);
        IJobMarket.Terms memory t = _disputed("pay");
        _snapshot("dispute");
        _rule(t, IJobMarket.Ruling.Pay);
        _snapshot("rule, pay");
        t = _disputed("refund");
        _rule(t, IJobMarket.Ruling.Refund);
        _snapshot("rule, refund");
        t = _disputed("reopen");
        _rule(t, IJobMarket.Ruling.Reopen);
        _snapshot("rule, reopen");
        t = _disputed("silence");
        vm.warp(START + t.rulingSeconds + 1);
        _claim(t);
        _snapshot("claim, disputed");
    }

    function _disputed(string memory salt) private returns (IJobMarket.Terms memory t) {
        t = _heldTerms();
        (t.bond, t.disputeBond, t.salt) = (BOND, DISPUTE_BOND, keccak256(bytes(salt)));
        _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
        _settle(t, NODE_KEY, 1);
        _dispute(t, SUBMITTER);
    }

    function test_gas_balances() public {
        _deposit(SUBMITTER, NATIVE, 2 * BOUNTY);
        _snapshot("deposit, native coin");
        vm.prank(SUBMITTER);
        market.withdraw(NATIVE, SUBMITTER, BOUNTY);
        _snapshot("withdraw, native coin");
        _deposit(SUBMITTER, address(token), 2 * BOUNTY);
        _snapshot("deposit, token");
        vm.prank(SUBMITTER);
        market.withdraw(address(token), SUBMITTER, BOUNTY);
        _snapshot("withdraw, token");
        vm.prank(SUBMITTER);
        market.raiseEpoch();
        _snapshot("raiseEpoch, the first");
        vm.prank(SUBMITTER);
        market.raiseEpoch();
        _snapshot("raiseEpoch");
    }

    function test_gas_heldJob() public {
        IJobMarket.Terms memory t = _heldTerms();
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _snapshot("settle, held");
        vm.warp(START + t.holdSeconds + 1);
        market.claim(t);
        _snapshot("claim, held");
    }

    function test_gas_publishedJob() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        _publish(t, NODE_KEY, 1);
        _snapshot("publish");
        vm.warp(START + t.challengeWindow + 1);
        market.claim(t);
        _snapshot("claim, published");
    }

    function test_gas_lease() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(START + 2000);
        _callIn(t);
        _snapshot("callIn");
        vm.warp(START + 2010);
        IJobMarket.Signature memory s = _signRenew(NODE_KEY, id, 1, START + 2005);
        vm.prank(NODE);
        market.renew(t, START + 2005, s);
        _snapshot("renew");
        s = _signRelease(NODE_KEY, id, 1);
        vm.prank(NODE);
        market.release(t, s);
        _snapshot("release");
        _assign(t, NODE, 2);
        vm.warp(START + 2010 + t.leaseSeconds + 1);
        _assignWithTerms(t, NODE_KEY, 3);
        _snapshot("assignWithTerms, after a lapse");
        vm.warp(START + 2020 + 2 * t.leaseSeconds);
        vm.prank(SCHEDULER);
        market.lapse(t);
        _snapshot("lapse");
    }

    function test_gas_waysBack() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        vm.prank(SUBMITTER);
        market.cancel(t);
        _snapshot("cancel");

        t.salt = keccak256("another");
        _open(t);
        vm.warp(t.deadline + 1);
        market.refund(t);
        _snapshot("refund");
    }

    function test_gas_credit() public {
        MoodyWallet wallet = new MoodyWallet(market);
        IJobMarket.Terms memory t = _terms();
        t.submitter = address(wallet);
        vm.deal(address(this), BOUNTY);
        wallet.act{value: BOUNTY}(abi.encodeCall(IJobMarket.open, (t)));
        wallet.setMood(MoodyWallet.Mood.Revert);
        vm.warp(t.deadline + 1);
        market.refund(t);
        _snapshot("refund, refused");
    }

    function test_gas_batches() public {
        Batch memory b = _newJobs(NODE);
        vm.prank(SCHEDULER);
        market.openMany(b.openings, b.order, b.signature, b.proof, b.flags);
        vm.assertLe(_snapshotEach("openMany, 100 prepaid with nodes, per job"), BATCH_OPEN_GOAL, "open");

        IJobMarket.Settlement[] memory settlements = new IJobMarket.Settlement[](BATCH);
        for (uint256 i; i < BATCH; ++i) {
            settlements[i] =
                IJobMarket.Settlement(b.openings[i].terms, RECEIPT, _signResult(NODE_KEY, b.ids[i], 1));
        }
        vm.prank(SCHEDULER);
        market.settleMany(settlements);
        vm.assertLe(_snapshotEach("settleMany, 100, per job"), BATCH_SETTLE_GOAL, "settle");
        _assertState(b.ids[0], IJobMarket.State.Paid);
        _assertState(b.ids[BATCH - 1], IJobMarket.State.Paid);
    }

    function test_gas_assignMany() public {
        Batch memory b = _newJobs(address(0));
        _openMany(b, SUBMITTER);
        _snapshotEach("openMany, 100 by the submitter, per job");
        IJobMarket.Assignment[] memory assignments = new IJobMarket.Assignment[](BATCH);
        for (uint256 i; i < BATCH; ++i) {
            assignments[i] = _assignment(b.openings[i].terms, NODE_KEY, 1);
        }
        vm.prank(SCHEDULER);
        market.assignMany(assignments);
        _snapshotEach("assignMany, 100, per job");
        _assertState(b.ids[BATCH - 1], IJobMarket.State.Assigned);
    }

    function test_gas_cancelMany() public {
        Batch memory b = _newJobs(address(0));
        _openMany(b, SUBMITTER);
        IJobMarket.Terms[] memory terms = new IJobMarket.Terms[](BATCH);
        for (uint256 i; i < BATCH; ++i) {
            terms[i] = b.openings[i].terms;
        }
        vm.prank(SUBMITTER);
        market.cancelMany(terms);
        _snapshotEach("cancelMany, 100, per job");
        _assertState(b.ids[BATCH - 1], IJobMarket.State.Cancelled);
    }

    /// @dev An order over jobs with specs of their own, and the money for them.
    function _newJobs(address node) private returns (Batch memory b) {
        _deposit(SUBMITTER, NATIVE, BATCH * BOUNTY);
        b = _batch(_terms(), BATCH, node);
        for (uint256 i; i < BATCH; ++i) {
            b.openings[i].terms.specHash = keccak256(abi.encode("spec", i));
        }
        _order(b);
    }

    function test_gas_nodes() public {
        _enroll(0xC0DE, PROVIDER);
        _snapshot("enroll");
        vm.prank(PROVIDER);
        market.revoke(NODE);
        _snapshot("revoke");
        vm.prank(STRANGER);
        market.approveScheduler(SCHEDULER, NATIVE, 0);
        _snapshot("approveScheduler");
        vm.prank(STRANGER);
        market.disapproveScheduler(SCHEDULER);
        _snapshot("disapproveScheduler");
    }

    function _snapshot(string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall("JobMarket", name);
    }

    function _snapshotEach(string memory name) private returns (uint256 each) {
        each = vm.lastCallGas().gasTotalUsed / BATCH;
        vm.snapshotValue("JobMarket", name, each);
    }
}
