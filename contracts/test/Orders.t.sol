// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";

/// @notice What a submitter signs opens exactly the jobs it signed, once, from its own balance, until it expires or is
/// revoked.
contract OrdersTest is Steps {
    uint256 private constant HELD = 20 * uint256(BOUNTY);

    IJobMarket.Terms private t;

    function setUp() public override {
        super.setUp();
        _deposit(SUBMITTER, NATIVE, HELD);
        t = _terms();
    }

    /* WHAT AN ORDER OPENS */

    function test_order_overOneJob() public {
        Batch memory b = _batch(t, 1, address(0));
        vm.assertEq(b.order.root, b.ids[0], "the root of one job is its id");
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Opened(b.ids[0], SUBMITTER, b.openings[0].terms);
        vm.expectEmit(address(market));
        emit IJobMarket.Debited(SUBMITTER, NATIVE, BOUNTY);
        _openMany(b, STRANGER);
        _assertEvents("Opened Debited");
        _assertJob(b.ids[0], IJobMarket.State.Open, address(0), START, 0, 0, 0);
        _assertOpened(1);
    }

    function test_order_overATreeThatIsNotFull() public {
        Batch memory b = _batch(t, 5, NODE);
        vm.recordLogs();
        for (uint256 i; i < 5; ++i) {
            vm.expectEmit(address(market));
            emit IJobMarket.Opened(b.ids[i], SUBMITTER, b.openings[i].terms);
            vm.expectEmit(address(market));
            emit IJobMarket.Assigned(b.ids[i], NODE, PROVIDER, 1);
        }
        vm.expectEmit(address(market));
        emit IJobMarket.Debited(SUBMITTER, NATIVE, 5 * uint256(BOUNTY));
        _openMany(b, SCHEDULER);
        _assertEvents(
            "Opened Assigned Opened Assigned Opened Assigned Opened Assigned Opened Assigned Debited"
        );
        for (uint256 i; i < 5; ++i) {
            _assertJob(b.ids[i], IJobMarket.State.Assigned, NODE, START, START, 1, 0);
        }
        _assertOpened(5);
    }

    /// @dev A scheduler opens the jobs that it has nodes for, and the others later.
    function test_order_inParts() public {
        Batch memory all = _batch(t, 5, address(0));
        _openMany(_part(all, 9), SCHEDULER);
        _assertState(all.ids[0], IJobMarket.State.Open);
        _assertState(all.ids[1], IJobMarket.State.None);
        _assertState(all.ids[3], IJobMarket.State.Open);
        _assertOpened(2);
        _openMany(_part(all, 16), STRANGER);
        _assertState(all.ids[4], IJobMarket.State.Open);
        _assertOpened(3);
        // The whole order again: what is open already is skipped.
        vm.recordLogs();
        _openMany(all, SCHEDULER);
        _assertEvents("Skipped Opened Opened Skipped Skipped Debited");
        _assertOpened(5);
    }

    function test_order_inTokens() public {
        _deposit(SUBMITTER, address(token), 2 * BOUNTY);
        t.token = address(token);
        vm.expectEmit(address(market));
        emit IJobMarket.Debited(SUBMITTER, address(token), 2 * uint256(BOUNTY));
        _openMany(_batch(t, 2, address(0)), STRANGER);
        _assertInMarket(address(token), 0, 0, 0, 0);
        _assertOpened(0);
        _assertBalances(address(token), 0, 0, 0, 2 * uint256(BOUNTY));
    }

    /// @dev Used twice it opens nothing, and takes nothing.
    function test_order_opensOnce() public {
        Batch memory b = _batch(t, 3, NODE);
        _openMany(b, SCHEDULER);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[0], _wrongState(b.ids[0], IJobMarket.State.Assigned));
        _openMany(b, SCHEDULER);
        _assertEvents("Skipped Skipped Skipped");
        _assertOpened(3);

        _settle(b.openings[0].terms, NODE_KEY, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[0], _wrongState(b.ids[0], IJobMarket.State.Paid));
        _openMany(b, SCHEDULER);
        _assertInMarket(NATIVE, HELD - 3 * BOUNTY, 0, 0, 0);
        vm.assertEq(address(market).balance, HELD - BOUNTY, "escrow");
    }

    /// @dev A submitter takes one job out of an order by cancelling it before it is opened.
    function test_order_withoutWhatWasForbidden() public {
        Batch memory b = _batch(t, 3, address(0));
        vm.prank(SUBMITTER);
        market.cancel(b.openings[1].terms);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[1], _wrongState(b.ids[1], IJobMarket.State.Cancelled));
        _openMany(b, STRANGER);
        _assertEvents("Opened Skipped Opened Debited");
        _assertOpened(2);
    }

    /// @dev Anyone may open what was ordered, but who is not the scheduler assigns nothing.
    function test_order_inAStrangersHands() public {
        Batch memory b = _batch(t, 2, NODE);
        vm.recordLogs();
        for (uint256 i; i < 2; ++i) {
            vm.expectEmit(address(market));
            emit IJobMarket.Opened(b.ids[i], SUBMITTER, b.openings[i].terms);
            vm.expectEmit(address(market));
            emit IJobMarket.Skipped(
                b.ids[i], abi.encodeWithSelector(IJobMarket.NotScheduler.selector, STRANGER, SCHEDULER)
            );
        }
        _openMany(b, STRANGER);
        _assertEvents("Opened Skipped Opened Skipped Debited");
        _assertJob(b.ids[0], IJobMarket.State.Open, address(0), START, 0, 0, 0);
        _assign(b.openings[0].terms, NODE, 1);
        _assertOpened(2);
    }

    function test_order_ofAZeroBountyAmongOthers() public {
        Batch memory b = _batch(t, 3, address(0));
        (b.openings[1].terms.bounty, b.openings[1].terms.fee) = (0, 0);
        _order(b);
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[1], abi.encodeWithSelector(IJobMarket.ZeroBounty.selector));
        _openMany(b, STRANGER);
        _assertState(b.ids[1], IJobMarket.State.None);
        _assertOpened(2);
    }

    /* THE BALANCE */

    /// @dev What the balance does not reach is skipped, and a smaller job after it is not.
    function test_order_asFarAsTheBalanceReaches() public {
        vm.prank(SUBMITTER);
        market.withdraw(NATIVE, SUBMITTER, HELD - 2 * BOUNTY);
        Batch memory b = _batch(t, 3, address(0));
        b.openings[0].terms.bounty = BOUNTY + 1;
        b.openings[1].terms.bounty = BOUNTY;
        b.openings[2].terms.bounty = BOUNTY - 1;
        _order(b);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Opened(b.ids[0], SUBMITTER, b.openings[0].terms);
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[1], _insufficient(BOUNTY - 1, BOUNTY));
        vm.expectEmit(address(market));
        emit IJobMarket.Opened(b.ids[2], SUBMITTER, b.openings[2].terms);
        vm.expectEmit(address(market));
        emit IJobMarket.Debited(SUBMITTER, NATIVE, 2 * uint256(BOUNTY));
        _openMany(b, STRANGER);
        _assertEvents("Opened Skipped Opened Debited");
        _assertState(b.ids[1], IJobMarket.State.None);
        _assertInMarket(NATIVE, 0, 0, 0, 0);

        // Nothing is there now, and the job can be opened once there is.
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[1], _insufficient(0, BOUNTY));
        _openMany(_part(b, 2), STRANGER);
        _deposit(SUBMITTER, NATIVE, BOUNTY);
        _openMany(_part(b, 2), STRANGER);
        _assertState(b.ids[1], IJobMarket.State.Open);
        _assertInMarket(NATIVE, 0, 0, 0, 0);
    }

    /// @dev An ended job says what it is, whatever the balance.
    function test_order_ofAnOpenJobWithoutABalance() public {
        Batch memory b = _batch(t, 1, address(0));
        _openMany(b, STRANGER);
        vm.prank(SUBMITTER);
        market.withdraw(NATIVE, SUBMITTER, HELD - BOUNTY);
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[0], _wrongState(b.ids[0], IJobMarket.State.Open));
        _openMany(b, STRANGER);
    }

    /// @dev An order spends its submitter's money and nobody else's, whoever brings it.
    function test_order_spendsNobodyElsesMoney() public {
        _deposit(SCHEDULER, NATIVE, 7);
        _deposit(PROVIDER, NATIVE, 8);
        _openMany(_batch(t, 4, NODE), SCHEDULER);
        _assertInMarket(NATIVE, HELD - 4 * BOUNTY, 8, 0, 7);
    }

    /// @dev Coin that comes with the call is its sender's, not the submitter's.
    function test_order_withCoinOfItsCaller() public {
        Batch memory b = _batch(t, 1, address(0));
        vm.deal(SCHEDULER, 5);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Deposited(SCHEDULER, NATIVE, 5);
        vm.prank(SCHEDULER);
        market.openMany{value: 5}(b.openings, b.order, b.signature, b.proof, b.flags);
        _assertEvents("Deposited Opened Debited");
        _assertInMarket(NATIVE, HELD - BOUNTY, 0, 0, 5);

        // In a batch of tokens, too; and a batch that is refused leaves it with its sender.
        _deposit(SUBMITTER, address(token), BOUNTY);
        t.token = address(token);
        b = _batch(t, 1, address(0));
        vm.deal(STRANGER, 6);
        b.order.expires = START;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadOrderSignature.selector, SUBMITTER));
        vm.prank(STRANGER);
        market.openMany{value: 6}(b.openings, b.order, b.signature, b.proof, b.flags);
        vm.assertEq(STRANGER.balance, 6, "not taken");
        b.order.expires = START + 60;
        vm.prank(STRANGER);
        market.openMany{value: 6}(b.openings, b.order, b.signature, b.proof, b.flags);
        vm.assertEq(market.balance(STRANGER, NATIVE), 6, "the caller's balance");
        vm.assertEq(market.balance(SUBMITTER, NATIVE), HELD - BOUNTY, "not the submitter's");
        _assertState(b.ids[0], IJobMarket.State.Open);
    }

    /* WHO SIGNED IT */

    function test_signature_inBothForms() public {
        Batch memory b = _batch(t, 2, address(0));
        b.signature = _long(b.signature);
        vm.assertEq(b.signature.length, 65, "r, s, v");
        _openMany(b, STRANGER);
        _assertOpened(2);
    }

    function test_signature_ofNobodyElse() public {
        Batch memory b = _batch(t, 2, address(0));
        b.signature = _signOrder(NODE_KEY, b.order);
        _badSignature(b);
        b.signature = _signOrder(uint256(keccak256("somebody")), b.order);
        _badSignature(b);
        b.signature = new bytes(64);
        _badSignature(b);
        b.signature = new bytes(65);
        _badSignature(b);
        _assertOpened(0);
    }

    function test_signature_ofAnotherLength() public {
        Batch memory b = _batch(t, 2, address(0));
        bytes memory right = _long(b.signature);
        uint8[5] memory lengths = [0, 1, 63, 66, 96];
        for (uint256 i; i < lengths.length; ++i) {
            b.signature = new bytes(lengths[i]);
            for (uint256 k; k < lengths[i] && k < 65; ++k) {
                b.signature[k] = right[k];
            }
            _badSignature(b);
        }
    }

    function test_signature_overAnotherOrder() public {
        Batch memory b = _batch(t, 2, address(0));
        IJobMarket.Order memory o = b.order;
        b.signature = _signOrder(SUBMITTER_KEY, IJobMarket.Order(b.ids[0], o.epoch, o.expires));
        _badSignature(b);
        b.signature = _signOrder(SUBMITTER_KEY, IJobMarket.Order(o.root, o.epoch + 1, o.expires));
        _badSignature(b);
        b.signature = _signOrder(SUBMITTER_KEY, IJobMarket.Order(o.root, o.epoch, o.expires + 1));
        _badSignature(b);
        _assertOpened(0);
    }

    function test_signature_forAnotherChainOrContract() public {
        Batch memory b = _batch(t, 2, address(0));
        bytes32 home = domain;
        domain = _domain(block.chainid + 1, address(market));
        b.signature = _signOrder(SUBMITTER_KEY, b.order);
        _badSignature(b);
        domain = _domain(block.chainid, address(token));
        b.signature = _signOrder(SUBMITTER_KEY, b.order);
        _badSignature(b);
        domain = home;
        b.signature = _signOrder(SUBMITTER_KEY, b.order);
        _openMany(b, STRANGER);
        _assertOpened(2);
    }

    /// @dev Job ids stay, so an order of the old chain names jobs of the new one; its signature does not hold there.
    function test_signature_afterAChainSplit() public {
        Batch memory b = _batch(t, 2, address(0));
        vm.chainId(block.chainid + 1);
        _badSignature(b);
        domain = _domain(block.chainid, address(market));
        b.signature = _signOrder(SUBMITTER_KEY, b.order);
        _openMany(b, STRANGER);
        _assertOpened(2);
    }

    function test_signature_ofAnotherSubmitter() public {
        // A stranger signs for jobs that the submitter would pay.
        Batch memory b = _batch(t, 2, address(0));
        b.signature = _signOrder(0xBAD, b.order);
        _badSignature(b);
        // The submitter's signature does not open a stranger's jobs.
        _deposit(OTHER_PROVIDER, NATIVE, 2 * BOUNTY);
        t.submitter = OTHER_PROVIDER;
        b = _batch(t, 2, address(0));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadOrderSignature.selector, OTHER_PROVIDER));
        _openMany(b, STRANGER);
        vm.assertEq(market.balance(OTHER_PROVIDER, NATIVE), 2 * BOUNTY, "untouched");
        // The zero address has signed nothing, though a bad signature recovers to it.
        t.submitter = address(0);
        b = _batch(t, 2, address(0));
        b.signature = new bytes(65);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadOrderSignature.selector, address(0)));
        _openMany(b, STRANGER);
    }

    function test_submitter_needsNoOrder() public {
        Batch memory b = _batch(t, 3, address(0));
        vm.prank(SUBMITTER);
        market.raiseEpoch();
        vm.warp(START + 1000);
        b.signature = "";
        b.flags = new bool[](7);
        b.order.root = 0;
        _openMany(b, SUBMITTER);
        _assertOpened(3);
    }

    /* UNTIL WHEN */

    function test_expiry_toTheSecond() public {
        Batch memory b = _batch(t, 2, address(0));
        vm.warp(b.order.expires + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OrderExpired.selector, b.order.expires));
        _openMany(b, STRANGER);
        vm.warp(b.order.expires);
        _openMany(b, STRANGER);
        _assertOpened(2);
    }

    function test_raiseEpoch_revokes() public {
        Batch memory b = _batch(t, 2, address(0));
        vm.assertEq(market.epoch(SUBMITTER), 0, "epoch");
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.EpochRaised(SUBMITTER, 1);
        vm.prank(SUBMITTER);
        uint32 raised = market.raiseEpoch();
        _assertEvents("EpochRaised");
        vm.assertEq(raised, 1, "raised");
        vm.assertEq(market.epoch(SUBMITTER), 1, "epoch");
        vm.assertEq(market.epoch(PROVIDER), 0, "another's epoch");

        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OrderRevoked.selector, 0, 1));
        _openMany(b, STRANGER);
        b.order.epoch = 1;
        _badSignature(b);
        b.signature = _signOrder(SUBMITTER_KEY, b.order);
        _openMany(b, STRANGER);
        _assertOpened(2);
    }

    function test_raiseEpoch_ofAnotherRevokesNothing() public {
        Batch memory b = _batch(t, 2, address(0));
        vm.prank(STRANGER);
        market.raiseEpoch();
        _openMany(b, STRANGER);
        _assertOpened(2);
    }

    function test_epoch_ofTheFutureIsNotValidYet() public {
        Batch memory b = _batch(t, 2, address(0));
        b.order.epoch = 1;
        b.signature = _signOrder(SUBMITTER_KEY, b.order);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OrderRevoked.selector, 1, 0));
        _openMany(b, STRANGER);
        vm.prank(SUBMITTER);
        market.raiseEpoch();
        _openMany(b, STRANGER);
        _assertOpened(2);
    }

    /* WHICH JOBS */

    function test_proof_ofOtherJobs() public {
        Batch memory b = _batch(t, 4, address(0));
        // One wei more, another node's salt, one job twice, one job missing, another order of the jobs.
        b.openings[2].terms.bounty += 1;
        _notInOrder(b);
        b = _batch(t, 4, address(0));
        b.openings[3].terms.salt = keccak256("another");
        _notInOrder(b);
        b = _batch(t, 4, address(0));
        b.openings[3] = b.openings[2];
        _notInOrder(b);
        b = _batch(t, 4, address(0));
        (b.openings[0], b.openings[2]) = (b.openings[2], b.openings[0]);
        _notInOrder(b);
        b = _batch(t, 4, address(0));
        b.openings = _first(b.openings, 3);
        _notInOrder(b);
        b.flags = new bool[](2);
        (b.flags[0], b.flags[1]) = (true, true);
        _notInOrder(b);
        // The order over one job is not one over another.
        Batch memory one = _part(_batch(t, 1, address(0)), 1);
        one.openings[0].terms.salt = keccak256("another");
        _notInOrder(one);
        _assertOpened(0);
    }

    function test_proof_withWrongParts() public {
        Batch memory all = _batch(t, 4, address(0));
        Batch memory b = _part(all, 5);
        vm.assertEq(b.proof.length, 2, "two neighbours");
        (b.proof[0], b.proof[1]) = (b.proof[1], b.proof[0]);
        _notInOrder(b);
        b = _part(all, 5);
        b.proof = new bytes32[](0);
        _notInOrder(b);
        b = _part(all, 5);
        b.flags = new bool[](0);
        _notInOrder(b);
        // A proof alone proves no job.
        b = _part(all, 1);
        b.proof = new bytes32[](1);
        b.proof[0] = all.order.root;
        b.flags = new bool[](1);
        _notInOrder(b);
        b.flags = new bool[](0);
        _notInOrder(b);
        _assertOpened(0);
    }

    /// @dev A job that stands in an order twice is opened once.
    function test_order_overTheSameJobTwice() public {
        Batch memory b = _batch(t, 2, address(0));
        b.openings[1] = b.openings[0];
        _order(b);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(b.ids[0], _wrongState(b.ids[0], IJobMarket.State.Open));
        _openMany(b, STRANGER);
        _assertEvents("Opened Skipped Debited");
        _assertOpened(1);
    }

    /// @dev Any part of any order opens that part, and a proof of which one bit is wrong opens nothing.
    function testFuzz_partsOfOrders(uint256 count, uint256 mask, uint256 wrong) public {
        count = _between(count, 1, 12);
        mask = _between(mask, 1, 2 ** count - 1);
        Batch memory all = _batch(t, count, address(0));
        Batch memory b = _part(all, mask);
        wrong = _between(wrong, 0, b.flags.length + b.proof.length);
        if (wrong < b.flags.length) {
            b.flags[wrong] = !b.flags[wrong];
            _notInOrder(b);
            b.flags[wrong] = !b.flags[wrong];
        } else if (wrong < b.flags.length + b.proof.length) {
            b.proof[wrong - b.flags.length] ^= bytes32(uint256(1));
            _notInOrder(b);
            b.proof[wrong - b.flags.length] ^= bytes32(uint256(1));
        }
        _openMany(b, STRANGER);
        for (uint256 i; i < count; ++i) {
            _assertState(all.ids[i], mask >> i & 1 == 1 ? IJobMarket.State.Open : IJobMarket.State.None);
        }
        _assertOpened(b.ids.length);
    }

    /* STEPS */

    /// @dev Nothing changed but that so many bounties are locked.
    function _assertOpened(uint256 count) private view {
        _assertInMarket(NATIVE, HELD - count * BOUNTY, 0, 0, 0);
        vm.assertEq(address(market).balance, HELD, "escrow");
    }

    function _badSignature(Batch memory b) private {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadOrderSignature.selector, SUBMITTER));
        _openMany(b, STRANGER);
    }

    function _notInOrder(Batch memory b) private {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotInOrder.selector, b.order.root));
        _openMany(b, STRANGER);
    }

    /// @dev The same signature as r, s and v.
    function _long(bytes memory compact) private pure returns (bytes memory) {
        (bytes32 r, uint256 vs) = abi.decode(compact, (bytes32, uint256));
        return abi.encodePacked(r, vs & type(uint256).max >> 1, uint8(27 + (vs >> 255)));
    }

    function _first(IJobMarket.Opening[] memory openings, uint256 count)
        private
        pure
        returns (IJobMarket.Opening[] memory some)
    {
        some = new IJobMarket.Opening[](count);
        for (uint256 i; i < count; ++i) {
            some[i] = openings[i];
        }
    }

    function _insufficient(uint256 available, uint256 required) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            IJobMarket.InsufficientBalance.selector, SUBMITTER, NATIVE, available, required
        );
    }
}
