// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EfficientHashLib} from "solady/utils/EfficientHashLib.sol";
import {MerkleProofLib} from "solady/utils/MerkleProofLib.sol";
import {SignatureCheckerLib} from "solady/utils/SignatureCheckerLib.sol";

import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {JobSlot, Slot} from "./libraries/JobSlot.sol";
import {JobTerms} from "./libraries/JobTerms.sol";
import {Transfers} from "./libraries/Transfers.sol";
import {Nodes} from "./Nodes.sol";

/// @title JobMarket
/// @notice See `IJobMarket`.
/// @dev This file is the life of a job; `Nodes` says who may work, `Balances` moves the money. All state is written
/// before anything is called. A `_try` function changes all or nothing, and then returns the error: a single verb
/// reverts with it, a batch skips the item.
contract JobMarket is Nodes {
    using JobTerms for Terms;

    /// @dev A node can be called in once this part of its lease has run.
    uint40 private constant CALL_IN_LEASE_PART = 4;

    bytes32 private constant ACCEPT_TYPEHASH =
        keccak256("Accept(bytes32 jobId,uint16 attempt,uint40 expires)");
    bytes32 private constant RESULT_TYPEHASH =
        keccak256("Result(bytes32 jobId,uint16 attempt,address node,bytes32 receiptHash)");
    bytes32 private constant RENEW_TYPEHASH =
        keccak256("Renew(bytes32 jobId,uint16 attempt,uint40 issuedAt)");
    bytes32 private constant RELEASE_TYPEHASH = keccak256("Release(bytes32 jobId,uint16 attempt)");
    bytes32 private constant ORDER_TYPEHASH = keccak256("Order(bytes32 root,uint32 epoch,uint40 expires)");

    /// @dev Job ids keep this domain for good; signatures follow the chain id if it ever changes.
    bytes32 private immutable DEPLOYMENT_DOMAIN;

    /* STORAGE */

    /// @dev What a batch of settlements owes, until the next item has another provider or token.
    struct Due {
        address token;
        address provider;
        uint256 amount;
        uint256 fees;
    }

    /// @dev An ended job keeps its slot, so an id is opened at most once.
    mapping(bytes32 id => Slot) private _jobs;
    mapping(address owner => uint32) private _epochs;

    constructor() {
        DEPLOYMENT_DOMAIN = _domainSeparator();
    }

    /* JOBS: THE SUBMITTER */

    /// @inheritdoc IJobMarket
    function open(Terms calldata t) external payable returns (bytes32 id) {
        id = _openOwn(t);
        _take(t.token, t.bounty);
    }

    /// @inheritdoc IJobMarket
    function openWithPermit(Terms calldata t, Permit calldata permit) external returns (bytes32 id) {
        id = _openOwn(t);
        Transfers.permit(t.token, msg.sender, t.bounty, permit);
        _take(t.token, t.bounty);
    }

    /// @inheritdoc IJobMarket
    function openMany(
        Opening[] calldata openings,
        Order calldata order,
        bytes calldata signature,
        bytes32[] calldata proof,
        bool[] calldata flags
    ) external payable {
        if (openings.length == 0) revert EmptyBatch();
        (address submitter, address token) = (openings[0].terms.submitter, openings[0].terms.token);
        bytes32[] memory ids = new bytes32[](openings.length);
        for (uint256 i; i < ids.length; ++i) {
            Terms calldata t = openings[i].terms;
            if (t.submitter != submitter || t.token != token) revert MixedBatch(i);
            ids[i] = t.id(DEPLOYMENT_DOMAIN);
        }
        if (msg.value != 0) _deposit(address(0), msg.value);
        if (msg.sender != submitter) {
            _checkOrder(submitter, order, signature);
            if (!MerkleProofLib.verifyMultiProof(proof, order.root, ids, flags)) {
                revert NotInOrder(order.root);
            }
        }
        _openAll(submitter, token, openings, ids);
    }

    /// @inheritdoc IJobMarket
    function cancel(Terms calldata t) external {
        (, bytes memory error) = _tryCancel(t);
        _raise(error);
    }

    /// @inheritdoc IJobMarket
    function cancelMany(Terms[] calldata terms) external {
        for (uint256 i; i < terms.length; ++i) {
            (bytes32 id, bytes memory error) = _tryCancel(terms[i]);
            if (error.length != 0) emit Skipped(id, error);
        }
    }

    /// @inheritdoc IJobMarket
    function raiseEpoch() external returns (uint32 raised) {
        raised = ++_epochs[msg.sender];
        emit EpochRaised(msg.sender, raised);
    }

    /// @inheritdoc IJobMarket
    function refund(Terms calldata t) external {
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Open || s.state() == State.Assigned, id, s);
        if (_now() <= t.deadline) revert DeadlineNotPassed(t.deadline);

        _refund(id, t, s, s.state() == State.Assigned ? t.bond : 0);
    }

    /* JOBS: THE SCHEDULER */

    /// @inheritdoc IJobMarket
    function assign(bytes32 id, address node_, uint16 attempt) external {
        Slot s = _jobs[id];
        _requireState(s.state() == State.Open, id, s);
        if (msg.sender != s.party()) revert NotScheduler(msg.sender, s.party());
        if (s.has(JobSlot.BONDED)) revert AcceptanceRequired(id);
        (address provider, bytes memory error) = _checkAssignment(s, s.since(), node_, attempt);
        _raise(error);

        _jobs[id] = s.assign(node_, attempt, _now());
        emit Assigned(id, node_, provider, attempt);
    }

    /// @inheritdoc IJobMarket
    function assignWithTerms(Assignment calldata assignment) external {
        (, bytes memory error) = _tryAssign(assignment);
        _raise(error);
    }

    /// @inheritdoc IJobMarket
    function assignMany(Assignment[] calldata assignments) external {
        for (uint256 i; i < assignments.length; ++i) {
            (bytes32 id, bytes memory error) = _tryAssign(assignments[i]);
            if (error.length != 0) emit Skipped(id, error);
        }
    }

    /// @inheritdoc IJobMarket
    function callIn(Terms calldata t) external {
        if (msg.sender != t.scheduler) revert NotScheduler(msg.sender, t.scheduler);
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Assigned, id, s);

        uint40 end = _leaseEnd(t, s);
        if (s.has(JobSlot.CALLED_IN)) revert AlreadyCalledIn(end);
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
        _jobs[id] = _forfeit(id, t, s);
    }

    /// @inheritdoc IJobMarket
    function settle(Terms calldata t, bytes32 receiptHash, Signature calldata signature) external {
        (bytes32 id, Slot s, bytes memory error) = _trySettle(t, receiptHash, signature);
        _raise(error);
        if (s.state() == State.Paid) _payOut(id, t, s, 0);
    }

    /// @inheritdoc IJobMarket
    function settleMany(Settlement[] calldata settlements) external {
        Due memory due;
        for (uint256 i; i < settlements.length; ++i) {
            Terms calldata t = settlements[i].terms;
            (bytes32 id, Slot s, bytes memory error) =
                _trySettle(t, settlements[i].receiptHash, settlements[i].signature);
            if (error.length != 0) {
                emit Skipped(id, error);
                continue;
            }
            if (s.state() != State.Paid) continue;

            (address provider, uint256 amount) = _earn(id, t, s, 0);
            address token = t.token;
            if (provider != due.provider || token != due.token) {
                _pay(due.token, due.provider, due.amount);
                (due.provider, due.amount) = (provider, 0);
            }
            if (token != due.token) {
                _pay(due.token, msg.sender, due.fees);
                (due.token, due.fees) = (token, 0);
            }
            due.amount += amount;
            due.fees += t.fee;
        }
        _pay(due.token, due.provider, due.amount);
        _pay(due.token, msg.sender, due.fees);
    }

    /* JOBS: THE NODE AND ITS PROVIDER */

    /// @inheritdoc IJobMarket
    function renew(Terms calldata t, uint40 issuedAt, Signature calldata signature) external {
        (bytes32 id, Slot s) = _load(t);
        _requireLease(id, t, s);
        if (issuedAt > _now()) revert RenewalFromFuture(issuedAt, _now());
        uint40 expiry = issuedAt + t.graceSeconds;
        if (_now() > expiry) revert RenewalExpired(issuedAt, expiry);
        if (issuedAt <= s.at()) revert RenewalNotNewer(issuedAt, s.at());
        _raise(
            _checkSignature(
                s.party(), keccak256(abi.encode(RENEW_TYPEHASH, id, s.attempt(), issuedAt)), signature
            )
        );

        s = s.move(State.Assigned, issuedAt, 0);
        _jobs[id] = s;
        emit Renewed(id, s.attempt(), _leaseEnd(t, s));
    }

    /// @inheritdoc IJobMarket
    function release(Terms calldata t, Signature calldata signature) external {
        (bytes32 id, Slot s) = _load(t);
        _requireLease(id, t, s);
        address provider = _nodes[s.party()].provider;
        if (msg.sender != provider) {
            bytes32 structHash = keccak256(abi.encode(RELEASE_TYPEHASH, id, s.attempt()));
            _raise(_checkSignature(s.party(), structHash, signature));
        }

        emit Released(id, s.attempt());
        _jobs[id] = s.open(t.words(), _now(), s.forfeits());
        _unlock(provider, t);
    }

    /// @inheritdoc IJobMarket
    function publish(Terms calldata t, bytes32 receiptHash, Signature calldata signature) external {
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Assigned, id, s);
        if (_now() > t.deadline) revert DeadlinePassed(t.deadline);
        _raise(_checkResult(id, s, receiptHash, signature));

        _jobs[id] = s.move(State.Published, _now(), 0);
        emit Published(id, s.party(), s.attempt(), receiptHash);
    }

    /// @inheritdoc IJobMarket
    function claim(Terms calldata t) external {
        (bytes32 id, Slot s) = _load(t);
        uint40 until = _windowEnd(id, t, s);
        if (_now() <= until) revert WindowOpen(until);

        uint256 disputeBond = s.state() == State.Disputed ? t.disputeBond : 0;
        s = s.move(State.Paid, _now(), s.flags());
        _jobs[id] = s;
        _payOut(id, t, s, disputeBond);
    }

    /* DISPUTES */

    /// @inheritdoc IJobMarket
    function dispute(Terms calldata t) external payable {
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Held || s.state() == State.Published, id, s);
        bool bySubmitter = msg.sender == t.submitter;
        if (!bySubmitter && (msg.sender != t.scheduler || s.state() == State.Held)) {
            revert NotDisputant(msg.sender);
        }
        uint40 until = _windowEnd(id, t, s);
        if (_now() > until) revert WindowClosed(until);

        s = s.move(State.Disputed, _now(), s.flags() | (bySubmitter ? 0 : JobSlot.DISPUTED_BY_SCHEDULER));
        _jobs[id] = s;
        emit Disputed(id, msg.sender, _windowEnd(id, t, s));
        _take(t.token, t.disputeBond);
    }

    /// @inheritdoc IJobMarket
    function rule(Terms calldata t, Ruling ruling) external {
        if (msg.sender != t.arbiter) revert NotArbiter(msg.sender, t.arbiter);
        (bytes32 id, Slot s) = _load(t);
        _requireState(s.state() == State.Disputed, id, s);
        uint40 until = _windowEnd(id, t, s);
        if (_now() > until) revert WindowClosed(until);
        if (ruling == Ruling.Reopen && _now() > t.deadline) revert DeadlinePassed(t.deadline);

        emit Ruled(id, ruling);
        bool byScheduler = s.has(JobSlot.DISPUTED_BY_SCHEDULER);
        if (ruling == Ruling.Pay) {
            s = s.move(State.Paid, _now(), s.flags());
            _jobs[id] = s;
            _payOut(id, t, s, t.disputeBond);
        } else if (ruling == Ruling.Refund && !byScheduler) {
            _refund(id, t, s, uint256(t.bond) + t.disputeBond);
        } else {
            if (ruling == Ruling.Refund) _refund(id, t, s, t.bond);
            else _jobs[id] = _forfeit(id, t, s);
            _pay(t.token, byScheduler ? t.scheduler : t.submitter, t.disputeBond);
        }
    }

    /* VIEWS */

    /// @inheritdoc IJobMarket
    function jobId(Terms calldata t) external view returns (bytes32) {
        return t.id(DEPLOYMENT_DOMAIN);
    }

    /// @inheritdoc IJobMarket
    function job(bytes32 id)
        external
        view
        returns (State, address, uint40 at, uint40 assignedAt, uint16 attempt, uint8 forfeits, uint8 flags)
    {
        Slot s = _jobs[id];
        if (s.state() == State.Open) return (s.state(), address(0), s.at(), 0, s.attempt(), s.forfeits(), 0);
        return (s.state(), s.party(), s.at(), s.since(), s.attempt(), s.forfeits(), s.flags());
    }

    /// @inheritdoc IJobMarket
    function leaseEnd(Terms calldata t) external view returns (uint40) {
        (, Slot s) = _load(t);
        return s.state() == State.Assigned ? _leaseEnd(t, s) : 0;
    }

    /// @inheritdoc IJobMarket
    function epoch(address owner) external view returns (uint32) {
        return _epochs[owner];
    }

    /* INTERNAL: SIGNATURES */

    function _checkResult(bytes32 id, Slot s, bytes32 receiptHash, Signature calldata signature)
        private
        view
        returns (bytes memory)
    {
        (uint256 type_, uint256 node_) = (uint256(RESULT_TYPEHASH), uint160(s.party()));
        bytes32 hash = EfficientHashLib.hash(type_, uint256(id), s.attempt(), node_, uint256(receiptHash));
        return _checkSignature(s.party(), hash, signature);
    }

    function _checkOrder(address submitter, Order calldata order, bytes calldata signature) private view {
        if (_now() > order.expires) revert OrderExpired(order.expires);
        if (order.epoch != _epochs[submitter]) revert OrderRevoked(order.epoch, _epochs[submitter]);
        bytes32 digest =
            _hashTypedData(keccak256(abi.encode(ORDER_TYPEHASH, order.root, order.epoch, order.expires)));
        if (!SignatureCheckerLib.isValidSignatureNowCalldata(submitter, digest, signature)) {
            revert BadOrderSignature(submitter);
        }
    }

    /* INTERNAL: VERBS */

    function _openOwn(Terms calldata t) private returns (bytes32 id) {
        if (msg.sender != t.submitter) revert NotSubmitter(msg.sender, t.submitter);
        id = t.id(DEPLOYMENT_DOMAIN);
        _raise(_tryOpen(id, t, address(0)));
    }

    function _openAll(address owner, address token, Opening[] calldata items, bytes32[] memory ids) private {
        (uint256 held, uint256 left) = (_balances[owner][token], _balances[owner][token]);
        for (uint256 i; i < ids.length; ++i) {
            Terms calldata t = items[i].terms;
            bytes memory error = left < t.bounty && _jobs[ids[i]].state() == State.None
                ? _insufficientBalance(owner, token, left, t.bounty)
                : _tryOpen(ids[i], t, items[i].node);
            if (error.length == 0) left -= t.bounty;
            else emit Skipped(ids[i], error);
        }
        if (left == held) return;
        _balances[owner][token] = left;
        emit Debited(owner, token, held - left);
    }

    /// @dev Taking the bounty is the caller's business. A node that cannot have the job leaves it open.
    function _tryOpen(bytes32 id, Terms calldata t, address node_) private returns (bytes memory error) {
        Slot s = _jobs[id];
        if (s.state() != State.None) return _wrongState(id, s);
        error = t.refusal(_now());
        if (error.length != 0) return error;

        s = s.open(t.words(), _now(), 0);
        t.emitOpened(id);
        if (node_ != address(0)) {
            (address provider, bytes memory refusal) = _checkNode(node_);
            if (msg.sender != t.scheduler) refusal = _notScheduler(t);
            else if (t.bond != 0) refusal = abi.encodeWithSelector(AcceptanceRequired.selector, id);
            if (refusal.length == 0) {
                s = s.assign(node_, 1, _now());
                emit Assigned(id, node_, provider, 1);
            } else {
                emit Skipped(id, refusal);
            }
        }
        _jobs[id] = s;
    }

    function _tryCancel(Terms calldata t) private returns (bytes32 id, bytes memory error) {
        Slot s;
        (id, s) = _load(t);
        if (msg.sender != t.submitter) {
            return (id, abi.encodeWithSelector(NotSubmitter.selector, msg.sender, t.submitter));
        }
        if (s.state() != State.Open && s.state() != State.None) return (id, _wrongState(id, s));

        uint256 amount = s.state() == State.Open ? t.bounty + _pool(t, s) : 0;
        _jobs[id] = s.close(State.Cancelled, _now());
        emit Cancelled(id, amount);
        _pay(t.token, t.submitter, amount);
    }

    function _tryAssign(Assignment calldata a) private returns (bytes32 id, bytes memory error) {
        Terms calldata t = a.terms;
        Slot s;
        (id, s) = _load(t);
        if (msg.sender != t.scheduler) return (id, _notScheduler(t));
        bool held = s.state() == State.Assigned;
        if (held) {
            uint40 end = _leaseEnd(t, s);
            if (_now() <= end) return (id, abi.encodeWithSelector(LeaseRunning.selector, end));
        } else if (s.state() != State.Open) {
            return (id, _wrongState(id, s));
        }
        address provider;
        (provider, error) = _checkAssignment(s, t.deadline, a.node, a.attempt);
        if (error.length != 0) return (id, error);
        if (t.bond != 0) {
            if (_now() > a.expires) {
                return (id, abi.encodeWithSelector(AcceptanceExpired.selector, a.expires));
            }
            bytes32 structHash = keccak256(abi.encode(ACCEPT_TYPEHASH, id, a.attempt, a.expires));
            error = _checkSignature(a.node, structHash, a.acceptance);
            if (error.length == 0) error = _tryLock(provider, t);
            if (error.length != 0) return (id, error);
        }

        if (held) {
            emit Lapsed(id, s.attempt());
            s = _forfeit(id, t, s);
        }
        _jobs[id] = s.assign(a.node, a.attempt, _now());
        emit Assigned(id, a.node, provider, a.attempt);
    }

    function _trySettle(Terms calldata t, bytes32 receiptHash, Signature calldata signature)
        private
        returns (bytes32 id, Slot s, bytes memory error)
    {
        (id, s) = _load(t);
        if (msg.sender != t.scheduler) return (id, s, _notScheduler(t));
        if (s.state() == State.Assigned) {
            if (_now() > t.deadline) return (id, s, _deadlinePassed(t.deadline));
        } else if (s.state() == State.Published) {
            uint40 until = _windowEnd(id, t, s);
            if (_now() > until) return (id, s, abi.encodeWithSelector(WindowClosed.selector, until));
        } else {
            return (id, s, _wrongState(id, s));
        }
        error = _checkResult(id, s, receiptHash, signature);
        if (error.length != 0) return (id, s, error);

        s = s.move(t.holdSeconds == 0 ? State.Paid : State.Held, _now(), JobSlot.SETTLED);
        _jobs[id] = s;
        emit Settled(id, s.party(), s.attempt(), receiptHash);
    }

    /* INTERNAL: JOBS */

    function _load(Terms calldata t) private view returns (bytes32 id, Slot s) {
        id = t.id(DEPLOYMENT_DOMAIN);
        s = _jobs[id];
    }

    function _checkAssignment(Slot s, uint40 deadline, address node_, uint16 attempt)
        private
        view
        returns (address provider, bytes memory error)
    {
        if (_now() > deadline) return (provider, _deadlinePassed(deadline));
        uint256 expected = uint256(s.attempt()) + 1;
        if (attempt != expected) {
            return (provider, abi.encodeWithSelector(WrongAttempt.selector, attempt, expected));
        }
        return _checkNode(node_);
    }

    function _requireLease(bytes32 id, Terms calldata t, Slot s) private view {
        _requireState(s.state() == State.Assigned, id, s);
        uint40 end = _leaseEnd(t, s);
        if (_now() > end) revert LeaseEnded(end);
    }

    function _leaseEnd(Terms calldata t, Slot s) private pure returns (uint40) {
        uint40 end = s.at() + (s.has(JobSlot.CALLED_IN) ? t.graceSeconds : t.leaseSeconds);
        uint40 attemptEnd = s.since() + t.attemptSeconds;
        return end < attemptEnd ? end : attemptEnd;
    }

    /// @dev Until when a result can be disputed, or the arbiter can rule.
    function _windowEnd(bytes32 id, Terms calldata t, Slot s) private pure returns (uint40) {
        if (s.state() == State.Held) return s.at() + t.holdSeconds;
        if (s.state() == State.Published) return s.at() + t.challengeWindow;
        _requireState(s.state() == State.Disputed, id, s);
        return s.at() + t.rulingSeconds;
    }

    /* INTERNAL: MONEY */

    function _payOut(bytes32 id, Terms calldata t, Slot s, uint256 disputeBond) private {
        (address provider, uint256 amount) = _earn(id, t, s, disputeBond);
        _pay(t.token, provider, amount);
        _pay(t.token, s.has(JobSlot.SETTLED) ? t.scheduler : t.submitter, t.fee);
    }

    /// @dev Ends a job with payment, and leaves the paying to the caller. Without a settlement the scheduler has earned
    /// no fee.
    function _earn(bytes32 id, Terms calldata t, Slot s, uint256 disputeBond)
        private
        returns (address provider, uint256 amount)
    {
        provider = _nodes[s.party()].provider;
        amount = t.bounty - t.fee + _pool(t, s) + disputeBond;
        emit Paid(id, provider, amount, s.has(JobSlot.SETTLED) ? t.fee : 0);
        _unlock(provider, t);
    }

    function _refund(bytes32 id, Terms calldata t, Slot s, uint256 bonds) private {
        if (t.bond != 0 && s.state() != State.Open) _loseBond(_nodes[s.party()].provider, t);
        uint256 amount = t.bounty + _pool(t, s) + bonds;
        _jobs[id] = s.close(State.Refunded, _now());
        emit Refunded(id, amount);
        _pay(t.token, t.submitter, amount);
    }

    /* INTERNAL: BONDS */

    /// @dev Half of every forfeited bond waits for whoever completes the job.
    function _pool(Terms calldata t, Slot s) private pure returns (uint256) {
        return uint256(s.forfeits()) * (t.bond / 2);
    }

    /// @dev Opens the job again and takes the bond: half for the submitter, half for the pool, while its counter counts.
    function _forfeit(bytes32 id, Terms calldata t, Slot s) private returns (Slot) {
        uint8 forfeits = s.forfeits();
        if (t.bond != 0) {
            address provider = _nodes[s.party()].provider;
            _loseBond(provider, t);
            uint256 toPool;
            if (forfeits != type(uint8).max) {
                ++forfeits;
                toPool = t.bond / 2;
            }
            emit Forfeited(id, provider, t.bond - toPool, toPool);
            _credit(t.submitter, t.token, t.bond - toPool);
        }
        return s.open(t.words(), _now(), forfeits);
    }

    /* INTERNAL: ERRORS */

    function _requireState(bool allowed, bytes32 id, Slot s) private pure {
        if (!allowed) revert WrongState(id, s.state());
    }

    function _wrongState(bytes32 id, Slot s) private pure returns (bytes memory) {
        return abi.encodeWithSelector(WrongState.selector, id, s.state());
    }

    function _notScheduler(Terms calldata t) private view returns (bytes memory) {
        return abi.encodeWithSelector(NotScheduler.selector, msg.sender, t.scheduler);
    }

    function _deadlinePassed(uint40 deadline) private pure returns (bytes memory) {
        return abi.encodeWithSelector(DeadlinePassed.selector, deadline);
    }
}
