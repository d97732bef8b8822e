// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {JobSlot, Slot} from "../src/libraries/JobSlot.sol";
import {Base} from "./Base.sol";

/// @notice The word that a job is stored in: fields do not touch each other.
contract JobSlotTest is Base {
    /// @dev The layout is an interface: indexers read it by `eth_getStorageAt`.
    function test_layout() public pure {
        uint256 word = 2 | uint256(0xA0) << 4 | uint256(0xB0) << 164 | uint256(0xC0) << 196 | uint256(0xD0)
            << 228 | uint256(0xE0) << 244 | uint256(5) << 252;
        Slot s = Slot.wrap(word);
        vm.assertEq(uint256(s.state()), 2, "state");
        vm.assertEq(s.node(), address(0xA0), "node");
        vm.assertEq(s.at(), 0xB0, "at");
        vm.assertEq(s.assignedAt(), 0xC0, "assignedAt");
        vm.assertEq(s.attempt(), 0xD0, "attempt");
        vm.assertEq(s.forfeits(), 0xE0, "forfeits");
        vm.assertEq(s.flags(), 5, "flags");
    }

    function testFuzz_assign(uint256 word, address node, uint16 attempt, uint32 at) public pure {
        Slot before = Slot.wrap(word);
        Slot s = before.assign(node, attempt, at);
        _assertFields(s, IJobMarket.State.Assigned, node, at, at, attempt, before.forfeits(), 0);
    }

    function testFuzz_move(uint256 word, uint8 state, uint32 at, uint8 flags) public pure {
        Slot before = Slot.wrap(word);
        IJobMarket.State to = IJobMarket.State(state % 9);
        flags %= 8;
        Slot s = before.move(to, at, flags);
        _assertFields(
            s, to, before.node(), at, before.assignedAt(), before.attempt(), before.forfeits(), flags
        );
    }

    function testFuzz_reopen(uint256 word, uint32 at) public pure {
        Slot before = Slot.wrap(word);
        Slot s = before.reopen(at);
        _assertFields(s, IJobMarket.State.Open, address(0), at, 0, before.attempt(), before.forfeits(), 0);
    }

    function _assertFields(
        Slot s,
        IJobMarket.State state,
        address node,
        uint256 at,
        uint256 assignedAt,
        uint256 attempt,
        uint256 forfeits,
        uint256 flags
    ) private pure {
        vm.assertEq(uint256(s.state()), uint256(state), "state");
        vm.assertEq(s.node(), node, "node");
        vm.assertEq(s.at(), at, "at");
        vm.assertEq(s.assignedAt(), assignedAt, "assignedAt");
        vm.assertEq(s.attempt(), attempt, "attempt");
        vm.assertEq(s.forfeits(), forfeits, "forfeits");
        vm.assertEq(s.flags(), flags, "flags");
        vm.assertEq(Slot.unwrap(s) >> 255, 0, "the highest bit is unused");
    }
}
