// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {JobSlot, Slot} from "../src/libraries/JobSlot.sol";
import {JobTerms} from "../src/libraries/JobTerms.sol";
import {Base} from "./Base.sol";

/// @notice The word that a job is stored in: fields do not touch each other.
contract JobSlotTest is Base {
    using JobTerms for IJobMarket.Terms;

    /// @dev The layout is an interface: indexers read it by `eth_getStorageAt`.
    function test_layout() public pure {
        uint256 word = 2 | uint256(0xA0) << 4 | uint256(0xB0) << 164 | uint256(0xC0) << 196 | uint256(0xD0)
            << 228 | uint256(0xE0) << 244 | uint256(5) << 252;
        _assertFields(Slot.wrap(word), IJobMarket.State.Assigned, address(0xA0), 0xB0, 0xC0, 0xD0, 0xE0, 5);
    }

    function testFuzz_has(uint256 word, uint8 flags) public pure {
        Slot s = Slot.wrap(word & type(uint256).max >> 1);
        vm.assertTrue(s.has(flags) == (s.flags() & flags != 0), "has");
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
        _assertFields(s, to, before.party(), at, before.since(), before.attempt(), before.forfeits(), flags);
    }

    function testFuzz_close(uint256 word, uint8 state, uint32 at) public pure {
        Slot before = Slot.wrap(word);
        IJobMarket.State to = IJobMarket.State(state % 9);
        Slot s = before.close(to, at);
        _assertFields(s, to, address(0), at, 0, before.attempt(), before.forfeits(), 0);
    }

    /// @dev Of the terms only scheduler, deadline, and whether there is a bond come into the word.
    function testFuzz_open(
        uint256 word,
        IJobMarket.Terms memory t,
        uint32 deadline,
        uint32 at,
        uint8 forfeits
    ) public view {
        t.deadline = deadline;
        if (deadline % 2 == 0) t.bond = 0;
        Slot before = Slot.wrap(word);
        Slot s = this.opened(before, t, at, forfeits);
        _assertFields(
            s,
            IJobMarket.State.Open,
            t.scheduler,
            at,
            deadline,
            before.attempt(),
            forfeits,
            t.bond == 0 ? 0 : JobSlot.BONDED
        );
    }

    /// @dev External, because the terms are read as they lie in calldata.
    function opened(Slot s, IJobMarket.Terms calldata t, uint32 at, uint8 forfeits)
        external
        pure
        returns (Slot)
    {
        return s.open(t.words(), at, forfeits);
    }

    function _assertFields(
        Slot s,
        IJobMarket.State state,
        address party,
        uint256 at,
        uint256 since,
        uint256 attempt,
        uint256 forfeits,
        uint256 flags
    ) private pure {
        vm.assertEq(uint256(s.state()), uint256(state), "state");
        vm.assertEq(s.party(), party, "party");
        vm.assertEq(s.at(), at, "at");
        vm.assertEq(s.since(), since, "since");
        vm.assertEq(s.attempt(), attempt, "attempt");
        vm.assertEq(s.forfeits(), forfeits, "forfeits");
        vm.assertEq(s.flags(), flags, "flags");
        vm.assertEq(Slot.unwrap(s) >> 255, 0, "the highest bit is unused");
    }
}
