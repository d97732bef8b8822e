// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";

/// @notice `assign`, `callIn`, `renew`, `release` and `lapse`: who holds the job, and until when.
contract LeaseTest is Base {
    uint8 private constant CALLED_IN = 1;

    /* ASSIGN */

    function test_assign_startsALease() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        vm.warp(START + 10);

        vm.expectEmit(address(market));
        emit IJobMarket.Assigned(id, NODE, PROVIDER, 1);
        _assign(t, NODE, 1);

        _assertJob(id, IJobMarket.State.Assigned, NODE, START + 10, START + 10, 1, 0);
        vm.assertEq(market.leaseEnd(t), START + 10 + t.leaseSeconds, "lease");
        _assertBalances(NATIVE, 0, 0, 0, BOUNTY);
    }

    function test_assign_atTheDeadlineButNotAfter() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        vm.warp(t.deadline + 1);
        _assignFails(t, NODE, 1, abi.encodeWithSelector(IJobMarket.DeadlinePassed.selector, t.deadline));
        vm.warp(t.deadline);
        _assign(t, NODE, 1);
    }

    function test_assign_refusesOthersThanTheScheduler() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotScheduler.selector, SUBMITTER, SCHEDULER));
        vm.prank(SUBMITTER);
        market.assign(_id(t), NODE, 1);
    }

    function test_assign_refusesWrongAttempts() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        _assignFails(t, NODE, 0, abi.encodeWithSelector(IJobMarket.WrongAttempt.selector, 0, 1));
        _assignFails(t, NODE, 2, abi.encodeWithSelector(IJobMarket.WrongAttempt.selector, 2, 1));
        _assign(t, NODE, 1);
        vm.prank(PROVIDER);
        market.release(t, _noSignature());
        _assignFails(t, NODE, 1, abi.encodeWithSelector(IJobMarket.WrongAttempt.selector, 1, 2));
        _assign(t, NODE, 2);
    }

    function test_assign_refusesNodesThatMayNotWork() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        _assignFails(t, STRANGER, 1, abi.encodeWithSelector(IJobMarket.NotEnrolled.selector, STRANGER));
        _assignFails(t, address(0), 1, abi.encodeWithSelector(IJobMarket.NotEnrolled.selector, address(0)));

        vm.prank(PROVIDER);
        market.revoke(NODE);
        _assignFails(t, NODE, 1, abi.encodeWithSelector(IJobMarket.NodeRevoked.selector, NODE));

        vm.prank(OTHER_PROVIDER);
        market.disapproveScheduler(SCHEDULER);
        _assignFails(
            t,
            OTHER_NODE,
            1,
            abi.encodeWithSelector(IJobMarket.SchedulerNotApproved.selector, OTHER_PROVIDER, SCHEDULER)
        );
        _assertState(id, IJobMarket.State.Open);
    }

    function test_assign_refusesWhileTheLeaseRuns() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        uint40 end = START + t.leaseSeconds;
        vm.warp(end);
        bytes memory running = abi.encodeWithSelector(IJobMarket.LeaseRunning.selector, end);
        _assignWithTermsFails(t, OTHER_NODE_KEY, 2, running);
        _assignWithTermsFails(t, NODE_KEY, 2, running);
    }

    function test_assign_lapsesAnEndedLeaseInOneStep() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _warpAndCallIn(t, START + 2000);
        uint40 later = START + 2000 + t.graceSeconds + 1;
        vm.warp(later);

        vm.expectEmit(address(market));
        emit IJobMarket.Lapsed(id, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Assigned(id, OTHER_NODE, OTHER_PROVIDER, 2);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);

        _assertJob(id, IJobMarket.State.Assigned, OTHER_NODE, later, later, 2, 0);
    }

    function test_assign_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        _assignFails(t, NODE, 1, _wrongState(_id(t), IJobMarket.State.None));

        bytes32 id;
        (t, id) = _openAndPublish();
        _assignFails(t, NODE, 2, _wrongState(id, IJobMarket.State.Published));
        _settle(t, NODE_KEY, 1);
        _assignFails(t, NODE, 2, _wrongState(id, IJobMarket.State.Paid));

        (t, id) = _openAndHold();
        _assignFails(t, NODE, 2, _wrongState(id, IJobMarket.State.Held));

        t = _terms();
        t.salt = keccak256("another");
        id = _open(t);
        vm.prank(SUBMITTER);
        market.cancel(t);
        _assignFails(t, NODE, 1, _wrongState(id, IJobMarket.State.Cancelled));
    }

    /// @dev The counter ends at 65535: no attempt number ever comes twice, and the bounty stays refundable.
    function test_assign_countsToTheEnd() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        // Nothing but 65535 assignments reaches this, so the counter is set by hand.
        _overwrite(id, 228, type(uint16).max);
        _assertJob(id, IJobMarket.State.Assigned, NODE, START, START, type(uint16).max, 0);
        vm.prank(PROVIDER);
        market.release(t, _noSignature());

        _assignFails(t, NODE, 0, abi.encodeWithSelector(IJobMarket.WrongAttempt.selector, 0, 65_536));
        _assignFails(t, NODE, 1, abi.encodeWithSelector(IJobMarket.WrongAttempt.selector, 1, 65_536));
        vm.warp(t.deadline + 1);
        market.refund(t);
        _assertBalances(NATIVE, BOUNTY, 0, 0, 0);
    }

    /// @dev Whoever takes a job over gives its terms, because they say when the lease ended.
    function test_assign_byIdOfOpenJobsOnly() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _assignFails(t, OTHER_NODE, 2, _wrongState(id, IJobMarket.State.Assigned));
        vm.warp(START + t.leaseSeconds + 1);
        _assignFails(t, OTHER_NODE, 2, _wrongState(id, IJobMarket.State.Assigned));
        _assertJob(id, IJobMarket.State.Assigned, NODE, START, START, 1, 0);
    }

    function test_assignWithTerms_anOpenJob() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        vm.expectEmit(address(market));
        emit IJobMarket.Assigned(id, NODE, PROVIDER, 1);
        _assignWithTerms(t, NODE_KEY, 1);
        _assertJob(id, IJobMarket.State.Assigned, NODE, START, START, 1, 0);
    }

    /* CALL IN */

    function test_callIn_shortensTheLease() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        uint40 when = START + t.leaseSeconds / 4;
        vm.warp(when);

        vm.expectEmit(address(market));
        emit IJobMarket.CalledIn(id, 1, when + t.graceSeconds);
        _callIn(t);

        _assertJob(id, IJobMarket.State.Assigned, NODE, when, START, 1, CALLED_IN);
        vm.assertEq(market.leaseEnd(t), when + t.graceSeconds, "lease");
    }

    function test_callIn_refusesOthersThanTheScheduler() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        vm.warp(START + 2000);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotScheduler.selector, SUBMITTER, SCHEDULER));
        vm.prank(SUBMITTER);
        market.callIn(t);
    }

    function test_callIn_refusesAFreshLease() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        uint40 earliest = START + t.leaseSeconds / 4;
        vm.warp(earliest - 1);
        _callInFails(t, abi.encodeWithSelector(IJobMarket.CallInTooEarly.selector, earliest));
    }

    function test_callIn_onceARenewal() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        _warpAndCallIn(t, START + 2000);
        uint40 end = START + 2000 + t.graceSeconds;
        vm.warp(end);
        _callInFails(t, abi.encodeWithSelector(IJobMarket.AlreadyCalledIn.selector, end));

        _renew(t, NODE_KEY, 1, end);
        _callInFails(t, abi.encodeWithSelector(IJobMarket.CallInTooEarly.selector, end + t.leaseSeconds / 4));
        _warpAndCallIn(t, end + t.leaseSeconds / 4);
    }

    function test_callIn_refusesWithoutEffect() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        uint40 end = START + t.leaseSeconds;
        bytes memory expected = abi.encodeWithSelector(IJobMarket.CallInWithoutEffect.selector, end);
        vm.warp(end - t.graceSeconds);
        _callInFails(t, expected);
        vm.warp(end + 1);
        _callInFails(t, expected);

        _warpAndCallIn(t, end - t.graceSeconds - 1);
        vm.assertEq(market.leaseEnd(t), end - 1, "lease");
    }

    function test_callIn_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        _callInFails(t, _wrongState(id, IJobMarket.State.Open));
        _assign(t, NODE, 1);
        _publish(t, NODE_KEY, 1);
        _callInFails(t, _wrongState(id, IJobMarket.State.Published));
    }

    /* RENEW */

    function test_renew_extendsTheLeaseForAnyoneWithTheSignature() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(START + 1000);
        IJobMarket.Signature memory s = _signRenew(NODE_KEY, id, 1, START + 990);

        vm.expectEmit(address(market));
        emit IJobMarket.Renewed(id, 1, START + 990 + t.leaseSeconds);
        vm.prank(STRANGER);
        market.renew(t, START + 990, s);

        _assertJob(id, IJobMarket.State.Assigned, NODE, START + 990, START, 1, 0);
        vm.assertEq(market.leaseEnd(t), START + 990 + t.leaseSeconds, "lease");
    }

    function test_renew_answersACallIn() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _warpAndCallIn(t, START + 2000);
        uint40 last = START + 2000 + t.graceSeconds;
        vm.warp(last);
        _renew(t, NODE_KEY, 1, last);
        _assertJob(id, IJobMarket.State.Assigned, NODE, last, START, 1, 0);
        vm.assertEq(market.leaseEnd(t), last + t.leaseSeconds, "lease");
    }

    function test_renew_refusesAfterTheLease() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        uint40 end = START + t.leaseSeconds;
        vm.warp(end + 1);
        _renewFails(t, NODE_KEY, 1, end, abi.encodeWithSelector(IJobMarket.LeaseEnded.selector, end));
        vm.warp(end);
        _renew(t, NODE_KEY, 1, end);
    }

    function test_renew_neverPastTheAttempt() public {
        IJobMarket.Terms memory t = _terms();
        t.attemptSeconds = t.leaseSeconds + 100;
        _openAndAssign(t);
        uint40 end = START + t.attemptSeconds;
        vm.warp(START + t.leaseSeconds);
        _renew(t, NODE_KEY, 1, START + t.leaseSeconds);
        vm.assertEq(market.leaseEnd(t), end, "capped");
        vm.warp(end);
        _renew(t, NODE_KEY, 1, end);
        vm.assertEq(market.leaseEnd(t), end, "still capped");
        vm.warp(end + 1);
        _renewFails(t, NODE_KEY, 1, end + 1, abi.encodeWithSelector(IJobMarket.LeaseEnded.selector, end));
    }

    function test_renew_refusesFutureStaleAndOldRenewals() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        uint40 current = START + 1000;
        vm.warp(current);

        _renewFails(
            t,
            NODE_KEY,
            1,
            current + 1,
            abi.encodeWithSelector(IJobMarket.RenewalFromFuture.selector, current + 1, current)
        );
        uint40 stale = current - t.graceSeconds - 1;
        _renewFails(
            t,
            NODE_KEY,
            1,
            stale,
            abi.encodeWithSelector(IJobMarket.RenewalExpired.selector, stale, stale + t.graceSeconds)
        );

        _renew(t, NODE_KEY, 1, current - t.graceSeconds);
        _renew(t, NODE_KEY, 1, current - 10);
        bytes memory notNewer =
            abi.encodeWithSelector(IJobMarket.RenewalNotNewer.selector, current - 10, current - 10);
        _renewFails(t, NODE_KEY, 1, current - 10, notNewer);
        notNewer = abi.encodeWithSelector(IJobMarket.RenewalNotNewer.selector, current - 11, current - 10);
        _renewFails(t, NODE_KEY, 1, current - 11, notNewer);
    }

    /// @dev A renewal that was signed before the call-in does not answer it.
    function test_renew_refusesToAnswerACallInWithAnOlderRenewal() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        uint40 when = START + 2000;
        _warpAndCallIn(t, when);
        vm.warp(when + 1);
        _renewFails(
            t,
            NODE_KEY,
            1,
            when - 1,
            abi.encodeWithSelector(IJobMarket.RenewalNotNewer.selector, when - 1, when)
        );
        _renewFails(
            t, NODE_KEY, 1, when, abi.encodeWithSelector(IJobMarket.RenewalNotNewer.selector, when, when)
        );
    }

    function test_renew_refusesOtherSigners() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(START + 10);
        _renewFails(
            t,
            OTHER_NODE_KEY,
            1,
            START + 5,
            abi.encodeWithSelector(IJobMarket.BadSignature.selector, NODE, OTHER_NODE)
        );

        // The signature of another attempt recovers to somebody else.
        IJobMarket.Signature memory s = _signRenew(NODE_KEY, id, 2, START + 5);
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        market.renew(t, START + 5, s);

        s = _signRenew(NODE_KEY, id, 1, START + 5);
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        market.renew(t, START + 6, s);

        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadSignature.selector, NODE, address(0)));
        market.renew(t, START + 5, _noSignature());
    }

    /// @dev What a node signed for another chain, another contract or in another sense extends nothing and gives nothing
    /// back.
    function test_renewAndRelease_refuseSignaturesMadeForElsewhere() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(START + 10);
        bytes32 home = domain;
        bytes32[2] memory elsewhere =
            [_domain(block.chainid + 1, address(market)), _domain(block.chainid, address(token))];
        for (uint256 i; i < elsewhere.length; ++i) {
            domain = elsewhere[i];
            IJobMarket.Signature memory renewal = _signRenew(NODE_KEY, id, 1, START + 5);
            IJobMarket.Signature memory handover = _signRelease(NODE_KEY, id, 1);
            domain = home;
            _signatureFails(t, id, START + 5, renewal, handover);
        }
        _signatureFails(
            t, id, START + 5, _signAccept(NODE_KEY, id, 1, START + 5), _signRenew(NODE_KEY, id, 1, START + 5)
        );
        _assertJob(id, IJobMarket.State.Assigned, NODE, START, START, 1, 0);
    }

    function _signatureFails(
        IJobMarket.Terms memory t,
        bytes32 id,
        uint40 issuedAt,
        IJobMarket.Signature memory renewal,
        IJobMarket.Signature memory handover
    ) private {
        bytes32 typeHash = keccak256("Renew(bytes32 jobId,uint16 attempt,uint40 issuedAt)");
        vm.expectRevert(
            _badSignature(NODE, keccak256(abi.encode(typeHash, id, uint16(1), issuedAt)), renewal)
        );
        market.renew(t, issuedAt, renewal);
        typeHash = keccak256("Release(bytes32 jobId,uint16 attempt)");
        vm.expectRevert(_badSignature(NODE, keccak256(abi.encode(typeHash, id, uint16(1))), handover));
        market.release(t, handover);
    }

    function test_renew_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        _renewFails(t, NODE_KEY, 1, START, _wrongState(id, IJobMarket.State.Open));
        _assign(t, NODE, 1);
        _publish(t, NODE_KEY, 1);
        _renewFails(t, NODE_KEY, 1, START, _wrongState(id, IJobMarket.State.Published));
    }

    /// @dev A live node cannot be pushed out: whenever it is called in, a renewal within the grace time keeps the
    /// job, and neither scheduler nor submitter can take it before that time is over.
    function testFuzz_renew_keepsTheJobOfALiveNode(uint256 seed) public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        uint40 last = START;
        for (uint256 i; i < 5; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint40 when = last + _span(seed, t.leaseSeconds / 4, t.leaseSeconds - t.graceSeconds - 1);
            if (when + t.graceSeconds > START + t.attemptSeconds - t.graceSeconds) return;
            _warpAndCallIn(t, when);
            uint40 answered = when + _span(seed >> 128, 1, t.graceSeconds);
            vm.warp(answered);
            vm.expectPartialRevert(IJobMarket.LeaseRunning.selector);
            vm.prank(SCHEDULER);
            market.lapse(t);
            vm.expectPartialRevert(IJobMarket.LeaseRunning.selector);
            vm.prank(SCHEDULER);
            market.assignWithTerms(_assignment(t, OTHER_NODE_KEY, 2));
            _renew(t, NODE_KEY, 1, answered);
            last = answered;
            _assertJob(id, IJobMarket.State.Assigned, NODE, answered, START, 1, 0);
        }
    }

    /* RELEASE */

    function test_release_byTheProviderWithoutASignature() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(START + t.leaseSeconds);

        vm.expectEmit(address(market));
        emit IJobMarket.Released(id, 1);
        vm.prank(PROVIDER);
        market.release(t, _noSignature());

        _assertJob(id, IJobMarket.State.Open, address(0), START + t.leaseSeconds, 0, 1, 0);
        vm.assertEq(market.leaseEnd(t), 0, "no lease");
        _assertBalances(NATIVE, 0, 0, 0, BOUNTY);
    }

    function test_release_byAnyoneWithTheNodesSignature() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _warpAndCallIn(t, START + 2000);
        IJobMarket.Signature memory s = _signRelease(NODE_KEY, id, 1);
        vm.prank(STRANGER);
        market.release(t, s);
        _assertJob(id, IJobMarket.State.Open, address(0), START + 2000, 0, 1, 0);

        // The same signature does nothing in the next attempt.
        _assign(t, NODE, 2);
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        vm.prank(STRANGER);
        market.release(t, s);
    }

    function test_release_refusesOtherSigners() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        IJobMarket.Signature memory s = _signRelease(OTHER_NODE_KEY, id, 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadSignature.selector, NODE, OTHER_NODE));
        vm.prank(OTHER_PROVIDER);
        market.release(t, s);

        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadSignature.selector, NODE, address(0)));
        vm.prank(SCHEDULER);
        market.release(t, _noSignature());
    }

    function test_release_refusesAfterTheLease() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        vm.warp(START + t.leaseSeconds + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.LeaseEnded.selector, START + t.leaseSeconds));
        vm.prank(PROVIDER);
        market.release(t, _noSignature());
    }

    function test_release_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        _expectWrongState(id, IJobMarket.State.Open);
        market.release(t, _noSignature());
        _assign(t, NODE, 1);
        _publish(t, NODE_KEY, 1);
        _expectWrongState(id, IJobMarket.State.Published);
        vm.prank(PROVIDER);
        market.release(t, _noSignature());
    }

    /* LAPSE */

    function test_lapse_bySchedulerOnceTheLeaseEnded() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        uint40 end = START + t.leaseSeconds;
        vm.warp(end);
        _lapseFails(t, SCHEDULER, abi.encodeWithSelector(IJobMarket.LeaseRunning.selector, end));
        vm.warp(end + 1);

        vm.expectEmit(address(market));
        emit IJobMarket.Lapsed(id, 1);
        vm.prank(SCHEDULER);
        market.lapse(t);

        _assertJob(id, IJobMarket.State.Open, address(0), end + 1, 0, 1, 0);
        _assertBalances(NATIVE, 0, 0, 0, BOUNTY);
    }

    function test_lapse_bySubmitterAGraceTimeLater() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _warpAndCallIn(t, START + 2000);
        uint40 until = START + 2000 + 2 * t.graceSeconds;
        vm.warp(until);
        _lapseFails(t, SUBMITTER, abi.encodeWithSelector(IJobMarket.LeaseRunning.selector, until));
        vm.warp(until + 1);
        vm.prank(SUBMITTER);
        market.lapse(t);
        _assertJob(id, IJobMarket.State.Open, address(0), until + 1, 0, 1, 0);
    }

    function test_lapse_refusesOthers() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        vm.warp(START + 1 days);
        bytes memory expected = abi.encodeWithSelector(
            IJobMarket.NotSchedulerOrSubmitter.selector, PROVIDER, SCHEDULER, SUBMITTER
        );
        _lapseFails(t, PROVIDER, expected);
    }

    function test_lapse_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        _lapseFails(t, SCHEDULER, _wrongState(id, IJobMarket.State.Open));
        _assign(t, NODE, 1);
        _publish(t, NODE_KEY, 1);
        vm.warp(START + 1 days);
        _lapseFails(t, SCHEDULER, _wrongState(id, IJobMarket.State.Published));
    }

    /* STEPS */

    function _assignFails(IJobMarket.Terms memory t, address node, uint16 attempt, bytes memory error_)
        private
    {
        vm.expectRevert(error_);
        vm.prank(SCHEDULER);
        market.assign(_id(t), node, attempt);
    }

    function _assignWithTermsFails(
        IJobMarket.Terms memory t,
        uint256 nodeKey,
        uint16 attempt,
        bytes memory error_
    ) private {
        IJobMarket.Assignment memory a = _assignment(t, nodeKey, attempt);
        vm.expectRevert(error_);
        vm.prank(SCHEDULER);
        market.assignWithTerms(a);
    }

    function _warpAndCallIn(IJobMarket.Terms memory t, uint40 when) private {
        vm.warp(when);
        _callIn(t);
    }

    function _callInFails(IJobMarket.Terms memory t, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(SCHEDULER);
        market.callIn(t);
    }

    function _renew(IJobMarket.Terms memory t, uint256 nodeKey, uint16 attempt, uint40 issuedAt) private {
        IJobMarket.Signature memory s = _signRenew(nodeKey, _id(t), attempt, issuedAt);
        vm.prank(vm.addr(nodeKey));
        market.renew(t, issuedAt, s);
    }

    function _renewFails(
        IJobMarket.Terms memory t,
        uint256 nodeKey,
        uint16 attempt,
        uint40 issuedAt,
        bytes memory error_
    ) private {
        IJobMarket.Signature memory s = _signRenew(nodeKey, _id(t), attempt, issuedAt);
        vm.expectRevert(error_);
        vm.prank(vm.addr(nodeKey));
        market.renew(t, issuedAt, s);
    }

    function _lapseFails(IJobMarket.Terms memory t, address caller, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(caller);
        market.lapse(t);
    }
}
