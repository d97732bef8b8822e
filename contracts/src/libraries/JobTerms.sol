// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../interfaces/IJobMarket.sol";

/// @title JobTerms
/// @notice The terms of a job: their hash, and which of them are refused.
library JobTerms {
    uint256 private constant MAX_DEADLINE_SECONDS = 365 days;
    uint256 private constant MIN_GRACE_SECONDS = 60;
    uint256 private constant MIN_LEASE_GRACES = 4;
    uint256 private constant MAX_LEASE_SECONDS = 30 days;
    uint256 private constant MAX_HOLD_SECONDS = 30 days;
    uint256 private constant MIN_WINDOW_SECONDS = 1 hours;
    uint256 private constant MAX_WINDOW_SECONDS = 30 days;

    bytes32 private constant TYPEHASH = keccak256(
        "Terms(address submitter,address scheduler,address arbiter,address token,uint128 bounty,uint128 fee,uint128 bond,uint128 disputeBond,uint40 deadline,uint32 leaseSeconds,uint32 graceSeconds,uint32 attemptSeconds,uint32 holdSeconds,uint32 challengeWindow,uint32 rulingSeconds,bytes32 specHash,bytes32 salt)"
    );
    /// @dev Seventeen words.
    uint256 private constant SIZE = 0x220;

    /// @dev The terms as they lie in calldata. Solidity checks a narrow field for stray bits each time it is read; `refusal`
    /// checks them all at once. The terms of a job that exists have none.
    struct Words {
        uint256 submitter;
        uint256 scheduler;
        uint256 arbiter;
        uint256 token;
        uint256 bounty;
        uint256 fee;
        uint256 bond;
        uint256 disputeBond;
        uint256 deadline;
        uint256 leaseSeconds;
        uint256 graceSeconds;
        uint256 attemptSeconds;
        uint256 holdSeconds;
        uint256 challengeWindow;
        uint256 rulingSeconds;
        bytes32 specHash;
        bytes32 salt;
    }

    function words(IJobMarket.Terms calldata t) internal pure returns (Words calldata w) {
        assembly ("memory-safe") {
            w := t
        }
    }

    /// @notice The EIP-712 digest of the terms: the job's id.
    /// @dev Hashes the calldata as it is. Terms with stray high bits get an id of their own, which can never be
    /// opened.
    function id(IJobMarket.Terms calldata t, bytes32 domain) internal pure returns (bytes32 digest) {
        bytes32 typeHash = TYPEHASH;
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, typeHash)
            calldatacopy(add(m, 0x20), t, SIZE)
            let structHash := keccak256(m, add(SIZE, 0x20))
            mstore(m, shl(240, 0x1901))
            mstore(add(m, 0x02), domain)
            mstore(add(m, 0x22), structHash)
            digest := keccak256(m, 0x42)
        }
    }

    /// @notice `emit Opened(jobId, t.submitter, t)`, without encoding what lies in calldata as the event wants it.
    function emitOpened(IJobMarket.Terms calldata t, bytes32 jobId) internal {
        bytes32 topic = IJobMarket.Opened.selector;
        uint256 submitter = words(t).submitter;
        assembly ("memory-safe") {
            let m := mload(0x40)
            calldatacopy(m, t, SIZE)
            log3(m, SIZE, topic, jobId, submitter)
        }
    }

    /// @notice Why a job under these terms may not be opened at the time `current`; nothing if it may. So no job exists
    /// that cannot complete.
    function refusal(IJobMarket.Terms calldata t, uint256 current)
        internal
        pure
        returns (bytes memory error)
    {
        Words calldata w = words(t);
        uint256 strayBits = (w.submitter | w.scheduler | w.arbiter | w.token) >> 160;
        strayBits |= (w.bounty | w.fee | w.bond | w.disputeBond) >> 128;
        strayBits |= w.deadline >> 40;
        strayBits |= (w.leaseSeconds | w.graceSeconds | w.attemptSeconds) >> 32;
        strayBits |= (w.holdSeconds | w.challengeWindow | w.rulingSeconds) >> 32;
        if (strayBits != 0) return abi.encodeWithSelector(IJobMarket.StrayBits.selector);

        (uint256 scheduler, uint256 arbiter) = (w.scheduler, w.arbiter);
        if (scheduler == 0 || arbiter == 0) {
            return abi.encodeWithSelector(IJobMarket.ZeroParty.selector, scheduler, arbiter);
        }
        uint256 bounty = w.bounty;
        if (bounty == 0) return abi.encodeWithSelector(IJobMarket.ZeroBounty.selector);
        if (w.fee > bounty) return abi.encodeWithSelector(IJobMarket.FeeAboveBounty.selector, w.fee, bounty);
        if ((w.bond | w.disputeBond) != 0 && (arbiter == w.submitter || arbiter == scheduler)) {
            return abi.encodeWithSelector(IJobMarket.PartialArbiter.selector, arbiter);
        }
        uint256 grace = w.graceSeconds;
        uint256 latest;
        uint256 shortestLease;
        // Times and terms have 40 bits at most.
        unchecked {
            latest = current + MAX_DEADLINE_SECONDS;
            shortestLease = grace * MIN_LEASE_GRACES;
        }
        if (_outside(w.deadline, current, latest)) {
            return _outOfRange("deadline", w.deadline, current, latest);
        }
        if (_outside(grace, MIN_GRACE_SECONDS, MAX_LEASE_SECONDS / MIN_LEASE_GRACES)) {
            return _outOfRange("graceSeconds", grace, MIN_GRACE_SECONDS, MAX_LEASE_SECONDS / MIN_LEASE_GRACES);
        }
        uint256 lease = w.leaseSeconds;
        if (_outside(lease, shortestLease, MAX_LEASE_SECONDS)) {
            return _outOfRange("leaseSeconds", lease, shortestLease, MAX_LEASE_SECONDS);
        }
        if (w.attemptSeconds < lease) {
            return _outOfRange("attemptSeconds", w.attemptSeconds, lease, type(uint32).max);
        }
        if (w.holdSeconds > MAX_HOLD_SECONDS) {
            return _outOfRange("holdSeconds", w.holdSeconds, 0, MAX_HOLD_SECONDS);
        }
        if (_outside(w.challengeWindow, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS)) {
            return _outOfRange("challengeWindow", w.challengeWindow, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS);
        }
        if (_outside(w.rulingSeconds, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS)) {
            return _outOfRange("rulingSeconds", w.rulingSeconds, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS);
        }
    }

    /// @dev A value below the minimum wraps around, so that one comparison tests both ends.
    function _outside(uint256 value, uint256 min, uint256 max) private pure returns (bool) {
        unchecked {
            return value - min > max - min;
        }
    }

    function _outOfRange(string memory term, uint256 value, uint256 min, uint256 max)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(IJobMarket.TermOutOfRange.selector, term, value, min, max);
    }
}
