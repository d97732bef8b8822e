// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {BondedJob} from "./BondedJob.sol";

/// @notice What a provider that falls silent loses, who gets it, and what does not happen to everybody else.
contract ForfeitsTest is BondedJob {
    /* FORFEITING */

    function test_lapse_forfeits() public {
        _assignWithTerms(t, NODE_KEY, 1);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Lapsed(id, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Forfeited(id, PROVIDER, BOND - HALF, HALF);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(SUBMITTER, NATIVE, BOND - HALF);
        _lapse(t);
        _assertEvents("Lapsed Forfeited Credited");

        _assertState(id, IJobMarket.State.Open);
        _assertForfeits(id, 1);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT - BOND, 0);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT, 0);
        _assertBalances(NATIVE, 0, 0, 0, 2 * LIMIT + BOUNTY);
    }

    function test_lapse_bySubmitterForfeitsAGraceTimeLater() public {
        _assignWithTerms(t, NODE_KEY, 1);
        uint40 until = START + t.leaseSeconds + t.graceSeconds;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.LeaseRunning.selector, until));
        vm.prank(SUBMITTER);
        market.lapse(t);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT, BOND);

        vm.warp(until + 1);
        vm.prank(SUBMITTER);
        market.lapse(t);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT - BOND, 0);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT, 0);
    }

    function test_takeover_forfeitsTheOldBondAndLocksTheNew() public {
        _assignWithTerms(t, NODE_KEY, 1);
        uint40 end = START + t.leaseSeconds;
        vm.warp(end);
        _assignFails(
            _assignment(t, OTHER_NODE_KEY, 2), abi.encodeWithSelector(IJobMarket.LeaseRunning.selector, end)
        );
        vm.warp(end + 1);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Debited(OTHER_PROVIDER, NATIVE, BOND);
        vm.expectEmit(address(market));
        emit IJobMarket.Lapsed(id, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Forfeited(id, PROVIDER, BOND - HALF, HALF);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(SUBMITTER, NATIVE, BOND - HALF);
        vm.expectEmit(address(market));
        emit IJobMarket.Assigned(id, OTHER_NODE, OTHER_PROVIDER, 2);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);
        _assertEvents("Debited Lapsed Forfeited Credited Assigned");

        _assertForfeits(id, 1);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT - BOND, 0);
        _assertApproval(OTHER_PROVIDER, SCHEDULER, NATIVE, true, LIMIT, BOND);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT - BOND, 0);
    }

    /// @dev A takeover that is refused takes nothing from the node whose lease ended.
    function test_takeover_thatFailsForfeitsNothing() public {
        _assignWithTerms(t, NODE_KEY, 1);
        vm.prank(OTHER_PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, 0);
        vm.warp(START + t.leaseSeconds + 1);
        _assignFails(
            _assignment(t, OTHER_NODE_KEY, 2),
            abi.encodeWithSelector(
                IJobMarket.BondAboveLimit.selector, OTHER_PROVIDER, SCHEDULER, uint256(BOND), 0
            )
        );
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT, BOND);
        _assertInMarket(NATIVE, 0, LIMIT - BOND, LIMIT, 0);
        _settle(t, NODE_KEY, 1);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT, 0);
        _assertInMarket(NATIVE, 0, LIMIT, LIMIT, 0);
    }

    /// @dev The provider takes its own job over: it needs room for both bonds, and loses the first.
    function test_takeover_byTheSameProvider() public {
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, 2 * BOND - 1);
        _assignWithTerms(t, NODE_KEY, 1);
        vm.warp(START + t.leaseSeconds + 1);
        _assignFails(_assignment(t, NODE_KEY, 2), _aboveLimit(2 * BOND, 2 * BOND - 1));
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, 2 * BOND);
        _assignWithTerms(t, NODE_KEY, 2);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, BOND, BOND);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - 2 * BOND, LIMIT, 0);

        _settle(t, NODE_KEY, 2);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, BOND, 0);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT, 0);
        _assertBalances(NATIVE, 0, BOUNTY - FEE + HALF, FEE, 2 * LIMIT - HALF);
    }

    /* THE POOL */

    /// @dev Two providers fell silent, one of them twice; the one that completes the job gets half of every bond.
    function test_pool_goesToWhoeverCompletes() public {
        _assignWithTerms(t, NODE_KEY, 1);
        _lapse(t);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);
        _lapse(t);
        _assignWithTerms(t, OTHER_NODE_KEY, 3);
        _lapse(t);
        _assignWithTerms(t, NODE_KEY, 4);
        _assertForfeits(id, 3);

        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE + 3 * HALF, FEE);
        _settle(t, NODE_KEY, 4);

        _assertForfeits(id, 3);
        _assertInMarket(NATIVE, 3 * (BOND - HALF), LIMIT - BOND, LIMIT - 2 * BOND, 0);
        _assertBalances(NATIVE, 0, BOUNTY - FEE + 3 * HALF, FEE, 2 * LIMIT - 3 * HALF);
    }

    function test_pool_goesToTheSubmitterThatCancels() public {
        _assignWithTerms(t, NODE_KEY, 1);
        _lapse(t);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);
        _lapse(t);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Cancelled(id, BOUNTY + 2 * HALF);
        vm.prank(SUBMITTER);
        market.cancel(t);
        _assertEvents("Cancelled");
        _assertForfeits(id, 2);
        _assertInMarket(NATIVE, 2 * (BOND - HALF), LIMIT - BOND, LIMIT - BOND, 0);
        _assertBalances(NATIVE, BOUNTY + 2 * HALF, 0, 0, 2 * LIMIT - 2 * HALF);
    }

    function test_pool_goesToTheSubmitterAtRefund() public {
        _assignWithTerms(t, NODE_KEY, 1);
        _lapse(t);
        vm.warp(t.deadline + 1);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Refunded(id, BOUNTY + HALF);
        market.refund(t);
        _assertEvents("Refunded");
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT, 0);
        _assertBalances(NATIVE, BOUNTY + HALF, 0, 0, 2 * LIMIT - HALF);
    }

    /// @dev Who holds the job at the deadline and has published nothing loses the bond as well, though its lease runs.
    function test_refund_takesTheBondOfTheProviderThatNeverDelivered() public {
        _assignWithTerms(t, NODE_KEY, 1);
        _lapse(t);
        vm.warp(t.deadline);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);
        vm.warp(t.deadline + 1);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Refunded(id, BOUNTY + HALF + BOND);
        vm.prank(STRANGER);
        market.refund(t);
        _assertEvents("Refunded");

        _assertJob(id, t.deadline + 1, 2, 1);
        _assertApproval(OTHER_PROVIDER, SCHEDULER, NATIVE, true, LIMIT - BOND, 0);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT - BOND, 0);
        _assertBalances(NATIVE, BOUNTY + HALF + BOND, 0, 0, 2 * LIMIT - HALF - BOND);
    }

    /// @dev The way out for a node that cannot deliver in time: its lease may reach past the deadline.
    function test_release_afterTheDeadlineSavesTheBond() public {
        vm.warp(t.deadline);
        _assignWithTerms(t, NODE_KEY, 1);
        vm.warp(t.deadline + 1);
        _release(t);
        market.refund(t);
        _assertNothingLocked();
        _assertBalances(NATIVE, BOUNTY, 0, 0, 2 * LIMIT);
    }

    /* EDGES */

    function test_bondOfOneWei() public {
        t.bond = 1;
        id = _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Forfeited(id, PROVIDER, 1, 0);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(SUBMITTER, NATIVE, 1);
        _lapse(t);
        _assertForfeits(id, 1);
        _assignWithTerms(t, NODE_KEY, 2);
        _settle(t, NODE_KEY, 2);
        _assertInMarket(NATIVE, 1, LIMIT - 1, LIMIT, 0);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 2 * LIMIT + BOUNTY);
    }

    /// @dev The counter of the pool ends at 255. From then on the submitter gets whole bonds, and nothing is lost.
    function test_forfeits_countToTheEnd() public {
        _assignWithTerms(t, NODE_KEY, 1);
        // The halves of 254 bonds more than there were; the market gets them by hand.
        _overwrite(id, 244, 254);
        vm.deal(address(market), address(market).balance + 254 * uint256(HALF));
        vm.expectEmit(address(market));
        emit IJobMarket.Forfeited(id, PROVIDER, BOND - HALF, HALF);
        _lapse(t);
        _assertForfeits(id, 255);

        _assignWithTerms(t, NODE_KEY, 2);
        vm.expectEmit(address(market));
        emit IJobMarket.Forfeited(id, PROVIDER, BOND, 0);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(SUBMITTER, NATIVE, BOND);
        _lapse(t);
        _assertForfeits(id, 255);
        _assertInMarket(NATIVE, 2 * BOND - HALF, LIMIT - 2 * BOND, LIMIT, 0);

        _assignWithTerms(t, OTHER_NODE_KEY, 3);
        _settle(t, OTHER_NODE_KEY, 3);
        vm.assertEq(OTHER_PROVIDER.balance, BOUNTY - FEE + 255 * uint256(HALF), "paid with the pool");
        _assertInMarket(NATIVE, 2 * BOND - HALF, LIMIT - 2 * BOND, LIMIT, 0);
        vm.assertEq(
            address(market).balance, 2 * uint256(LIMIT) - HALF, "what is left is the parties' balances"
        );
    }

    function test_limit_loweredWhileBondsAreLocked() public {
        _assignWithTerms(t, NODE_KEY, 1);
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, BOND - 1);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, BOND - 1, BOND);
        _release(t);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, BOND - 1, 0);
        _assignFails(_assignment(t, NODE_KEY, 2), _aboveLimit(BOND, BOND - 1));

        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, BOND);
        _assignWithTerms(t, NODE_KEY, 2);
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, BOND - 1);
        _lapse(t);
        // A limit below the forfeited bond ends at zero.
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, 0, 0);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT, 0);
    }

    function test_disapproval_leavesWhatIsLockedAsItIs() public {
        _assignWithTerms(t, NODE_KEY, 1);
        vm.prank(PROVIDER);
        market.disapproveScheduler(SCHEDULER);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, false, LIMIT, BOND);
        _assertInMarket(NATIVE, 0, LIMIT - BOND, LIMIT, 0);
        _settle(t, NODE_KEY, 1);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, false, LIMIT, 0);

        t.salt = keccak256("another");
        _open(t);
        _assignFails(
            _assignment(t, NODE_KEY, 1),
            abi.encodeWithSelector(IJobMarket.SchedulerNotApproved.selector, PROVIDER, SCHEDULER)
        );
    }

    function test_disapproval_doesNotSaveASilentNodesBond() public {
        _assignWithTerms(t, NODE_KEY, 1);
        vm.prank(PROVIDER);
        market.disapproveScheduler(SCHEDULER);
        _lapse(t);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, false, LIMIT - BOND, 0);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT, 0);
    }

    /// @dev Whoever steals a node's key can accept and fall silent again and again, but not for more than the limit.
    function test_limit_boundsWhatAStolenNodeKeyCosts() public {
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, 3 * BOND + 1);
        for (uint16 attempt = 1; attempt <= 3; ++attempt) {
            _assignWithTerms(t, NODE_KEY, attempt);
            _lapse(t);
        }
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, 1, 0);
        _assignFails(_assignment(t, NODE_KEY, 4), _aboveLimit(BOND, 1));
        _assertInMarket(NATIVE, 3 * (BOND - HALF), LIMIT - 3 * BOND, LIMIT, 0);
    }

    function test_providerThatIsTheSubmitter() public {
        t.submitter = PROVIDER;
        id = _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
        _lapse(t);
        _assertInMarket(NATIVE, 0, LIMIT - HALF, LIMIT, 0);
        _assignWithTerms(t, NODE_KEY, 2);
        _assertInMarket(NATIVE, 0, LIMIT - HALF - BOND, LIMIT, 0);
        vm.warp(t.deadline + 1);
        market.refund(t);
        _assertInMarket(NATIVE, 0, LIMIT - HALF - BOND, LIMIT, 0);
        _assertBalances(NATIVE, 0, BOUNTY + HALF + BOND, 0, 2 * LIMIT + BOUNTY - HALF - BOND);
    }

    /// @dev A submitter that schedules its own job still needs the node's acceptance, and waits no grace time.
    function test_submitterThatIsTheScheduler() public {
        t.scheduler = SUBMITTER;
        id = _open(t);
        vm.prank(PROVIDER);
        market.approveScheduler(SUBMITTER, NATIVE, BOND);
        _assignWithTerms(t, NODE_KEY, 1);
        _lapse(t);
        _assertApproval(PROVIDER, SUBMITTER, NATIVE, true, 0, 0);
        _assertInMarket(NATIVE, BOND - HALF, LIMIT - BOND, LIMIT, 0);
    }

    /* STEPS */

    function _assertNothingLocked() private view {
        (, uint128 limit, uint128 used) = market.approval(PROVIDER, SCHEDULER, NATIVE);
        vm.assertEq(limit, LIMIT, "limit");
        vm.assertEq(used, 0, "used");
        _assertApproval(OTHER_PROVIDER, SCHEDULER, NATIVE, true, LIMIT, 0);
        _assertInMarket(NATIVE, 0, LIMIT, LIMIT, 0);
    }

    /// @dev A refunded job.
    function _assertJob(bytes32 id_, uint256 at, uint16 attempt, uint256 forfeits) private view {
        _assertState(id_, IJobMarket.State.Refunded);
        (, address node, uint40 at_,, uint16 attempt_,,) = market.job(id_);
        vm.assertEq(node, address(0), "node");
        vm.assertEq(at_, at, "at");
        vm.assertEq(attempt_, attempt, "attempt");
        _assertForfeits(id_, forfeits);
    }
}
