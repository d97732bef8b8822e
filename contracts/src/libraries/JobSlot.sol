// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../interfaces/IJobMarket.sol";

/// @notice What the contract stores of a job, unpacked.
struct Job {
    IJobMarket.State state;
    address node;
    uint40 at;
    uint40 assignedAt;
    uint16 attempt;
    uint8 forfeits;
    uint8 flags;
}

/// @title JobSlot
/// @notice A job in one storage word. From the lowest bit on:
/// `state 4 | node 160 | at 32 | assignedAt 32 | attempt 16 | forfeits 8 | flags 3`.
/// @dev A Solidity struct would spill into a second word. Unix seconds fit 32 bits until 2106.
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

    function pack(Job memory j) internal pure returns (uint256) {
        return uint256(j.state) | uint256(uint160(j.node)) << NODE | uint256(uint32(j.at)) << AT
            | uint256(uint32(j.assignedAt)) << ASSIGNED_AT | uint256(j.attempt) << ATTEMPT
            | uint256(j.forfeits) << FORFEITS | uint256(j.flags) << FLAGS;
    }

    // Truncation is how a field is cut out of the word.
    // forge-lint: disable-start(unsafe-typecast)
    function unpack(uint256 word) internal pure returns (Job memory j) {
        j.state = IJobMarket.State(word & 0xf);
        j.node = address(uint160(word >> NODE));
        j.at = uint32(word >> AT);
        j.assignedAt = uint32(word >> ASSIGNED_AT);
        j.attempt = uint16(word >> ATTEMPT);
        j.forfeits = uint8(word >> FORFEITS);
        j.flags = uint8(word >> FLAGS);
    }
    // forge-lint: disable-end(unsafe-typecast)
}
