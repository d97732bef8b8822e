// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";
import {FeeOnTransferToken, SilentToken} from "./mocks/HostileTokens.sol";

/// @notice `dispute`, `rule`, and `claim` where the arbiter stays silent: who may act until when, and where every wei
/// goes.
contract DisputeTest is Steps {
    uint8 private constant SETTLED = 2;
    uint8 private constant DISPUTED_BY_SCHEDULER = 4;
    uint128 private constant STAKE = 10 * BOND;
    /// @dev What the market holds for others than the job at hand.
    uint256 private constant STAKES = 2 * uint256(STAKE);

    IJobMarket.Terms private t;
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        _stake(PROVIDER, NATIVE, STAKE, STAKE);
        _stake(OTHER_PROVIDER, NATIVE, STAKE, STAKE);
        t = _heldTerms();
        (t.bond, t.disputeBond) = (BOND, DISPUTE_BOND);
    }

    /* DISPUTE */

    function test_dispute_aHeldResultByTheSubmitter() public {
        _hold();
        uint40 last = START + t.holdSeconds;
        vm.warp(last + 1);
        _disputeFails(SUBMITTER, abi.encodeWithSelector(IJobMarket.WindowClosed.selector, last));
        vm.warp(last);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Disputed(id, SUBMITTER, last + t.rulingSeconds);
        _dispute(t, SUBMITTER);
        _assertEvents("Disputed");

        _assertJob(id, IJobMarket.State.Disputed, NODE, last, START, 1, SETTLED);
        _assertLocked();
        _assertBalances(NATIVE, 0, 0, 0, STAKES + BOUNTY + DISPUTE_BOND);
    }

    function test_dispute_aPublishedResultByTheSubmitter() public {
        _published();
        uint40 last = START + t.challengeWindow;
        vm.warp(last + 1);
        _disputeFails(SUBMITTER, abi.encodeWithSelector(IJobMarket.WindowClosed.selector, last));
        vm.warp(last);
        vm.expectEmit(address(market));
        emit IJobMarket.Disputed(id, SUBMITTER, last + t.rulingSeconds);
        _dispute(t, SUBMITTER);
        _assertJob(id, IJobMarket.State.Disputed, NODE, last, START, 1, 0);
        _assertLocked();
    }

    function test_dispute_aPublishedResultByTheScheduler() public {
        _published();
        uint40 last = START + t.challengeWindow;
        vm.warp(last + 1);
        _disputeFails(SCHEDULER, abi.encodeWithSelector(IJobMarket.WindowClosed.selector, last));
        vm.warp(last);
        vm.expectEmit(address(market));
        emit IJobMarket.Disputed(id, SCHEDULER, last + t.rulingSeconds);
        _dispute(t, SCHEDULER);
        _assertJob(id, IJobMarket.State.Disputed, NODE, last, START, 1, DISPUTED_BY_SCHEDULER);
        _assertBalances(NATIVE, 0, 0, 0, STAKES + BOUNTY + DISPUTE_BOND);
    }

    /// @dev A result that was published and then settled with a hold has the hold's window, for the submitter only.
    function test_dispute_aResultThatWasPublishedAndSettled() public {
        _published();
        vm.warp(START + 100);
        _settle(t, NODE_KEY, 1);
        _disputeFails(SCHEDULER, abi.encodeWithSelector(IJobMarket.NotDisputant.selector, SCHEDULER));
        vm.warp(START + 100 + t.holdSeconds + 1);
        _disputeFails(
            SUBMITTER, abi.encodeWithSelector(IJobMarket.WindowClosed.selector, START + 100 + t.holdSeconds)
        );
        vm.warp(START + 100 + t.holdSeconds);
        _dispute(t, SUBMITTER);
        _assertJob(id, IJobMarket.State.Disputed, NODE, START + 100 + t.holdSeconds, START, 1, SETTLED);
    }

    function test_dispute_refusesOthers() public {
        _hold();
        address[4] memory others = [SCHEDULER, PROVIDER, ARBITER, STRANGER];
        for (uint256 i; i < others.length; ++i) {
            _disputeFails(others[i], abi.encodeWithSelector(IJobMarket.NotDisputant.selector, others[i]));
        }
        t.salt = keccak256("another");
        _published();
        for (uint256 i = 1; i < others.length; ++i) {
            _disputeFails(others[i], abi.encodeWithSelector(IJobMarket.NotDisputant.selector, others[i]));
        }
        _assertState(id, IJobMarket.State.Published);
    }

    function test_dispute_refusesEveryOtherState() public {
        _disputeFails(SUBMITTER, _wrongState(_id(t), IJobMarket.State.None));
        id = _open(t);
        _disputeFails(SUBMITTER, _wrongState(id, IJobMarket.State.Open));
        _assignWithTerms(t, NODE_KEY, 1);
        _disputeFails(SUBMITTER, _wrongState(id, IJobMarket.State.Assigned));
        _settle(t, NODE_KEY, 1);
        _dispute(t, SUBMITTER);
        _disputeFails(SUBMITTER, _wrongState(id, IJobMarket.State.Disputed));
        _rule(t, IJobMarket.Ruling.Pay);
        _disputeFails(SUBMITTER, _wrongState(id, IJobMarket.State.Paid));

        t.salt = keccak256("another");
        _disputed();
        _rule(t, IJobMarket.Ruling.Refund);
        _disputeFails(SUBMITTER, _wrongState(id, IJobMarket.State.Refunded));

        t.salt = keccak256("a third");
        id = _open(t);
        vm.prank(SUBMITTER);
        market.cancel(t);
        _disputeFails(SUBMITTER, _wrongState(id, IJobMarket.State.Cancelled));
    }

    /* THE DISPUTE BOND */

    function test_disputeBond_inCoinToTheWei() public {
        _hold();
        vm.deal(SUBMITTER, 1 ether);
        _disputeWithFails(0, _wrongValue(0, DISPUTE_BOND));
        _disputeWithFails(DISPUTE_BOND - 1, _wrongValue(DISPUTE_BOND - 1, DISPUTE_BOND));
        _disputeWithFails(DISPUTE_BOND + 1, _wrongValue(DISPUTE_BOND + 1, DISPUTE_BOND));
        vm.assertEq(SUBMITTER.balance, 1 ether, "nothing moved");
        _assertState(id, IJobMarket.State.Held);
    }

    function test_disputeBond_ofNothing() public {
        t.disputeBond = 0;
        _hold();
        vm.deal(SUBMITTER, 1);
        _disputeWithFails(1, _wrongValue(1, 0));
        vm.prank(SUBMITTER);
        market.dispute(t);
        _rule(t, IJobMarket.Ruling.Pay);
        _assertBalances(NATIVE, 1, BOUNTY - FEE, FEE, STAKES);
    }

    function test_disputeBond_inTokens() public {
        t.token = address(token);
        _stake(PROVIDER, address(token), STAKE, STAKE);
        _hold();
        vm.deal(SUBMITTER, 1);
        _disputeWithFails(1, _wrongValue(1, 0));
        _disputeWithFails(0, _transferFailed());
        token.mint(SUBMITTER, DISPUTE_BOND);
        _disputeWithFails(0, _transferFailed());
        vm.prank(SUBMITTER);
        token.approve(address(market), DISPUTE_BOND - 1);
        _disputeWithFails(0, _transferFailed());
        vm.prank(SUBMITTER);
        token.approve(address(market), DISPUTE_BOND);
        vm.prank(SUBMITTER);
        market.dispute(t);
        _assertBalances(address(token), 0, 0, 0, STAKE + BOUNTY + DISPUTE_BOND);
        _rule(t, IJobMarket.Ruling.Reopen);
        _assertBalances(address(token), DISPUTE_BOND, 0, 0, STAKE + BOUNTY);
        _assertInMarket(address(token), BOND - HALF, STAKE - BOND, 0, 0);
    }

    function test_disputeBond_inATokenThatReturnsNothing() public {
        address silent = address(new SilentToken());
        (t.token, t.bond) = (silent, 0);
        id = _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _dispute(t, SUBMITTER);
        _assertBalances(silent, 0, 0, 0, BOUNTY + DISPUTE_BOND);
        _rule(t, IJobMarket.Ruling.Refund);
        _assertBalances(silent, BOUNTY + DISPUTE_BOND, 0, 0, 0);
    }

    function test_disputeBond_inATokenThatKeepsAShare() public {
        FeeOnTransferToken greedy = new FeeOnTransferToken();
        (t.token, t.bounty, t.fee, t.bond) = (address(greedy), 99, 0, 0);
        // Too little to keep a share of.
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        id = _id(t);
        _give(SUBMITTER, address(greedy), DISPUTE_BOND);
        _disputeWithFails(
            0,
            abi.encodeWithSelector(
                IJobMarket.TokenAmountMismatch.selector,
                greedy,
                uint256(DISPUTE_BOND) - DISPUTE_BOND / 100,
                uint256(DISPUTE_BOND)
            )
        );
        _assertState(id, IJobMarket.State.Held);
        vm.assertEq(greedy.balanceOf(SUBMITTER), DISPUTE_BOND, "nothing moved");
    }

    /* WHO RULES, AND WHEN */

    function test_rule_byTheArbiterOnly() public {
        _disputed();
        address[4] memory others = [SUBMITTER, SCHEDULER, PROVIDER, STRANGER];
        for (uint256 i; i < others.length; ++i) {
            for (uint8 ruling; ruling < 3; ++ruling) {
                vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotArbiter.selector, others[i], ARBITER));
                vm.prank(others[i]);
                market.rule(t, IJobMarket.Ruling(ruling));
            }
        }
        _assertState(id, IJobMarket.State.Disputed);
    }

    function test_rule_untilItsTimeIsOver() public {
        _disputed();
        uint40 until = START + t.rulingSeconds;
        vm.warp(until + 1);
        for (uint8 ruling; ruling < 3; ++ruling) {
            _ruleFails(
                IJobMarket.Ruling(ruling), abi.encodeWithSelector(IJobMarket.WindowClosed.selector, until)
            );
        }
        vm.warp(until);
        _rule(t, IJobMarket.Ruling.Pay);
        _assertState(id, IJobMarket.State.Paid);
    }

    /// @dev A job that is opened again after its deadline could not complete.
    function test_rule_reopensByTheDeadlineOnly() public {
        _disputed();
        vm.warp(t.deadline + 1);
        _ruleFails(
            IJobMarket.Ruling.Reopen, abi.encodeWithSelector(IJobMarket.DeadlinePassed.selector, t.deadline)
        );
        vm.warp(t.deadline);
        _rule(t, IJobMarket.Ruling.Reopen);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);
        _settle(t, OTHER_NODE_KEY, 2);
        _assertState(id, IJobMarket.State.Held);
    }

    function test_rule_paysAndRefundsAfterTheDeadline() public {
        _disputed();
        vm.warp(t.deadline + 1);
        _rule(t, IJobMarket.Ruling.Refund);
        t.deadline = _now() + 1 days;
        _disputed();
        vm.warp(t.deadline + 1);
        _rule(t, IJobMarket.Ruling.Pay);
        _assertState(id, IJobMarket.State.Paid);
    }

    function test_rule_refusesEveryOtherState() public {
        _ruleFails(IJobMarket.Ruling.Refund, _wrongState(_id(t), IJobMarket.State.None));
        id = _open(t);
        _ruleFails(IJobMarket.Ruling.Refund, _wrongState(id, IJobMarket.State.Open));
        _assignWithTerms(t, NODE_KEY, 1);
        _ruleFails(IJobMarket.Ruling.Refund, _wrongState(id, IJobMarket.State.Assigned));
        _publish(t, NODE_KEY, 1);
        _ruleFails(IJobMarket.Ruling.Refund, _wrongState(id, IJobMarket.State.Published));
        _settle(t, NODE_KEY, 1);
        _ruleFails(IJobMarket.Ruling.Refund, _wrongState(id, IJobMarket.State.Held));
        _dispute(t, SUBMITTER);
        _rule(t, IJobMarket.Ruling.Reopen);
        _ruleFails(IJobMarket.Ruling.Reopen, _wrongState(id, IJobMarket.State.Open));

        t.salt = keccak256("another");
        _disputed();
        _rule(t, IJobMarket.Ruling.Pay);
        _ruleFails(IJobMarket.Ruling.Refund, _wrongState(id, IJobMarket.State.Paid));
        t.salt = keccak256("a third");
        _disputed();
        _rule(t, IJobMarket.Ruling.Refund);
        _ruleFails(IJobMarket.Ruling.Pay, _wrongState(id, IJobMarket.State.Refunded));
    }

    function test_rule_refusesWhatIsNoRuling() public {
        _disputed();
        bytes memory data = abi.encodeCall(IJobMarket.rule, (t, IJobMarket.Ruling.Reopen));
        data[data.length - 1] = 0x03;
        vm.prank(ARBITER);
        (bool ok, bytes memory answer) = address(market).call(data);
        vm.assertFalse(ok, "ruled");
        vm.assertEq(answer.length, 0, "refused while decoding");
    }

    /// @dev Nobody but the arbiter, and then time, gets at a disputed job.
    function test_disputedJobsRefuseEveryOtherVerb() public {
        _disputed();
        bytes memory expected = _wrongState(id, IJobMarket.State.Disputed);
        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
        IJobMarket.Signature memory renewal = _signRenew(NODE_KEY, id, 1, START);
        IJobMarket.Assignment memory a = _assignment(t, OTHER_NODE_KEY, 2);
        bytes[9] memory calls = [
            abi.encodeCall(IJobMarket.settle, (t, RECEIPT, s)),
            abi.encodeCall(IJobMarket.assign, (id, OTHER_NODE, 2)),
            abi.encodeCall(IJobMarket.assignWithTerms, (a)),
            abi.encodeCall(IJobMarket.callIn, (t)),
            abi.encodeCall(IJobMarket.lapse, (t)),
            abi.encodeCall(IJobMarket.publish, (t, RECEIPT, s)),
            abi.encodeCall(IJobMarket.renew, (t, START, renewal)),
            abi.encodeCall(IJobMarket.release, (t, s)),
            abi.encodeCall(IJobMarket.refund, (t))
        ];
        vm.warp(t.deadline + 1);
        for (uint256 i; i < calls.length; ++i) {
            vm.prank(SCHEDULER);
            (bool ok, bytes memory answer) = address(market).call(calls[i]);
            vm.assertFalse(ok, "went through");
            vm.assertEq(answer, expected, "reason");
        }
        vm.expectRevert(expected);
        vm.prank(SUBMITTER);
        market.cancel(t);
        vm.assertEq(market.leaseEnd(t), 0, "no lease");
    }

    /* RULINGS */

    function test_rule_pay() public {
        _disputed();
        vm.warp(START + 10);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Ruled(id, IJobMarket.Ruling.Pay);
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE + DISPUTE_BOND, FEE);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(PROVIDER, NATIVE, BOND);
        _rule(t, IJobMarket.Ruling.Pay);
        _assertEvents("Ruled Paid Credited");

        _assertJob(id, IJobMarket.State.Paid, NODE, START + 10, START, 1, SETTLED);
        _assertUnlocked();
        _assertBalances(NATIVE, 0, BOUNTY - FEE + DISPUTE_BOND, FEE, STAKES);
    }

    /// @dev Nobody settled, so there is no fee; the dispute bond is lost all the same.
    function test_rule_payWhatWasPublished() public {
        _published();
        _dispute(t, SUBMITTER);
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE + DISPUTE_BOND, 0);
        _rule(t, IJobMarket.Ruling.Pay);
        _assertJob(id, IJobMarket.State.Paid, NODE, START, START, 1, 0);
        _assertUnlocked();
        _assertBalances(NATIVE, FEE, BOUNTY - FEE + DISPUTE_BOND, 0, STAKES);
    }

    function test_rule_payWhatTheSchedulerDisputed() public {
        _published();
        _dispute(t, SCHEDULER);
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE + DISPUTE_BOND, 0);
        _rule(t, IJobMarket.Ruling.Pay);
        _assertJob(id, IJobMarket.State.Paid, NODE, START, START, 1, DISPUTED_BY_SCHEDULER);
        _assertUnlocked();
        _assertBalances(NATIVE, FEE, BOUNTY - FEE + DISPUTE_BOND, 0, STAKES);
    }

    function test_rule_refund() public {
        _disputed();
        vm.warp(START + 10);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Ruled(id, IJobMarket.Ruling.Refund);
        vm.expectEmit(address(market));
        emit IJobMarket.Refunded(id, BOUNTY + BOND + DISPUTE_BOND);
        _rule(t, IJobMarket.Ruling.Refund);
        _assertEvents("Ruled Refunded");

        _assertJob(id, IJobMarket.State.Refunded, address(0), START + 10, 0, 1, 0);
        _assertLost();
        _assertInMarket(NATIVE, 0, STAKE - BOND, STAKE, 0);
        _assertBalances(NATIVE, BOUNTY + BOND + DISPUTE_BOND, 0, 0, STAKES - BOND);
    }

    function test_rule_refundWhatTheSchedulerDisputed() public {
        _published();
        _dispute(t, SCHEDULER);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Refunded(id, BOUNTY + BOND);
        _rule(t, IJobMarket.Ruling.Refund);
        _assertEvents("Ruled Refunded");
        _assertLost();
        _assertInMarket(NATIVE, 0, STAKE - BOND, STAKE, 0);
        _assertBalances(NATIVE, BOUNTY + BOND, 0, DISPUTE_BOND, STAKES - BOND);
    }

    function test_rule_reopen() public {
        _disputed();
        vm.warp(START + 10);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Ruled(id, IJobMarket.Ruling.Reopen);
        vm.expectEmit(address(market));
        emit IJobMarket.Forfeited(id, PROVIDER, BOND - HALF, HALF);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(SUBMITTER, NATIVE, BOND - HALF);
        _rule(t, IJobMarket.Ruling.Reopen);
        _assertEvents("Ruled Forfeited Credited");

        _assertState(id, IJobMarket.State.Open);
        _assertForfeits(id, 1);
        _assertLost();
        _assertInMarket(NATIVE, BOND - HALF, STAKE - BOND, STAKE, 0);
        _assertBalances(NATIVE, DISPUTE_BOND, 0, 0, STAKES + BOUNTY);
    }

    function test_rule_reopenWhatTheSchedulerDisputed() public {
        _published();
        _dispute(t, SCHEDULER);
        _rule(t, IJobMarket.Ruling.Reopen);
        _assertLost();
        _assertInMarket(NATIVE, BOND - HALF, STAKE - BOND, STAKE, 0);
        _assertBalances(NATIVE, 0, 0, DISPUTE_BOND, STAKES + BOUNTY);
    }

    function test_rule_reopenWithoutABond() public {
        t.bond = 0;
        id = _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _dispute(t, SUBMITTER);
        vm.warp(START + 10);
        vm.recordLogs();
        _rule(t, IJobMarket.Ruling.Reopen);
        _assertEvents("Ruled");
        _assertJob(id, IJobMarket.State.Open, address(0), START + 10, 0, 1, 0);
        _assertUnlocked();
        _assertBalances(NATIVE, DISPUTE_BOND, 0, 0, STAKES + BOUNTY);
        // The result that was disputed pays nobody, and the job goes to the next by its id.
        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
        vm.expectRevert(_wrongState(id, IJobMarket.State.Open));
        vm.prank(SCHEDULER);
        market.settle(t, RECEIPT, s);
        _assign(t, OTHER_NODE, 2);
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        vm.prank(SCHEDULER);
        market.settle(t, RECEIPT, s);
    }

    /// @dev The second result can be disputed again; the pool of the first follows the money.
    function test_rule_againAfterReopen() public {
        _disputed();
        _rule(t, IJobMarket.Ruling.Reopen);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);
        _settle(t, OTHER_NODE_KEY, 2);
        vm.prank(SUBMITTER);
        market.dispute{value: DISPUTE_BOND}(t);
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, OTHER_PROVIDER, BOUNTY - FEE + HALF + DISPUTE_BOND, FEE);
        _rule(t, IJobMarket.Ruling.Pay);
        vm.assertEq(OTHER_PROVIDER.balance, BOUNTY - FEE + HALF + DISPUTE_BOND, "paid with the pool");
        _assertInMarket(NATIVE, BOND - HALF, STAKE - BOND, STAKE, 0);
        vm.assertEq(address(market).balance, STAKES - HALF, "escrow");
    }

    function test_rule_refundWithAPool() public {
        _disputed();
        _rule(t, IJobMarket.Ruling.Reopen);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);
        _publish(t, OTHER_NODE_KEY, 2);
        _dispute(t, SCHEDULER);
        vm.expectEmit(address(market));
        emit IJobMarket.Refunded(id, BOUNTY + HALF + BOND);
        _rule(t, IJobMarket.Ruling.Refund);
        _assertInMarket(NATIVE, BOND - HALF, STAKE - BOND, STAKE - BOND, 0);
        _assertBalances(NATIVE, DISPUTE_BOND + BOUNTY + HALF + BOND, 0, DISPUTE_BOND, STAKES - HALF - BOND);
    }

    /* SILENCE */

    function test_claim_whenTheArbiterStaysSilent() public {
        _disputed();
        uint40 until = START + t.rulingSeconds;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.WindowOpen.selector, until));
        market.claim(t);
        vm.warp(until + 1);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE + DISPUTE_BOND, FEE);
        _claim(t);
        _assertEvents("Paid Credited");
        _assertJob(id, IJobMarket.State.Paid, NODE, until + 1, START, 1, SETTLED);
        _assertUnlocked();
        _assertBalances(NATIVE, 0, BOUNTY - FEE + DISPUTE_BOND, FEE, STAKES);
    }

    function test_claim_whatWasPublishedWhenTheArbiterStaysSilent() public {
        _published();
        _dispute(t, SCHEDULER);
        vm.warp(START + t.rulingSeconds + 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE + DISPUTE_BOND, 0);
        _claim(t);
        _assertUnlocked();
        _assertBalances(NATIVE, FEE, BOUNTY - FEE + DISPUTE_BOND, 0, STAKES);
    }

    /* PARTIES IN TWO PARTS */

    /// @dev A scheduler that is the submitter as well disputes as the submitter.
    function test_submitterThatIsTheScheduler() public {
        t.scheduler = SUBMITTER;
        vm.prank(PROVIDER);
        market.approveScheduler(SUBMITTER, NATIVE, BOND);
        _published();
        _dispute(t, SUBMITTER);
        _assertJob(id, IJobMarket.State.Disputed, NODE, START, START, 1, 0);
        _rule(t, IJobMarket.Ruling.Refund);
        _assertBalances(NATIVE, BOUNTY + BOND + DISPUTE_BOND, 0, 0, STAKES - BOND);
        _assertApproval(PROVIDER, SUBMITTER, NATIVE, true, 0, 0);
    }

    function test_providerThatIsTheSubmitter() public {
        t.submitter = PROVIDER;
        _disputed();
        _rule(t, IJobMarket.Ruling.Reopen);
        _assertInMarket(NATIVE, 0, STAKE - HALF, STAKE, 0);
        _assertBalances(NATIVE, 0, DISPUTE_BOND, 0, STAKES + BOUNTY);
    }

    /* FUZZ */

    /// @dev Every way through a dispute, with random amounts: who ends up with what, computed here from the rules alone.
    function testFuzz_everyWeiOfADispute(
        uint96 bounty,
        uint96 fee,
        uint96 bond,
        uint96 disputeBond,
        uint8 how,
        bool inTokens
    ) public {
        t.bounty = uint128(_between(bounty, 1, type(uint96).max));
        t.fee = uint128(_between(fee, 0, t.bounty));
        (t.bond, t.disputeBond) = (bond, disputeBond);
        if (inTokens) t.token = address(token);
        vm.prank(PROVIDER);
        market.withdraw(NATIVE, NODE, STAKE);
        _stake(PROVIDER, t.token, bond, bond);
        if (how & 1 != 0) _published();
        else _hold();
        _dispute(t, how & 3 == 3 ? SCHEDULER : SUBMITTER);
        uint256 ruling = how / 4 % 4;
        if (ruling < 3) {
            _rule(t, IJobMarket.Ruling(ruling));
        } else {
            vm.warp(START + t.rulingSeconds + 1);
            _claim(t);
        }
        _assertDivided(ruling, how & 1 != 0, how & 3 == 3);
    }

    function _assertDivided(uint256 ruling, bool published, bool byScheduler) private view {
        // In wallets: the submitter's, the provider's, the scheduler's.
        uint256[3] memory w;
        bool pays = ruling == 0 || ruling == 3;
        if (pays) {
            w[1] = uint256(t.bounty) - t.fee + t.disputeBond;
            w[published ? 0 : 2] = t.fee;
        } else {
            w[byScheduler ? 2 : 0] += t.disputeBond;
            if (ruling == 1) w[0] += uint256(t.bounty) + t.bond;
        }
        uint256 others = t.token == NATIVE ? STAKE : 0;
        uint256 escrow = others + t.bounty + t.bond + t.disputeBond - w[0] - w[1] - w[2];
        _assertBalances(t.token, w[0], w[1], w[2], escrow);
        _assertInMarket(t.token, ruling == 2 ? t.bond - t.bond / 2 : 0, pays ? t.bond : 0, others, 0);
        _assertApproval(PROVIDER, SCHEDULER, t.token, true, pays ? t.bond : 0, 0);
        _assertForfeits(id, ruling == 2 && t.bond > 0 ? 1 : 0);
    }

    /* STEPS */

    function _assigned() private {
        id = _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
    }

    function _hold() private {
        _assigned();
        _settle(t, NODE_KEY, 1);
    }

    function _published() private {
        _assigned();
        _publish(t, NODE_KEY, 1);
    }

    function _disputed() private {
        _hold();
        _dispute(t, t.submitter);
    }

    function _disputeFails(address by, bytes memory error_) private {
        vm.deal(by, DISPUTE_BOND);
        vm.expectRevert(error_);
        vm.prank(by);
        market.dispute{value: DISPUTE_BOND}(t);
        vm.deal(by, 0);
    }

    function _disputeWithFails(uint256 value, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(SUBMITTER);
        market.dispute{value: value}(t);
    }

    function _ruleFails(IJobMarket.Ruling ruling, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(ARBITER);
        market.rule(t, ruling);
    }

    function _wrongValue(uint256 sent, uint256 required) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IJobMarket.WrongValue.selector, sent, required);
    }

    function _transferFailed() private view returns (bytes memory) {
        return abi.encodeWithSelector(
            IJobMarket.TransferFromFailed.selector, address(token), SUBMITTER, uint256(DISPUTE_BOND)
        );
    }

    function _assertLocked() private view {
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, STAKE, BOND);
        _assertInMarket(NATIVE, 0, STAKE - BOND, STAKE, 0);
    }

    function _assertUnlocked() private view {
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, STAKE, 0);
        _assertInMarket(NATIVE, 0, STAKE, STAKE, 0);
    }

    function _assertLost() private view {
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, STAKE - BOND, 0);
        _assertApproval(OTHER_PROVIDER, SCHEDULER, NATIVE, true, STAKE, 0);
    }
}
