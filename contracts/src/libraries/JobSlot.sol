// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../interfaces/IJobMarket.sol";

/// @notice What the contract stores of a job: one word. From the lowest bit on
/// `state 4 | node 160 | at 32 | assignedAt 32 | attempt 16 | forfeits 8 | flags 3`.
/// @dev A Solidity struct would spill into a second word. Unix seconds fit 32 bits until 2106.
type Slot is uint256;

using JobSlot for Slot global;

/// @title JobSlot
/// @notice Reads the fields of a `Slot` and makes the next one.
library JobSlot {
    /// @notice The node was called in and has not renewed since.
    uint8 internal constant CALLED_IN = 1;
    /// @notice The scheduler settled the job, so the fee is due.
    uint8 internal constant SETTLED = 2;

    uint256 private constant NODE = 4;
    uint256 private constant AT = 164;
    uint256 private constant ASSIGNED_AT = 196;
    uint256 private constant ATTEMPT = 228;
    uint256 private constant FORFEITS = 244;
    uint256 private constant FLAGS = 252;

    /// @dev What outlives a change of state: node, assignedAt, attempt and forfeits.
    uint256 private constant MOVE_KEEPS = (2 ** 160 - 1) << NODE | (2 ** 32 - 1) << ASSIGNED_AT
        | (2 ** 16 - 1) << ATTEMPT | (2 ** 8 - 1) << FORFEITS;
    /// @dev What outlives an attempt.
    uint256 private constant ASSIGN_KEEPS = (2 ** 8 - 1) << FORFEITS;
    uint256 private constant REOPEN_KEEPS = (2 ** 16 - 1) << ATTEMPT | (2 ** 8 - 1) << FORFEITS;

    // Truncation is how a field is cut out of the word.
    // forge-lint: disable-start(unsafe-typecast)

    /// @dev Needs no range check: only states of the enum are ever written.
    function state(Slot s) internal pure returns (IJobMarket.State state_) {
        assembly ("memory-safe") {
            state_ := and(s, 0xf)
        }
    }

    function node(Slot s) internal pure returns (address) {
        return address(uint160(Slot.unwrap(s) >> NODE));
    }

    function at(Slot s) internal pure returns (uint40) {
        return uint32(Slot.unwrap(s) >> AT);
    }

    function assignedAt(Slot s) internal pure returns (uint40) {
        return uint32(Slot.unwrap(s) >> ASSIGNED_AT);
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

    /// @notice The same attempt in another state, since `at_`.
    function move(Slot s, IJobMarket.State state_, uint40 at_, uint8 flags_) internal pure returns (Slot) {
        uint256 word = Slot.unwrap(s) & MOVE_KEEPS;
        word |= uint256(state_);
        word |= uint256(uint32(at_)) << AT;
        word |= uint256(flags_) << FLAGS;
        return Slot.wrap(word);
    }

    /// @notice A new attempt, by `node_`.
    function assign(Slot s, address node_, uint16 attempt_, uint40 at_) internal pure returns (Slot) {
        uint256 word = Slot.unwrap(s) & ASSIGN_KEEPS;
        word |= uint256(IJobMarket.State.Assigned);
        word |= uint256(uint160(node_)) << NODE;
        word |= uint256(uint32(at_)) << AT;
        word |= uint256(uint32(at_)) << ASSIGNED_AT;
        word |= uint256(attempt_) << ATTEMPT;
        return Slot.wrap(word);
    }

    /// @notice Nobody's job again; the attempts so far stay counted.
    function reopen(Slot s, uint40 at_) internal pure returns (Slot) {
        uint256 word = Slot.unwrap(s) & REOPEN_KEEPS;
        word |= uint256(IJobMarket.State.Open);
        word |= uint256(uint32(at_)) << AT;
        return Slot.wrap(word);
    }

    // forge-lint: disable-end(unsafe-typecast)
}
