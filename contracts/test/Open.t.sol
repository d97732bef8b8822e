// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";

/// @notice `open`, `cancel` and `refund`: the bounty comes in once, under terms that can complete, and goes back.
contract OpenTest is Base {
    /* OPEN */

    function test_open_locksNativeBounty() public {
        IJobMarket.Terms memory t = _terms();
        vm.deal(SUBMITTER, 3 ether);

        vm.expectEmit(address(market));
        emit IJobMarket.Opened(_id(t), SUBMITTER, t);
        vm.prank(SUBMITTER);
        bytes32 id = market.open{value: BOUNTY}(t);

        vm.assertEq(id, _id(t), "id");
        vm.assertEq(market.jobId(t), id, "jobId");
        _assertJob(id, IJobMarket.State.Open, address(0), START, 0, 0, 0);
        _assertBalances(NATIVE, 2 ether, 0, 0, 1 ether);
    }

    function test_open_locksTokenBounty() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        token.mint(SUBMITTER, 2 ether);

        bytes32 id = _open(t);

        _assertState(id, IJobMarket.State.Open);
        _assertBalances(address(token), 2 ether, 0, 0, 1 ether);
        vm.assertEq(address(market).balance, 0, "no native coin");
    }

    function test_open_refusesOthersThanTheSubmitter() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        _fund(t);

        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotSubmitter.selector, STRANGER, SUBMITTER));
        vm.prank(STRANGER);
        market.open(t);

        _assertBalances(address(token), BOUNTY, 0, 0, 0);
    }

    function test_open_refusesASecondTime() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        _fund(t);

        _expectWrongState(id, IJobMarket.State.Open);
        vm.prank(SUBMITTER);
        market.open{value: BOUNTY}(t);
    }

    function test_open_refusesAnEndedJob() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _fund(t);

        _expectWrongState(id, IJobMarket.State.Paid);
        vm.prank(SUBMITTER);
        market.open{value: BOUNTY}(t);
    }

    function test_open_refusesWrongValue() public {
        IJobMarket.Terms memory t = _terms();
        vm.deal(SUBMITTER, 3 ether);
        _openFails(t, BOUNTY - 1, abi.encodeWithSelector(IJobMarket.WrongValue.selector, BOUNTY - 1, BOUNTY));
        _openFails(t, BOUNTY + 1, abi.encodeWithSelector(IJobMarket.WrongValue.selector, BOUNTY + 1, BOUNTY));

        t = _tokenTerms(address(token));
        _fund(t);
        _openFails(t, 1, abi.encodeWithSelector(IJobMarket.WrongValue.selector, 1, 0));
        _assertBalances(NATIVE, 3 ether, 0, 0, 0);
    }

    function test_open_refusesTokenWithoutAllowanceOrBalance() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        bytes memory failed = abi.encodeWithSelector(
            IJobMarket.TransferFromFailed.selector, address(token), SUBMITTER, uint256(BOUNTY)
        );
        token.mint(SUBMITTER, BOUNTY);
        _openFails(t, 0, failed);

        vm.prank(SUBMITTER);
        token.approve(address(market), BOUNTY);
        vm.prank(SUBMITTER);
        vm.assertTrue(token.transfer(STRANGER, 1), "transfer");
        _openFails(t, 0, failed);
    }

    function test_open_refusesZeroParties() public {
        IJobMarket.Terms memory t = _terms();
        t.scheduler = address(0);
        _openFails(t, abi.encodeWithSelector(IJobMarket.ZeroParty.selector, address(0), ARBITER));

        t = _terms();
        t.arbiter = address(0);
        _openFails(t, abi.encodeWithSelector(IJobMarket.ZeroParty.selector, SCHEDULER, address(0)));
    }

    function test_open_refusesBadAmounts() public {
        IJobMarket.Terms memory t = _terms();
        t.bounty = 0;
        t.fee = 0;
        _openFails(t, abi.encodeWithSelector(IJobMarket.ZeroBounty.selector));

        t = _terms();
        t.fee = t.bounty + 1;
        _openFails(t, abi.encodeWithSelector(IJobMarket.FeeAboveBounty.selector, t.fee, t.bounty));

        t.fee = t.bounty;
        _openSucceeds(t);
    }

    /// @dev An arbiter that rules in its own case could take every bond.
    function test_open_refusesPartialArbitersWhereABondIsAtStake() public {
        IJobMarket.Terms memory t = _terms();
        address[2] memory parties = [SUBMITTER, SCHEDULER];
        for (uint256 i; i < parties.length; ++i) {
            t.arbiter = parties[i];
            (t.bond, t.disputeBond) = (1, 0);
            _openFails(t, abi.encodeWithSelector(IJobMarket.PartialArbiter.selector, parties[i]));
            (t.bond, t.disputeBond) = (0, 1);
            _openFails(t, abi.encodeWithSelector(IJobMarket.PartialArbiter.selector, parties[i]));
            (t.bond, t.disputeBond) = (0, 0);
            _openSucceeds(t);
        }
        (t.arbiter, t.bond, t.disputeBond) = (PROVIDER, type(uint128).max, type(uint128).max);
        _openSucceeds(t);
    }

    function test_open_deadlineLimits() public {
        IJobMarket.Terms memory t = _terms();
        t.deadline = START - 1;
        _openOutOfRange(t, "deadline", t.deadline, START, START + 365 days);
        t.deadline = START + 365 days + 1;
        _openOutOfRange(t, "deadline", t.deadline, START, START + 365 days);
        t.deadline = type(uint40).max;
        _openOutOfRange(t, "deadline", t.deadline, START, START + 365 days);

        t.deadline = START;
        _openSucceeds(t);
        t.deadline = START + 365 days;
        _openSucceeds(t);
    }

    function test_open_graceLimits() public {
        IJobMarket.Terms memory t = _terms();
        t.leaseSeconds = 30 days;
        t.attemptSeconds = 30 days;
        t.graceSeconds = 59;
        _openOutOfRange(t, "graceSeconds", 59, 60, 7.5 days);
        t.graceSeconds = uint32(7.5 days) + 1;
        _openOutOfRange(t, "graceSeconds", 7.5 days + 1, 60, 7.5 days);

        t.graceSeconds = 60;
        _openSucceeds(t);
        t.graceSeconds = uint32(7.5 days);
        _openSucceeds(t);
    }

    function test_open_leaseLimits() public {
        IJobMarket.Terms memory t = _terms();
        t.attemptSeconds = 31 days;
        t.leaseSeconds = 4 * t.graceSeconds - 1;
        _openOutOfRange(t, "leaseSeconds", t.leaseSeconds, 4 * t.graceSeconds, 30 days);
        t.leaseSeconds = 30 days + 1;
        _openOutOfRange(t, "leaseSeconds", t.leaseSeconds, 4 * t.graceSeconds, 30 days);

        t.leaseSeconds = 4 * t.graceSeconds;
        _openSucceeds(t);
        t.leaseSeconds = 30 days;
        _openSucceeds(t);
    }

    function test_open_attemptLimits() public {
        IJobMarket.Terms memory t = _terms();
        t.attemptSeconds = t.leaseSeconds - 1;
        _openOutOfRange(t, "attemptSeconds", t.attemptSeconds, t.leaseSeconds, type(uint32).max);

        t.attemptSeconds = t.leaseSeconds;
        _openSucceeds(t);
        t.attemptSeconds = type(uint32).max;
        _openSucceeds(t);
    }

    function test_open_holdLimits() public {
        IJobMarket.Terms memory t = _terms();
        t.holdSeconds = 30 days + 1;
        _openOutOfRange(t, "holdSeconds", t.holdSeconds, 0, 30 days);

        t.holdSeconds = 30 days;
        _openSucceeds(t);
    }

    function test_open_windowLimits() public {
        IJobMarket.Terms memory t = _terms();
        t.challengeWindow = 1 hours - 1;
        _openOutOfRange(t, "challengeWindow", t.challengeWindow, 1 hours, 30 days);
        t.challengeWindow = 30 days + 1;
        _openOutOfRange(t, "challengeWindow", t.challengeWindow, 1 hours, 30 days);
        t.challengeWindow = 1 hours;
        _openSucceeds(t);
        t.challengeWindow = 30 days;
        _openSucceeds(t);

        t = _terms();
        t.rulingSeconds = 1 hours - 1;
        _openOutOfRange(t, "rulingSeconds", t.rulingSeconds, 1 hours, 30 days);
        t.rulingSeconds = 30 days + 1;
        _openOutOfRange(t, "rulingSeconds", t.rulingSeconds, 1 hours, 30 days);
        t.rulingSeconds = 1 hours;
        _openSucceeds(t);
        t.rulingSeconds = 30 days;
        _openSucceeds(t);
    }

    /// @dev A value that is too large for its field makes no job, whichever of the bits above the field are set.
    function test_open_refusesStrayBits() public {
        IJobMarket.Terms memory t = _terms();
        _fund(t);
        uint8[15] memory widths = [160, 160, 160, 160, 128, 128, 128, 128, 40, 32, 32, 32, 32, 32, 32];
        for (uint256 field; field < widths.length; ++field) {
            _strayBitFails(t, field, widths[field]);
            _strayBitFails(t, field, 255);
        }
        _assertBalances(NATIVE, BOUNTY, 0, 0, 0);
    }

    /// @dev Each field counts: changing any of them makes another job.
    function test_jobId_dependsOnEveryField() public view {
        bytes memory data = abi.encode(_terms());
        bytes32[] memory ids = new bytes32[](18);
        ids[17] = market.jobId(_terms());
        for (uint256 field; field < 17; ++field) {
            bytes memory changed = abi.encodePacked(data);
            changed[32 * field + 31] ^= 0x01;
            ids[field] = market.jobId(abi.decode(changed, (IJobMarket.Terms)));
            for (uint256 i; i < field; ++i) {
                vm.assertNotEq(ids[i], ids[field], "same id");
            }
            vm.assertNotEq(ids[17], ids[field], "id of the unchanged terms");
        }
    }

    function testFuzz_jobId_isTheDigestOfTheTerms(IJobMarket.Terms memory t) public view {
        vm.assertEq(market.jobId(t), _id(t), "id");
    }

    /// @dev Whatever opens can complete: every time in it is within the documented limits.
    function testFuzz_open_onlyWithinLimits(IJobMarket.Terms memory t, uint256 near) public {
        t.submitter = SUBMITTER;
        t.token = NATIVE;
        // Random words are almost never valid; half of the runs start from valid terms and move one of them.
        if (near % 2 == 0) {
            uint128 bounty = t.bounty;
            uint32 value = t.leaseSeconds;
            t = _terms();
            t.bounty = bounty;
            uint256 which = near / 2 % 6;
            if (which == 0) t.graceSeconds = value % 1000;
            if (which == 1) t.leaseSeconds = value % 40 days;
            if (which == 2) t.attemptSeconds = value % 2 hours;
            if (which == 3) t.holdSeconds = value % 60 days;
            if (which == 4) t.challengeWindow = value % 60 days;
            if (which == 5) t.rulingSeconds = value % 60 days;
        }
        bool biased =
            (t.bond > 0 || t.disputeBond > 0) && (t.arbiter == SUBMITTER || t.arbiter == t.scheduler);
        bool valid = !biased && t.scheduler != address(0) && t.arbiter != address(0) && t.bounty > 0
            && t.fee <= t.bounty && t.deadline >= START && t.deadline <= START + 365 days
            && t.graceSeconds >= 60 && uint256(t.leaseSeconds) >= 4 * uint256(t.graceSeconds)
            && t.leaseSeconds <= 30 days && t.attemptSeconds >= t.leaseSeconds && t.holdSeconds <= 30 days
            && t.challengeWindow >= 1 hours && t.challengeWindow <= 30 days && t.rulingSeconds >= 1 hours
            && t.rulingSeconds <= 30 days;

        vm.deal(SUBMITTER, t.bounty);
        vm.prank(SUBMITTER);
        try market.open{value: t.bounty}(t) {
            vm.assertTrue(valid, "opened under invalid terms");
            vm.assertEq(address(market).balance, t.bounty, "escrow");
        } catch {
            vm.assertFalse(valid, "refused valid terms");
        }
    }

    /* CANCEL */

    function test_cancel_returnsTheBountyAtOnce() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);

        vm.expectEmit(address(market));
        emit IJobMarket.Cancelled(id, BOUNTY);
        vm.prank(SUBMITTER);
        market.cancel(t);

        _assertJob(id, IJobMarket.State.Cancelled, address(0), START, 0, 0, 0);
        _assertBalances(NATIVE, BOUNTY, 0, 0, 0);
    }

    function test_cancel_returnsTokens() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        _open(t);
        vm.prank(SUBMITTER);
        market.cancel(t);
        _assertBalances(address(token), BOUNTY, 0, 0, 0);
    }

    function test_cancel_worksBetweenAttemptsAndAfterTheDeadline() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.prank(PROVIDER);
        market.release(t, _noSignature());
        vm.warp(t.deadline + 1);

        vm.prank(SUBMITTER);
        market.cancel(t);

        _assertJob(id, IJobMarket.State.Cancelled, address(0), t.deadline + 1, 0, 1, 0);
        _assertBalances(NATIVE, BOUNTY, 0, 0, 0);
    }

    function test_cancel_forbidsATermThatWasNotOpened() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _id(t);
        vm.deal(address(market), BOUNTY);

        vm.expectEmit(address(market));
        emit IJobMarket.Cancelled(id, 0);
        vm.prank(SUBMITTER);
        market.cancel(t);

        _assertBalances(NATIVE, 0, 0, 0, BOUNTY);
        _openFails(t, abi.encodeWithSelector(IJobMarket.WrongState.selector, id, IJobMarket.State.Cancelled));
    }

    function test_cancel_refusesOthersThanTheSubmitter() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotSubmitter.selector, SCHEDULER, SUBMITTER));
        vm.prank(SCHEDULER);
        market.cancel(t);
    }

    function test_cancel_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _cancelFails(t, id, IJobMarket.State.Assigned);
        _publish(t, NODE_KEY, 1);
        _cancelFails(t, id, IJobMarket.State.Published);
        _settle(t, NODE_KEY, 1);
        _cancelFails(t, id, IJobMarket.State.Paid);

        (t, id) = _openAndHold();
        _cancelFails(t, id, IJobMarket.State.Held);

        t = _terms();
        t.salt = keccak256("another");
        id = _open(t);
        vm.prank(SUBMITTER);
        market.cancel(t);
        _cancelFails(t, id, IJobMarket.State.Cancelled);

        t.salt = keccak256("a third");
        id = _open(t);
        vm.warp(t.deadline + 1);
        market.refund(t);
        _cancelFails(t, id, IJobMarket.State.Refunded);
    }

    /* REFUND */

    function test_refund_ofAnOpenJobByAnyone() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        vm.warp(t.deadline + 1);

        vm.expectEmit(address(market));
        emit IJobMarket.Refunded(id, BOUNTY);
        vm.prank(STRANGER);
        market.refund(t);

        _assertJob(id, IJobMarket.State.Refunded, address(0), t.deadline + 1, 0, 0, 0);
        _assertBalances(NATIVE, BOUNTY, 0, 0, 0);
    }

    function test_refund_ofAnAssignedJobWhoseLeaseStillRuns() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        bytes32 id = _open(t);
        vm.warp(t.deadline);
        _assign(t, NODE, 1);
        vm.warp(t.deadline + 1);

        vm.prank(STRANGER);
        market.refund(t);

        _assertJob(id, IJobMarket.State.Refunded, address(0), t.deadline + 1, 0, 1, 0);
        _assertBalances(address(token), BOUNTY, 0, 0, 0);
    }

    function test_refund_refusesUntilTheDeadlineHasPassed() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        vm.warp(t.deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.DeadlineNotPassed.selector, t.deadline));
        vm.prank(SUBMITTER);
        market.refund(t);
    }

    function test_refund_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        vm.warp(t.deadline + 1);
        _refundFails(t, _id(t), IJobMarket.State.None);
        vm.warp(START);

        bytes32 id;
        (t, id) = _openAndPublish();
        vm.warp(t.deadline + 1);
        _refundFails(t, id, IJobMarket.State.Published);
        vm.warp(START + t.challengeWindow + 1);
        market.claim(t);
        _refundFails(t, id, IJobMarket.State.Paid);

        vm.warp(START);
        (t, id) = _openAndHold();
        vm.warp(t.deadline + 1);
        _refundFails(t, id, IJobMarket.State.Held);

        t = _terms();
        t.salt = keccak256("another");
        vm.warp(START);
        id = _open(t);
        vm.warp(t.deadline + 1);
        market.refund(t);
        _refundFails(t, id, IJobMarket.State.Refunded);

        t.salt = keccak256("a third");
        vm.warp(START);
        id = _open(t);
        vm.prank(SUBMITTER);
        market.cancel(t);
        vm.warp(t.deadline + 1);
        _refundFails(t, id, IJobMarket.State.Cancelled);
    }

    /* STEPS */

    /// @dev The submitter's own field is read to know who may open, so there the call fails without a reason.
    function _strayBitFails(IJobMarket.Terms memory t, uint256 field, uint256 bit) private {
        bytes memory data = abi.encodeCall(IJobMarket.open, (t));
        data[4 + 32 * field + 31 - bit / 8] |= bytes1(0x01) << (bit % 8);
        vm.prank(SUBMITTER);
        (bool ok, bytes memory answer) = address(market).call{value: BOUNTY}(data);
        vm.assertFalse(ok, "opened");
        bytes memory expected = field == 0 ? bytes("") : abi.encodeWithSelector(IJobMarket.StrayBits.selector);
        vm.assertEq(keccak256(answer), keccak256(expected), "reason");
    }

    function _openFails(IJobMarket.Terms memory t, uint256 value, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(SUBMITTER);
        market.open{value: value}(t);
    }

    function _openFails(IJobMarket.Terms memory t, bytes memory error_) private {
        vm.deal(SUBMITTER, t.bounty);
        _openFails(t, t.bounty, error_);
        vm.assertEq(SUBMITTER.balance, t.bounty, "nothing moved");
    }

    function _openOutOfRange(
        IJobMarket.Terms memory t,
        string memory term,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        _openFails(t, abi.encodeWithSelector(IJobMarket.TermOutOfRange.selector, term, value, min, max));
    }

    function _openSucceeds(IJobMarket.Terms memory t) private {
        _assertState(_open(t), IJobMarket.State.Open);
    }

    function _cancelFails(IJobMarket.Terms memory t, bytes32 id, IJobMarket.State state) private {
        _expectWrongState(id, state);
        vm.prank(SUBMITTER);
        market.cancel(t);
    }

    function _refundFails(IJobMarket.Terms memory t, bytes32 id, IJobMarket.State state) private {
        _expectWrongState(id, state);
        vm.prank(SUBMITTER);
        market.refund(t);
    }
}
