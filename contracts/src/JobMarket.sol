// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "solady/utils/ECDSA.sol";
import {EIP712} from "solady/utils/EIP712.sol";
import {ReentrancyGuard} from "solady/utils/ReentrancyGuard.sol";

import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {JobSlot, Slot} from "./libraries/JobSlot.sol";
import {Transfers} from "./libraries/Transfers.sol";

/// @title JobMarket
/// @notice See `IJobMarket`.
/// @dev Whoever calls out, to pay or to take a token, writes all new state first: entering any verb from a receiver
/// or a token is the same as calling it afterwards. Only a token deposit is measured by a balance, so only that is
/// guarded, against a second deposit inside the first. Nothing else reads a balance.
contract JobMarket is IJobMarket, EIP712, ReentrancyGuard {
    /* CONSTANTS */

    uint256 private constant MAX_DEADLINE_SECONDS = 365 days;
    uint256 private constant MIN_GRACE_SECONDS = 60;
    uint256 private constant MIN_LEASE_GRACES = 4;
    uint256 private constant MAX_LEASE_SECONDS = 30 days;
    uint256 private constant MAX_HOLD_SECONDS = 30 days;
    uint256 private constant MIN_WINDOW_SECONDS = 1 hours;
    uint256 private constant MAX_WINDOW_SECONDS = 30 days;
    /// @dev A node can be called in once this part of its lease has run.
    uint40 private constant CALL_IN_LEASE_PART = 4;

    bytes32 private constant TERMS_TYPEHASH = keccak256(
        "Terms(address submitter,address scheduler,address arbiter,address token,uint128 bounty,uint128 fee,uint128 bond,uint128 disputeBond,uint40 deadline,uint32 leaseSeconds,uint32 graceSeconds,uint32 attemptSeconds,uint32 holdSeconds,uint32 challengeWindow,uint32 rulingSeconds,bytes32 specHash,bytes32 salt)"
    );
    bytes32 private constant RESULT_TYPEHASH =
        keccak256("Result(bytes32 jobId,uint16 attempt,address node,bytes32 receiptHash)");
    bytes32 private constant RENEW_TYPEHASH =
        keccak256("Renew(bytes32 jobId,uint16 attempt,uint40 issuedAt)");
    bytes32 private constant RELEASE_TYPEHASH = keccak256("Release(bytes32 jobId,uint16 attempt)");
    bytes32 private constant ENROLL_TYPEHASH =
        keccak256("Enroll(address node,address provider,uint40 expires)");

    /// @dev Job ids keep this domain for good; signatures follow the chain id if it ever changes.
    bytes32 private immutable DEPLOYMENT_DOMAIN;

    /* STORAGE */

    struct Node {
        address provider;
        bool revoked;
    }

    struct Approval {
        bool approved;
        uint128 bondLimit;
    }

    /// @dev An ended job keeps its slot, so an id is opened at most once.
    mapping(bytes32 id => Slot) private _jobs;
    mapping(address node => Node) private _nodes;
    mapping(address provider => mapping(address scheduler => mapping(address token => Approval))) private
        _approvals;
    mapping(address owner => mapping(address token => uint256 amount)) private _credits;

    constructor() {
        DEPLOYMENT_DOMAIN = _domainSeparator();
    }

    /* JOBS: THE SUBMITTER */

    /// @inheritdoc IJobMarket
    function open(Terms calldata terms) external payable returns (bytes32 id) {
        Terms memory t = terms;
        if (msg.sender != t.submitter) revert NotSubmitter(msg.sender, t.submitter);
        _checkTerms(t);
        Slot s;
        (id, s) = _load(terms);
        _requireState(s.state() == State.None, id, s);

        _jobs[id] = s.move(State.Open, _now(), 0);
        _emitOpened(id, t);

        if (t.token == address(0)) {
            if (msg.value != t.bounty) revert WrongValue(msg.value, t.bounty);
        } else {
            if (msg.value != 0) revert WrongValue(msg.value, 0);
            _pull(t.token, t.submitter, t.bounty);
        }
    }

    /// @inheritdoc IJobMarket
    function cancel(Terms calldata t) external {
        if (msg.sender != t.submitter) revert NotSubmitter(msg.sender, t.submitter);
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Open || s.state() == State.None, id, s);

        uint256 amount = s.state() == State.Open ? t.bounty : 0;
        _jobs[id] = s.move(State.Cancelled, _now(), 0);
        emit Cancelled(id, amount);
        _pay(t.token, t.submitter, amount);
    }

    /// @inheritdoc IJobMarket
    function refund(Terms calldata t) external {
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Open || s.state() == State.Assigned, id, s);
        if (_now() <= t.deadline) revert DeadlineNotPassed(t.deadline);

        _jobs[id] = s.move(State.Refunded, _now(), 0);
        emit Refunded(id, t.bounty);
        _pay(t.token, t.submitter, t.bounty);
    }

    /* JOBS: THE SCHEDULER */

    /// @inheritdoc IJobMarket
    function assign(Terms calldata t, address node_, uint16 attempt) external {
        if (msg.sender != t.scheduler) revert NotScheduler(msg.sender, t.scheduler);
        (bytes32 id, Slot s) = _load(t);
        if (s.state() == State.Assigned) {
            uint40 end = _leaseEnd(t, s);
            if (_now() <= end) revert LeaseRunning(end);
            emit Lapsed(id, s.attempt());
        } else {
            _requireState(s.state() == State.Open, id, s);
        }
        if (_now() > t.deadline) revert DeadlinePassed(t.deadline);
        if (attempt != uint256(s.attempt()) + 1) revert WrongAttempt(attempt, uint256(s.attempt()) + 1);

        Node memory n = _nodes[node_];
        if (n.provider == address(0)) revert NotEnrolled(node_);
        if (n.revoked) revert NodeRevoked(node_);
        if (!_approvals[n.provider][t.scheduler][t.token].approved) {
            revert SchedulerNotApproved(n.provider, t.scheduler, t.token);
        }

        _jobs[id] = s.assign(node_, attempt, _now());
        emit Assigned(id, node_, n.provider, attempt);
    }

    /// @inheritdoc IJobMarket
    function callIn(Terms calldata t) external {
        if (msg.sender != t.scheduler) revert NotScheduler(msg.sender, t.scheduler);
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Assigned, id, s);

        uint40 end = _leaseEnd(t, s);
        if (s.flags() & JobSlot.CALLED_IN != 0) revert AlreadyCalledIn(end);
        uint40 earliest = s.at() + t.leaseSeconds / CALL_IN_LEASE_PART;
        if (_now() < earliest) revert CallInTooEarly(earliest);
        if (_now() + t.graceSeconds >= end) revert CallInWithoutEffect(end);

        s = s.move(State.Assigned, _now(), JobSlot.CALLED_IN);
        _jobs[id] = s;
        emit CalledIn(id, s.attempt(), _leaseEnd(t, s));
    }

    /// @inheritdoc IJobMarket
    function lapse(Terms calldata t) external {
        if (msg.sender != t.scheduler && msg.sender != t.submitter) {
            revert NotSchedulerOrSubmitter(msg.sender, t.scheduler, t.submitter);
        }
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Assigned, id, s);
        uint40 until = _leaseEnd(t, s);
        if (msg.sender != t.scheduler) until += t.graceSeconds;
        if (_now() <= until) revert LeaseRunning(until);

        emit Lapsed(id, s.attempt());
        _jobs[id] = s.reopen(_now());
    }

    /// @inheritdoc IJobMarket
    function settle(Terms calldata t, bytes32 receiptHash, Signature calldata signature) external {
        if (msg.sender != t.scheduler) revert NotScheduler(msg.sender, t.scheduler);
        (bytes32 id, Slot s) = _load(t);
        if (s.state() == State.Assigned) {
            if (_now() > t.deadline) revert DeadlinePassed(t.deadline);
        } else {
            _requireState(s.state() == State.Published, id, s);
            uint40 until = s.at() + t.challengeWindow;
            if (_now() > until) revert WindowClosed(until);
        }
        _checkResult(id, s, receiptHash, signature);

        s = s.move(t.holdSeconds == 0 ? State.Paid : State.Held, _now(), JobSlot.SETTLED);
        _jobs[id] = s;
        emit Settled(id, s.node(), s.attempt(), receiptHash);
        if (t.holdSeconds == 0) _payOut(t, id, s);
    }

    /* JOBS: THE NODE AND ITS PROVIDER */

    /// @inheritdoc IJobMarket
    function renew(Terms calldata t, uint40 issuedAt, Signature calldata signature) external {
        (bytes32 id, Slot s) = _load(t);
        _requireLease(t, id, s);
        if (issuedAt > _now()) revert RenewalFromFuture(issuedAt, _now());
        uint40 expiry = issuedAt + t.graceSeconds;
        if (_now() > expiry) revert RenewalExpired(issuedAt, expiry);
        if (issuedAt <= s.at()) revert RenewalNotNewer(issuedAt, s.at());
        _checkSignature(s.node(), keccak256(abi.encode(RENEW_TYPEHASH, id, s.attempt(), issuedAt)), signature);

        s = s.move(State.Assigned, issuedAt, 0);
        _jobs[id] = s;
        emit Renewed(id, s.attempt(), _leaseEnd(t, s));
    }

    /// @inheritdoc IJobMarket
    function release(Terms calldata t, Signature calldata signature) external {
        (bytes32 id, Slot s) = _load(t);
        _requireLease(t, id, s);
        if (msg.sender != _nodes[s.node()].provider) {
            _checkSignature(s.node(), keccak256(abi.encode(RELEASE_TYPEHASH, id, s.attempt())), signature);
        }

        emit Released(id, s.attempt());
        _jobs[id] = s.reopen(_now());
    }

    /// @inheritdoc IJobMarket
    function publish(Terms calldata t, bytes32 receiptHash, Signature calldata signature) external {
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Assigned, id, s);
        if (_now() > t.deadline) revert DeadlinePassed(t.deadline);
        _checkResult(id, s, receiptHash, signature);

        _jobs[id] = s.move(State.Published, _now(), 0);
        emit Published(id, s.node(), s.attempt(), receiptHash);
    }

    /// @inheritdoc IJobMarket
    function claim(Terms calldata t) external {
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Held || s.state() == State.Published, id, s);
        uint40 until = s.at() + (s.state() == State.Held ? t.holdSeconds : t.challengeWindow);
        if (_now() <= until) revert WindowOpen(until);

        _jobs[id] = s.move(State.Paid, _now(), s.flags());
        _payOut(t, id, s);
    }

    /* CREDITS */

    /// @inheritdoc IJobMarket
    function withdraw(address token, address to) external returns (uint256 amount) {
        if (to == address(0) || to == address(this)) revert InvalidRecipient(to);
        amount = _credits[msg.sender][token];
        if (amount == 0) revert NothingToWithdraw(msg.sender, token);

        _credits[msg.sender][token] = 0;
        emit Withdrawn(msg.sender, token, to, amount);
        if (!Transfers.send(token, to, amount)) revert WithdrawFailed(token, to, amount);
    }

    /* NODES */

    /// @inheritdoc IJobMarket
    function enroll(address node_, uint40 expires, Signature calldata nodeSignature) external {
        if (_now() > expires) revert EnrollmentExpired(expires);
        address provider = _nodes[node_].provider;
        if (provider != address(0)) revert AlreadyEnrolled(node_, provider);
        _checkSignature(
            node_, keccak256(abi.encode(ENROLL_TYPEHASH, node_, msg.sender, expires)), nodeSignature
        );

        _nodes[node_] = Node({provider: msg.sender, revoked: false});
        emit Enrolled(node_, msg.sender);
    }

    /// @inheritdoc IJobMarket
    function revoke(address node_) external {
        Node memory n = _nodes[node_];
        if (msg.sender != n.provider) revert NotProvider(msg.sender, n.provider);
        if (n.revoked) revert NodeRevoked(node_);

        _nodes[node_].revoked = true;
        emit Revoked(node_, msg.sender);
    }

    /// @inheritdoc IJobMarket
    function approveScheduler(address scheduler, address token, uint128 bondLimit) external {
        _approvals[msg.sender][scheduler][token] = Approval({approved: true, bondLimit: bondLimit});
        emit SchedulerApproved(msg.sender, scheduler, token, bondLimit);
    }

    /// @inheritdoc IJobMarket
    function disapproveScheduler(address scheduler, address token) external {
        delete _approvals[msg.sender][scheduler][token];
        emit SchedulerDisapproved(msg.sender, scheduler, token);
    }

    /* VIEWS */

    /// @inheritdoc IJobMarket
    function jobId(Terms calldata t) external view returns (bytes32) {
        return _jobId(t);
    }

    /// @inheritdoc IJobMarket
    function job(bytes32 id)
        external
        view
        returns (State, address, uint40 at, uint40 assignedAt, uint16 attempt, uint8 forfeits, uint8 flags)
    {
        Slot s = _jobs[id];
        return (s.state(), s.node(), s.at(), s.assignedAt(), s.attempt(), s.forfeits(), s.flags());
    }

    /// @inheritdoc IJobMarket
    function leaseEnd(Terms calldata t) external view returns (uint40) {
        (, Slot s) = _load(t);
        return s.state() == State.Assigned ? _leaseEnd(t, s) : 0;
    }

    /// @inheritdoc IJobMarket
    function node(address node_) external view returns (address provider, bool revoked) {
        Node memory n = _nodes[node_];
        return (n.provider, n.revoked);
    }

    /// @inheritdoc IJobMarket
    function approval(address provider, address scheduler, address token)
        external
        view
        returns (bool approved, uint128 bondLimit)
    {
        Approval memory a = _approvals[provider][scheduler][token];
        return (a.approved, a.bondLimit);
    }

    /// @inheritdoc IJobMarket
    function credit(address owner, address token) external view returns (uint256) {
        return _credits[owner][token];
    }

    /// @inheritdoc IJobMarket
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparator();
    }

    /* INTERNAL: IDS AND SIGNATURES */

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Gristmill", "1");
    }

    /// @dev Hashes the calldata as it is. Terms with stray high bits get an id of their own, which can never be
    /// opened, because `open` decodes every field.
    function _jobId(Terms calldata t) private view returns (bytes32 id) {
        bytes32 typeHash = TERMS_TYPEHASH;
        bytes32 domain = DEPLOYMENT_DOMAIN;
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, typeHash)
            calldatacopy(add(m, 0x20), t, 0x220)
            let structHash := keccak256(m, 0x240)
            mstore(m, shl(240, 0x1901))
            mstore(add(m, 0x02), domain)
            mstore(add(m, 0x22), structHash)
            id := keccak256(m, 0x42)
        }
    }

    function _checkResult(bytes32 id, Slot s, bytes32 receiptHash, Signature calldata signature)
        private
        view
    {
        bytes32 structHash = keccak256(abi.encode(RESULT_TYPEHASH, id, s.attempt(), s.node(), receiptHash));
        _checkSignature(s.node(), structHash, signature);
    }

    /// @dev A signature that recovers to nobody recovers to zero, which `enroll` never lets become a node.
    function _checkSignature(address signer, bytes32 structHash, Signature calldata signature) private view {
        address recovered = ECDSA.tryRecover(_hashTypedData(structHash), signature.r, signature.vs);
        if (recovered != signer || recovered == address(0)) revert BadSignature(signer, recovered);
    }

    /* INTERNAL: JOBS */

    function _load(Terms calldata t) private view returns (bytes32 id, Slot s) {
        id = _jobId(t);
        s = _jobs[id];
    }

    function _requireState(bool allowed, bytes32 id, Slot s) private pure {
        if (!allowed) revert WrongState(id, s.state());
    }

    function _requireLease(Terms calldata t, bytes32 id, Slot s) private view {
        _requireState(s.state() == State.Assigned, id, s);
        uint40 end = _leaseEnd(t, s);
        if (_now() > end) revert LeaseEnded(end);
    }

    function _leaseEnd(Terms calldata t, Slot s) private pure returns (uint40) {
        uint40 end = s.at() + (s.flags() & JobSlot.CALLED_IN != 0 ? t.graceSeconds : t.leaseSeconds);
        uint40 attemptEnd = s.assignedAt() + t.attemptSeconds;
        return end < attemptEnd ? end : attemptEnd;
    }

    function _now() private view returns (uint40) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint40(block.timestamp);
    }

    /// @dev `emit Opened(id, t.submitter, t.scheduler, t)`, without encoding a second time what lies in memory as
    /// the event wants it.
    function _emitOpened(bytes32 id, Terms memory t) private {
        bytes32 topic = Opened.selector;
        address submitter = t.submitter;
        address scheduler = t.scheduler;
        assembly ("memory-safe") {
            log4(t, 0x220, topic, id, submitter, scheduler)
        }
    }

    /// @dev So no job exists that cannot complete.
    function _checkTerms(Terms memory t) private view {
        if (t.scheduler == address(0) || t.arbiter == address(0)) revert ZeroParty(t.scheduler, t.arbiter);
        if (t.bounty == 0) revert ZeroBounty();
        if (t.fee > t.bounty) revert FeeAboveBounty(t.fee, t.bounty);
        if (t.bond != 0 || t.disputeBond != 0) revert BondNotSupported(t.bond, t.disputeBond);
        uint256 earliest = _now();
        if (_outside(t.deadline, earliest, earliest + MAX_DEADLINE_SECONDS)) {
            revert TermOutOfRange("deadline", t.deadline, earliest, earliest + MAX_DEADLINE_SECONDS);
        }
        uint256 longestGrace = MAX_LEASE_SECONDS / MIN_LEASE_GRACES;
        if (_outside(t.graceSeconds, MIN_GRACE_SECONDS, longestGrace)) {
            revert TermOutOfRange("graceSeconds", t.graceSeconds, MIN_GRACE_SECONDS, longestGrace);
        }
        uint256 shortestLease = t.graceSeconds * MIN_LEASE_GRACES;
        if (_outside(t.leaseSeconds, shortestLease, MAX_LEASE_SECONDS)) {
            revert TermOutOfRange("leaseSeconds", t.leaseSeconds, shortestLease, MAX_LEASE_SECONDS);
        }
        if (t.attemptSeconds < t.leaseSeconds) {
            revert TermOutOfRange("attemptSeconds", t.attemptSeconds, t.leaseSeconds, type(uint32).max);
        }
        if (t.holdSeconds > MAX_HOLD_SECONDS) {
            revert TermOutOfRange("holdSeconds", t.holdSeconds, 0, MAX_HOLD_SECONDS);
        }
        if (_outside(t.challengeWindow, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS)) {
            revert TermOutOfRange(
                "challengeWindow", t.challengeWindow, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS
            );
        }
        if (_outside(t.rulingSeconds, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS)) {
            revert TermOutOfRange("rulingSeconds", t.rulingSeconds, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS);
        }
    }

    /// @dev A value below the minimum wraps around, so that one comparison tests both ends.
    function _outside(uint256 value, uint256 min, uint256 max) private pure returns (bool) {
        unchecked {
            return value - min > max - min;
        }
    }

    /* INTERNAL: MONEY */

    /// @dev Guarded, because a token that lets its owner act during the transfer could otherwise have one deposit
    /// counted twice.
    function _pull(address token, address from, uint256 amount) private nonReentrant {
        Transfers.pull(token, from, amount);
    }

    /// @dev Ends a job with payment. Without a settlement the scheduler has earned no fee.
    function _payOut(Terms calldata t, bytes32 id, Slot s) private {
        address provider = _nodes[s.node()].provider;
        uint256 amount = t.bounty - t.fee;
        if (s.flags() & JobSlot.SETTLED != 0) {
            emit Paid(id, provider, amount, t.fee);
            _pay(t.token, provider, amount);
            _pay(t.token, t.scheduler, t.fee);
        } else {
            emit Paid(id, provider, amount, 0);
            _pay(t.token, provider, amount);
            _pay(t.token, t.submitter, t.fee);
        }
    }

    /// @dev A payment that fails becomes a credit, so no receiver can block anybody else.
    function _pay(address token, address to, uint256 amount) private {
        if (amount == 0) return;
        if (Transfers.push(token, to, amount)) return;
        _credits[to][token] += amount;
        emit Credited(to, token, amount);
    }
}
