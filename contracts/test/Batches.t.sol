// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";
import {Vm} from "./Vm.sol";

/// @notice `openMany`, `assignMany` and `cancelMany`, and all four batches at length: a batch does what its single verbs would do one
/// after the other, skips what they would refuse, and says why in their words.
contract BatchesTest is Steps {
    uint256 private constant MANY = 100;

    /* OPEN MANY */

    function test_openMany_ofNothing() public {
        Batch memory b = _batch(_terms(), 1, address(0));
        b.openings = new IJobMarket.Opening[](0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.EmptyBatch.selector));
        _openMany(b, SUBMITTER);
    }

    function test_openMany_ofOneSubmitterAndToken() public {
        _deposit(SUBMITTER, NATIVE, 3 * BOUNTY);
        Batch memory b = _batch(_terms(), 3, address(0));
        b.openings[2].terms.submitter = STRANGER;
        _order(b);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.MixedBatch.selector, 2));
        _openMany(b, SUBMITTER);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.MixedBatch.selector, 2));
        _openMany(b, SCHEDULER);
        b = _batch(_terms(), 3, address(0));
        b.openings[1].terms.token = address(token);
        _order(b);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.MixedBatch.selector, 1));
        _openMany(b, SUBMITTER);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.MixedBatch.selector, 1));
        _openMany(b, SCHEDULER);
        _assertInMarket(NATIVE, 3 * BOUNTY, 0, 0, 0);
    }

    /// @dev The submitter's coin becomes its balance, and the batch draws on it, in one call.
    function test_openMany_withTheMoneyInTheCall() public {
        Batch memory b = _batch(_terms(), 3, address(0));
        vm.deal(SUBMITTER, 4 ether);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Deposited(SUBMITTER, NATIVE, 4 ether);
        vm.expectEmit(address(market));
        emit IJobMarket.Opened(b.ids[0], SUBMITTER, b.openings[0].terms);
        vm.prank(SUBMITTER);
        market.openMany{value: 4 ether}(b.openings, b.order, "", b.proof, b.flags);
        _assertEvents("Deposited Opened Opened Opened Debited");
        _assertInMarket(NATIVE, 1 ether, 0, 0, 0);
        _assertBalances(NATIVE, 0, 0, 0, 4 ether);
    }

    function test_openMany_ofDuplicates() public {
        _deposit(SUBMITTER, NATIVE, 3 * BOUNTY);
        Batch memory b = _batch(_terms(), 3, address(0));
        b.openings[2] = b.openings[0];
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[0], _wrongState(b.ids[0], IJobMarket.State.Open));
        vm.expectEmit(address(market));
        emit IJobMarket.Debited(SUBMITTER, NATIVE, 2 * uint256(BOUNTY));
        _openMany(b, SUBMITTER);
        _assertEvents("Opened Opened Skipped Debited");
        _assertInMarket(NATIVE, BOUNTY, 0, 0, 0);
    }

    /// @dev What `open` refuses is skipped with the error that `open` gives; the jobs around it are opened.
    function test_openMany_skipsWhatOpenRefuses() public {
        IJobMarket.Terms[] memory refused = new IJobMarket.Terms[](15);
        for (uint256 i; i < refused.length; ++i) {
            refused[i] = _terms();
            refused[i].salt = keccak256(abi.encode("refused", i));
        }
        refused[0].scheduler = address(0);
        refused[1].arbiter = address(0);
        (refused[2].bounty, refused[2].fee) = (0, 0);
        refused[3].fee = BOUNTY + 1;
        (refused[4].arbiter, refused[4].bond) = (SUBMITTER, 1);
        (refused[5].arbiter, refused[5].disputeBond) = (SCHEDULER, 1);
        refused[6].deadline = START - 1;
        refused[7].graceSeconds = 59;
        refused[8].leaseSeconds = 479;
        refused[9].attemptSeconds = 3599;
        refused[10].holdSeconds = 30 days + 1;
        refused[11].challengeWindow = 3599;
        refused[12].rulingSeconds = 3599;
        _open(refused[13]);
        vm.prank(SUBMITTER);
        market.cancel(refused[14]);
        for (uint256 i; i < refused.length; ++i) {
            _openSkips(refused[i]);
        }
    }

    function _openSkips(IJobMarket.Terms memory t) private {
        uint256 snapshot = vm.snapshotState();
        Batch memory b = _batch(_terms(), 3, address(0));
        b.openings[1].terms = t;
        _deposit(SUBMITTER, NATIVE, 2 * BOUNTY);
        _assertSkipsAs(
            SUBMITTER,
            abi.encodeCall(IJobMarket.open, (t)),
            abi.encodeCall(IJobMarket.openMany, (b.openings, b.order, "", b.proof, b.flags)),
            _id(t)
        );
        _assertState(b.ids[0], IJobMarket.State.Open);
        _assertState(b.ids[2], IJobMarket.State.Open);
        _assertInMarket(NATIVE, 0, 0, 0, 0);
        vm.revertToState(snapshot);
    }

    /// @dev A value too large for its field makes no job in a batch either. Where the market reads the field to know who
    /// pays how much, the whole batch is refused.
    function test_openMany_skipsStrayBits() public {
        _deposit(SUBMITTER, NATIVE, BOUNTY);
        Batch memory b = _batch(_terms(), 1, address(0));
        for (uint256 field; field < 15; ++field) {
            bytes memory data =
                abi.encodeCall(IJobMarket.openMany, (b.openings, b.order, "", b.proof, b.flags));
            // Seven words of heads, one for the length.
            data[4 + 32 * (8 + field)] = 0x01;
            vm.recordLogs();
            vm.prank(SUBMITTER);
            (bool ok, bytes memory answer) = address(market).call(data);
            if (field == 0 || field == 3 || field == 4) {
                vm.assertFalse(ok, "submitter, token or bounty");
                vm.assertEq(answer.length, 0, "no reason");
                continue;
            }
            vm.assertTrue(ok, "batch");
            Vm.Log[] memory logs = vm.getRecordedLogs();
            vm.assertEq(logs.length, 1, "one event");
            vm.assertEq(
                abi.decode(logs[0].data, (bytes)),
                abi.encodeWithSelector(IJobMarket.StrayBits.selector),
                "reason"
            );
        }
        _assertInMarket(NATIVE, BOUNTY, 0, 0, 0);
    }

    /// @dev A node that cannot have the job leaves it open, with the error that `assign` gives.
    function test_openMany_leavesOpenWhatAssignRefuses() public {
        uint256 revokedKey = 0xE0DE;
        _enroll(revokedKey, PROVIDER);
        vm.prank(PROVIDER);
        market.revoke(vm.addr(revokedKey));
        uint256 disapprovingKey = 0xF0DE;
        _enroll(disapprovingKey, STRANGER);

        _assignmentSkips(_terms(), STRANGER, SCHEDULER);
        _assignmentSkips(_terms(), vm.addr(revokedKey), SCHEDULER);
        _assignmentSkips(_terms(), vm.addr(disapprovingKey), SCHEDULER);
        _assignmentSkips(_bondedTerms(), NODE, SCHEDULER);
        _assignmentSkips(_bondedTerms(), STRANGER, SCHEDULER);
        _assignmentSkips(_terms(), NODE, STRANGER);
        _assignmentSkips(_terms(), NODE, SUBMITTER);
        _assignmentSkips(_bondedTerms(), STRANGER, SUBMITTER);
    }

    function _assignmentSkips(IJobMarket.Terms memory t, address node, address caller) private {
        uint256 snapshot = vm.snapshotState();
        Batch memory b = _batch(t, 3, NODE);
        b.openings[1].node = node;
        _deposit(SUBMITTER, NATIVE, 3 * BOUNTY);
        bytes32 id = b.ids[1];
        // What `assign` says of the same job.
        uint256 inner = vm.snapshotState();
        b.openings[1].node = address(0);
        _openMany(b, SUBMITTER);
        vm.prank(caller);
        (bool ok, bytes memory answer) =
            address(market).call(abi.encodeCall(IJobMarket.assign, (id, node, 1)));
        vm.assertFalse(ok, "assign");
        vm.revertToState(inner);

        b.openings[1].node = node;
        vm.recordLogs();
        _openMany(b, caller);
        bytes memory reason = _skipped(id);
        vm.assertEq(reason, answer, "the words of the single verb");
        _assertJob(id, IJobMarket.State.Open, address(0), START, 0, 0, 0);
        bool assigns = caller == SCHEDULER && t.bond == 0;
        _assertState(b.ids[0], assigns ? IJobMarket.State.Assigned : IJobMarket.State.Open);
        _assertState(b.ids[2], assigns ? IJobMarket.State.Assigned : IJobMarket.State.Open);
        _assertInMarket(NATIVE, 0, 0, 0, 0);
        vm.revertToState(snapshot);
    }

    function test_openMany_jobsOfSeveralSchedulers() public {
        _deposit(SUBMITTER, NATIVE, 2 * BOUNTY);
        Batch memory b = _batch(_terms(), 2, NODE);
        b.openings[0].terms.scheduler = STRANGER;
        _order(b);
        _openMany(b, SCHEDULER);
        _assertState(b.ids[0], IJobMarket.State.Open);
        _assertState(b.ids[1], IJobMarket.State.Assigned);
    }

    /* ASSIGN MANY */

    function test_assignMany() public {
        _stake(PROVIDER, NATIVE, BOND, BOND);
        IJobMarket.Assignment[] memory a = new IJobMarket.Assignment[](3);
        bytes32[] memory ids = new bytes32[](3);
        for (uint256 i; i < 3; ++i) {
            IJobMarket.Terms memory t = i == 1 ? _bondedTerms() : _terms();
            t.salt = bytes32(i);
            ids[i] = _open(t);
            a[i] = _assignment(t, i == 2 ? OTHER_NODE_KEY : NODE_KEY, 1);
        }
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Assigned(ids[0], NODE, PROVIDER, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Debited(PROVIDER, NATIVE, BOND);
        vm.expectEmit(address(market));
        emit IJobMarket.Assigned(ids[1], NODE, PROVIDER, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Assigned(ids[2], OTHER_NODE, OTHER_PROVIDER, 1);
        _assignMany(a);
        _assertEvents("Assigned Debited Assigned Assigned");
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, BOND, BOND);

        // The same again: every lease runs.
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(
            ids[1], abi.encodeWithSelector(IJobMarket.LeaseRunning.selector, START + 3600)
        );
        _assignMany(a);
        _assertEvents("Skipped Skipped Skipped");
        _assertInMarket(NATIVE, 0, 0, 0, 0);
    }

    function test_assignMany_takesOverWhatHasLapsed() public {
        _stake(PROVIDER, NATIVE, BOND, BOND);
        _stake(OTHER_PROVIDER, NATIVE, BOND, BOND);
        IJobMarket.Terms memory t = _bondedTerms();
        bytes32 id = _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
        vm.warp(START + t.leaseSeconds + 1);
        IJobMarket.Assignment[] memory a = new IJobMarket.Assignment[](2);
        a[0] = _assignment(t, OTHER_NODE_KEY, 2);
        a[1] = _assignment(t, NODE_KEY, 3);
        vm.recordLogs();
        _assignMany(a);
        _assertEvents("Debited Lapsed Forfeited Credited Assigned Skipped");
        _assertJob(id, OTHER_NODE, 2);
        _assertInMarket(NATIVE, BOND - HALF, 0, 0, 0);
    }

    /// @dev The batch skips with the error that the single verb gives, and assigns the jobs around it.
    function test_assignMany_skipsWhatAssignWithTermsRefuses() public {
        _stake(PROVIDER, NATIVE, 10 * BOND, 10 * BOND);
        IJobMarket.Terms memory t = _bondedTerms();
        t.salt = keccak256("refused");
        _assignSkips(_assignment(t, NODE_KEY, 1), IJobMarket.State.None);
        _open(t);
        IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 2);
        _assignSkips(a, IJobMarket.State.Open);
        a = _assignment(t, NODE_KEY, 0);
        _assignSkips(a, IJobMarket.State.Open);
        t.scheduler = STRANGER;
        _assignSkips(_assignment(t, NODE_KEY, 1), IJobMarket.State.None);
        t.scheduler = SCHEDULER;
        a = _assignment(t, 0xFACE, 1);
        _assignSkips(a, IJobMarket.State.Open);
        a = _assignment(t, NODE_KEY, 1);
        a.acceptance = _signAccept(OTHER_NODE_KEY, _id(t), 1, a.expires);
        _assignSkips(a, IJobMarket.State.Open);
        a.expires = START - 1;
        a.acceptance = _signAccept(NODE_KEY, _id(t), 1, a.expires);
        _assignSkips(a, IJobMarket.State.Open);
        // Neither limit nor balance.
        _assignSkips(_assignment(t, OTHER_NODE_KEY, 1), IJobMarket.State.Open);
        vm.prank(OTHER_PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, BOND);
        _assignSkips(_assignment(t, OTHER_NODE_KEY, 1), IJobMarket.State.Open);
        vm.prank(OTHER_PROVIDER);
        market.disapproveScheduler(SCHEDULER);
        _assignSkips(_assignment(t, OTHER_NODE_KEY, 1), IJobMarket.State.Open);
        vm.prank(OTHER_PROVIDER);
        market.revoke(OTHER_NODE);
        _assignSkips(_assignment(t, OTHER_NODE_KEY, 1), IJobMarket.State.Open);
        _assignWithTerms(t, NODE_KEY, 1);
        _assignSkips(_assignment(t, NODE_KEY, 2), IJobMarket.State.Assigned);
        _settle(t, NODE_KEY, 1);
        _assignSkips(_assignment(t, NODE_KEY, 2), IJobMarket.State.Paid);
        t.deadline = START + 1 hours;
        _open(t);
        vm.warp(t.deadline + 1);
        _assignSkips(_assignment(t, NODE_KEY, 1), IJobMarket.State.Open);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, 10 * BOND, 0);
        _assertInMarket(NATIVE, 0, 10 * BOND, 0, 0);
    }

    function _assignSkips(IJobMarket.Assignment memory refused, IJobMarket.State state) private {
        IJobMarket.Assignment[] memory a = new IJobMarket.Assignment[](3);
        for (uint256 i; i < 3; ++i) {
            IJobMarket.Terms memory t = _terms();
            t.salt = keccak256(abi.encode(i, gasleft()));
            t.deadline = _now() + 1 days;
            if (i != 1) _open(t);
            a[i] = i == 1 ? refused : _assignment(t, NODE_KEY, 1);
        }
        _assertSkipsAs(
            SCHEDULER,
            abi.encodeCall(IJobMarket.assignWithTerms, (refused)),
            abi.encodeCall(IJobMarket.assignMany, (a)),
            _id(refused.terms)
        );
        _assertState(_id(a[0].terms), IJobMarket.State.Assigned);
        _assertState(_id(a[2].terms), IJobMarket.State.Assigned);
        _assertState(_id(refused.terms), state);
    }

    /* CANCEL MANY */

    function test_cancelMany() public {
        IJobMarket.Terms[] memory terms = new IJobMarket.Terms[](5);
        bytes32[] memory ids = new bytes32[](5);
        for (uint256 i; i < 5; ++i) {
            terms[i] = i == 1 ? _tokenTerms(address(token)) : _terms();
            terms[i].salt = bytes32(i);
            ids[i] = i == 2 ? _id(terms[i]) : _open(terms[i]);
        }
        _assign(terms[3], NODE, 1);
        terms[4] = terms[0];
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Cancelled(ids[0], BOUNTY);
        vm.expectEmit(address(market));
        emit IJobMarket.Cancelled(ids[1], BOUNTY);
        vm.expectEmit(address(market));
        emit IJobMarket.Cancelled(ids[2], 0);
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(ids[3], _wrongState(ids[3], IJobMarket.State.Assigned));
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(ids[0], _wrongState(ids[0], IJobMarket.State.Cancelled));
        vm.prank(SUBMITTER);
        market.cancelMany(terms);
        _assertEvents("Cancelled Cancelled Cancelled Skipped Skipped");
        _assertBalances(NATIVE, BOUNTY, 0, 0, 2 * uint256(BOUNTY));
        _assertBalances(address(token), BOUNTY, 0, 0, 0);
    }

    function test_cancelMany_skipsWhatCancelRefuses() public {
        IJobMarket.Terms memory t = _terms();
        t.salt = keccak256("refused");
        bytes32 id = _open(t);
        _cancelSkips(t, STRANGER);
        _cancelSkips(t, SCHEDULER);
        _assign(t, NODE, 1);
        _cancelSkips(t, SUBMITTER);
        _publish(t, NODE_KEY, 1);
        _cancelSkips(t, SUBMITTER);
        _settle(t, NODE_KEY, 1);
        _cancelSkips(t, SUBMITTER);
        _assertState(id, IJobMarket.State.Paid);
    }

    function _cancelSkips(IJobMarket.Terms memory t, address caller) private {
        IJobMarket.Terms[] memory terms = new IJobMarket.Terms[](2);
        terms[0] = t;
        terms[1] = _terms();
        terms[1].submitter = caller;
        terms[1].salt = keccak256(abi.encode(gasleft()));
        _open(terms[1]);
        _assertSkipsAs(
            caller,
            abi.encodeCall(IJobMarket.cancel, (t)),
            abi.encodeCall(IJobMarket.cancelMany, (terms)),
            _id(t)
        );
        _assertState(_id(terms[1]), IJobMarket.State.Cancelled);
    }

    /* MANY, AND NONE */

    function test_batches_ofNothingDoNothing() public {
        vm.recordLogs();
        vm.prank(SCHEDULER);
        market.assignMany(new IJobMarket.Assignment[](0));
        vm.prank(SCHEDULER);
        market.settleMany(new IJobMarket.Settlement[](0));
        vm.prank(SUBMITTER);
        market.cancelMany(new IJobMarket.Terms[](0));
        _assertEvents("");
    }

    /// @dev A hundred jobs through all four batches, each of them a second time with every item stale.
    function test_batches_ofAHundred() public {
        _deposit(SUBMITTER, NATIVE, MANY * BOUNTY);
        Batch memory b = _batch(_terms(), MANY, address(0));
        _openMany(b, SCHEDULER);
        _assertInMarket(NATIVE, 0, 0, 0, 0);
        vm.recordLogs();
        _openMany(b, SCHEDULER);
        _assertAllSkipped();

        IJobMarket.Assignment[] memory a = new IJobMarket.Assignment[](MANY);
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](MANY);
        IJobMarket.Terms[] memory terms = new IJobMarket.Terms[](MANY);
        for (uint256 i; i < MANY; ++i) {
            terms[i] = b.openings[i].terms;
            a[i] = _assignment(terms[i], i % 2 == 0 ? NODE_KEY : OTHER_NODE_KEY, 1);
            s[i] = IJobMarket.Settlement(
                terms[i], RECEIPT, _signResult(i % 2 == 0 ? NODE_KEY : OTHER_NODE_KEY, b.ids[i], 1)
            );
        }
        _assignMany(a);
        vm.recordLogs();
        _assignMany(a);
        _assertAllSkipped();
        _settleMany(s);
        vm.assertEq(PROVIDER.balance, MANY / 2 * (BOUNTY - FEE), "half of the jobs");
        vm.assertEq(OTHER_PROVIDER.balance, MANY / 2 * (BOUNTY - FEE), "the other half");
        vm.assertEq(SCHEDULER.balance, MANY * FEE, "fees");
        vm.assertEq(address(market).balance, 0, "escrow");
        vm.recordLogs();
        _settleMany(s);
        _assertAllSkipped();
        vm.prank(SUBMITTER);
        market.cancelMany(terms);
        _assertAllSkipped();
        vm.assertEq(SUBMITTER.balance, 0, "nothing comes back");
    }

    /* STEPS */

    function _assertAllSkipped() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, MANY, "one event an item");
        for (uint256 i; i < MANY; ++i) {
            vm.assertEq(logs[i].topics[0], IJobMarket.Skipped.selector, "skipped");
        }
    }

    function _assignMany(IJobMarket.Assignment[] memory a) private {
        vm.prank(SCHEDULER);
        market.assignMany(a);
    }

    function _settleMany(IJobMarket.Settlement[] memory s) private {
        vm.prank(SCHEDULER);
        market.settleMany(s);
    }

    function _assertJob(bytes32 id, address node, uint16 attempt) private view {
        (IJobMarket.State state, address node_,,, uint16 attempt_,,) = market.job(id);
        vm.assertEq(uint256(state), uint256(IJobMarket.State.Assigned), "state");
        vm.assertEq(node_, node, "node");
        vm.assertEq(attempt_, attempt, "attempt");
    }
}
