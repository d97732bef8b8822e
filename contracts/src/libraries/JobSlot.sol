// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {JobTerms} from "./JobTerms.sol";

/// @notice What the contract stores of a job: one word. From the lowest bit on
/// `state 4 | node 160 | at 32 | assignedAt 32 | attempt 16 | forfeits 8 | flags 3`. An open job has no node: in its
/// place stand `scheduler 160`, in that of `assignedAt` the `deadline`, so that the scheduler can assign it without its
/// terms.
/// @dev A Solidity struct would spill into a second word. Unix seconds fit 32 bits until 2106.
type Slot is uint256;

using JobSlot for Slot global;

/// @title JobSlot
/// @notice Reads the fields of a `Slot` and makes the next one.
library JobSlot {
    /// @notice Assigned: the node was called in and has not renewed since.
    uint8 internal constant CALLED_IN = 1;
    /// @notice Open: an assignment locks a bond, so it needs the terms.
    uint8 internal constant BONDED = 1;
    /// @notice The scheduler settled the job, so the fee is due.
    uint8 internal constant SETTLED = 2;
    /// @notice The scheduler, and not the submitter, paid for the dispute.
    uint8 internal constant DISPUTED_BY_SCHEDULER = 4;

    uint256 private constant PARTY = 4;
    uint256 private constant AT = 164;
    uint256 private constant SINCE = 196;
    uint256 private constant ATTEMPT = 228;
    uint256 private constant FORFEITS = 244;
    uint256 private constant FLAGS = 252;

    uint256 private constant FORFEITS_MASK = (2 ** 8 - 1) << FORFEITS;
    uint256 private constant ATTEMPT_MASK = (2 ** 16 - 1) << ATTEMPT;
    /// @dev What outlives a change of state: node, assignedAt, attempt and forfeits.
    uint256 private constant MOVE_KEEPS =
        (2 ** 160 - 1) << PARTY | (2 ** 32 - 1) << SINCE | ATTEMPT_MASK | FORFEITS_MASK;

    // Truncation is how a field is cut out of the word.
    // forge-lint: disable-start(unsafe-typecast)

    /// @dev Needs no range check: only states of the enum are ever written.
    function state(Slot s) internal pure returns (IJobMarket.State state_) {
        assembly ("memory-safe") {
            state_ := and(s, 0xf)
        }
    }

    /// @notice Who holds, or delivered, the job; in an open job its scheduler.
    function party(Slot s) internal pure returns (address) {
        return address(uint160(Slot.unwrap(s) >> PARTY));
    }

    function at(Slot s) internal pure returns (uint40) {
        return uint32(Slot.unwrap(s) >> AT);
    }

    /// @notice When the attempt began; in an open job its deadline.
    function since(Slot s) internal pure returns (uint40) {
        return uint32(Slot.unwrap(s) >> SINCE);
    }

    function attempt(Slot s) internal pure returns (uint16) {
        return uint16(Slot.unwrap(s) >> ATTEMPT);
    }

    function forfeits(Slot s) internal pure returns (uint8) {
        return uint8(Slot.unwrap(s) >> FORFEITS);
    }

    function flags(Slot s) internal pure returns (uint8) {
        return uint8(Slot.unwrap(s) >> FLAGS);
    }

    /// @notice Whether any of `flags_` is set.
    function has(Slot s, uint8 flags_) internal pure returns (bool) {
        return Slot.unwrap(s) & uint256(flags_) << FLAGS != 0;
    }

    /// @notice The same attempt in another state, since `at_`.
    function move(Slot s, IJobMarket.State state_, uint40 at_, uint8 flags_) internal pure returns (Slot) {
        uint256 word = Slot.unwrap(s) & MOVE_KEEPS;
        word |= uint256(state_);
        word |= uint256(uint32(at_)) << AT;
        word |= uint256(flags_) << FLAGS;
        return Slot.wrap(word);
    }

    /// @notice Ended without payment, so without a node.
    function close(Slot s, IJobMarket.State state_, uint40 at_) internal pure returns (Slot) {
        uint256 word = Slot.unwrap(s) & (ATTEMPT_MASK | FORFEITS_MASK);
        word |= uint256(state_);
        word |= uint256(uint32(at_)) << AT;
        return Slot.wrap(word);
    }

    /// @notice A new attempt, by `node`.
    function assign(Slot s, address node, uint16 attempt_, uint40 at_) internal pure returns (Slot) {
        uint256 word = Slot.unwrap(s) & FORFEITS_MASK;
        word |= uint256(IJobMarket.State.Assigned);
        word |= uint256(uint160(node)) << PARTY;
        word |= uint256(uint32(at_)) << AT;
        word |= uint256(uint32(at_)) << SINCE;
        word |= uint256(attempt_) << ATTEMPT;
        return Slot.wrap(word);
    }

    /// @notice Nobody's job: the attempts so far stay counted, and the bonds in the pool are `forfeits_`.
    function open(Slot s, JobTerms.Words calldata w, uint256 at_, uint256 forfeits_)
        internal
        pure
        returns (Slot)
    {
        uint256 word = Slot.unwrap(s) & ATTEMPT_MASK;
        word |= uint256(IJobMarket.State.Open);
        word |= w.scheduler << PARTY;
        word |= at_ << AT;
        word |= w.deadline << SINCE;
        word |= forfeits_ << FORFEITS;
        if (w.bond != 0) word |= uint256(BONDED) << FLAGS;
        return Slot.wrap(word);
    }

    // forge-lint: disable-end(unsafe-typecast)
}
