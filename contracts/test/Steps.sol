// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";
import {Vm} from "./Vm.sol";

/// @notice The verbs of bonds, disputes and balances in one line each, and what the market says and holds after them.
abstract contract Steps is Base {
    /* STEPS */

    /// @dev Allows the scheduler to lock bonds, and pays in what can be locked.
    function _stake(address provider, address token_, uint256 amount, uint128 limit) internal {
        _deposit(provider, token_, amount);
        vm.prank(provider);
        market.approveScheduler(SCHEDULER, token_, limit);
    }

    function _deposit(address owner, address token_, uint256 amount) internal {
        uint256 value = _give(owner, token_, amount);
        vm.prank(owner);
        market.deposit{value: value}(token_, amount);
    }

    function _assign(IJobMarket.Assignment memory a) internal {
        vm.prank(SCHEDULER);
        market.assignWithTerms(a);
    }

    function _assignFails(IJobMarket.Assignment memory a, bytes memory error_) internal {
        vm.expectRevert(error_);
        _assign(a);
    }

    function _aboveLimit(uint256 used, uint256 limit) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IJobMarket.BondAboveLimit.selector, PROVIDER, SCHEDULER, used, limit);
    }

    function _claim(IJobMarket.Terms memory t) internal {
        vm.prank(STRANGER);
        market.claim(t);
    }

    function _release(IJobMarket.Terms memory t) internal {
        (, address node,,,,,) = market.job(_id(t));
        (address provider,) = market.node(node);
        vm.prank(provider);
        market.release(t, _noSignature());
    }

    function _lapse(IJobMarket.Terms memory t) internal {
        vm.warp(market.leaseEnd(t) + 1);
        vm.prank(t.scheduler);
        market.lapse(t);
    }

    function _dispute(IJobMarket.Terms memory t, address by) internal {
        uint256 value = _give(by, t.token, t.disputeBond);
        vm.prank(by);
        market.dispute{value: value}(t);
    }

    function _rule(IJobMarket.Terms memory t, IJobMarket.Ruling ruling) internal {
        vm.prank(t.arbiter);
        market.rule(t, ruling);
    }

    /// @dev The submitter's permit for the market to take `amount`, if `key` is the submitter's.
    function _permit(uint256 key, uint256 amount, uint256 deadline)
        internal
        view
        returns (IJobMarket.Permit memory p)
    {
        bytes32 typeHash = keccak256(
            "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
        );
        bytes32 structHash = keccak256(
            abi.encode(typeHash, SUBMITTER, address(market), amount, token.nonces(SUBMITTER), deadline)
        );
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
        (bytes32 r, bytes32 vs) = vm.signCompact(key, digest);
        return IJobMarket.Permit(
            deadline, uint256(vs) >> 255 == 0 ? 27 : 28, r, vs & bytes32(type(uint256).max >> 1)
        );
    }

    /* ORDERS */

    /// @dev Jobs to be opened together, and the submitter's order over them or over more.
    struct Batch {
        IJobMarket.Opening[] openings;
        bytes32[] ids;
        IJobMarket.Order order;
        bytes signature;
        bytes32[] proof;
        bool[] flags;
    }

    /// @dev An order over `count` jobs under `t` and other salts, all of them to be opened.
    function _batch(IJobMarket.Terms memory t, uint256 count, address node)
        internal
        view
        returns (Batch memory b)
    {
        b.openings = new IJobMarket.Opening[](count);
        b.ids = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            b.openings[i].terms = abi.decode(abi.encode(t), (IJobMarket.Terms));
            b.openings[i].terms.salt = keccak256(abi.encode("batch", i));
            b.openings[i].node = node;
        }
        _order(b);
    }

    /// @dev Signs an order over the batch as it is.
    function _order(Batch memory b) internal view {
        for (uint256 i; i < b.ids.length; ++i) {
            b.ids[i] = _id(b.openings[i].terms);
        }
        b.order = IJobMarket.Order(_root(b.ids), 0, _now() + 60);
        b.signature = _signOrder(SUBMITTER_KEY, b.order);
        b.proof = new bytes32[](0);
        b.flags = new bool[](b.ids.length - 1);
        for (uint256 i; i < b.flags.length; ++i) {
            b.flags[i] = true;
        }
    }

    /// @dev The jobs of a batch whose bits are set in `mask`, with the proof that the order is over them too.
    function _part(Batch memory all, uint256 mask) internal pure returns (Batch memory b) {
        uint256 count;
        for (uint256 i; i < all.ids.length; ++i) {
            count += mask >> i & 1;
        }
        b = Batch(
            new IJobMarket.Opening[](count),
            new bytes32[](count),
            all.order,
            all.signature,
            new bytes32[](0),
            new bool[](0)
        );
        uint256[] memory queue = new uint256[](3 * all.ids.length);
        count = 0;
        for (uint256 i; i < all.ids.length; ++i) {
            if (mask >> i & 1 == 0) continue;
            (b.openings[count], b.ids[count], queue[count]) = (all.openings[i], all.ids[i], i);
            ++count;
        }
        _prove(b, _tree(all.ids), all.ids.length, queue, count);
    }

    /// @dev Walks from the known nodes of the tree to its root: a neighbour that is not known goes into the proof.
    function _prove(
        Batch memory b,
        bytes32[] memory tree,
        uint256 leaves,
        uint256[] memory queue,
        uint256 end
    ) private pure {
        for (uint256 front; queue[front] != tree.length - 1;) {
            uint256 node = queue[front++];
            bool known = front < end && queue[front] == node ^ 1;
            if (known) ++front;
            else b.proof = abi.decode(_appended(abi.encode(b.proof), tree[node ^ 1]), (bytes32[]));
            b.flags = abi.decode(
                _appended(abi.encode(b.flags), known ? bytes32(uint256(1)) : bytes32(0)), (bool[])
            );
            queue[end++] = leaves + node / 2;
        }
    }

    /// @dev The encoded array with one word more.
    function _appended(bytes memory array, bytes32 word) private pure returns (bytes memory) {
        uint256 length = (array.length - 64) / 32;
        array = abi.encodePacked(array, word);
        assembly ("memory-safe") {
            mstore(add(array, 0x40), add(length, 1))
        }
        return array;
    }

    function _openMany(Batch memory b, address caller) internal {
        vm.prank(caller);
        market.openMany(b.openings, b.order, b.signature, b.proof, b.flags);
    }

    /* BATCHES */

    /// @dev The single call reverts with some error; the batch goes through and skips the job with the very same.
    function _assertSkipsAs(address caller, bytes memory single, bytes memory batch, bytes32 id) internal {
        vm.prank(caller);
        (bool ok, bytes memory answer) = address(market).call(single);
        vm.assertFalse(ok, "the single verb went through");
        vm.assertLe(4, answer.length, "an error with a name");
        vm.recordLogs();
        vm.prank(caller);
        (ok,) = address(market).call(batch);
        vm.assertTrue(ok, "the batch was refused");
        vm.assertEq(_skipped(id), answer, "the words of the single verb");
    }

    /// @dev The reason with which a job was skipped, once.
    function _skipped(bytes32 id) internal returns (bytes memory reason) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 count;
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] != IJobMarket.Skipped.selector) continue;
            if (logs[i].topics[1] != id) continue;
            reason = abi.decode(logs[i].data, (bytes));
            ++count;
        }
        vm.assertEq(count, 1, "skipped once");
    }

    /* EVENTS */

    /// @dev The names of the market's events since the last call, so that a test sees also those it did not expect.
    function _assertEvents(string memory expected) internal {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        string memory seen = "";
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter != address(market)) continue;
            seen = string.concat(seen, bytes(seen).length == 0 ? "" : " ", _eventName(logs[i].topics[0]));
        }
        vm.assertEq(seen, expected, "events");
    }

    function _eventName(bytes32 topic) private pure returns (string memory) {
        if (topic == IJobMarket.Opened.selector) return "Opened";
        if (topic == IJobMarket.Cancelled.selector) return "Cancelled";
        if (topic == IJobMarket.Assigned.selector) return "Assigned";
        if (topic == IJobMarket.CalledIn.selector) return "CalledIn";
        if (topic == IJobMarket.Renewed.selector) return "Renewed";
        if (topic == IJobMarket.Released.selector) return "Released";
        if (topic == IJobMarket.Lapsed.selector) return "Lapsed";
        if (topic == IJobMarket.Forfeited.selector) return "Forfeited";
        if (topic == IJobMarket.Settled.selector) return "Settled";
        if (topic == IJobMarket.Published.selector) return "Published";
        if (topic == IJobMarket.Disputed.selector) return "Disputed";
        if (topic == IJobMarket.Ruled.selector) return "Ruled";
        if (topic == IJobMarket.Paid.selector) return "Paid";
        if (topic == IJobMarket.Refunded.selector) return "Refunded";
        if (topic == IJobMarket.Skipped.selector) return "Skipped";
        if (topic == IJobMarket.Deposited.selector) return "Deposited";
        if (topic == IJobMarket.Credited.selector) return "Credited";
        if (topic == IJobMarket.Debited.selector) return "Debited";
        if (topic == IJobMarket.Withdrawn.selector) return "Withdrawn";
        if (topic == IJobMarket.EpochRaised.selector) return "EpochRaised";
        revert("an event without a name");
    }

    /* ASSERTIONS */

    /// @dev What the parties have in the market, in one assertion.
    function _assertInMarket(
        address token_,
        uint256 submitter,
        uint256 provider,
        uint256 otherProvider,
        uint256 scheduler
    ) internal view {
        vm.assertEq(market.balance(SUBMITTER, token_), submitter, "submitter's balance in the market");
        vm.assertEq(market.balance(PROVIDER, token_), provider, "provider's balance in the market");
        vm.assertEq(
            market.balance(OTHER_PROVIDER, token_), otherProvider, "other provider's balance in the market"
        );
        vm.assertEq(market.balance(SCHEDULER, token_), scheduler, "scheduler's balance in the market");
        vm.assertEq(market.balance(ARBITER, token_), 0, "arbiter's balance in the market");
        vm.assertEq(market.balance(STRANGER, token_), 0, "stranger's balance in the market");
        vm.assertEq(market.balance(NODE, token_), 0, "node's balance in the market");
    }
}
