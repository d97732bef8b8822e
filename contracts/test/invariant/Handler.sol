// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {Base} from "../Base.sol";
import {MoodyWallet} from "../mocks/HostileReceivers.sol";
import {FalseToken} from "../mocks/HostileTokens.sol";

/// @notice Plays every verb at random, mostly by those who may, sometimes by others or at the wrong time, and
/// checks after each one what moved: the state only along an edge of the design, and the money only to its owner.
/// @dev The rules are written down here a second time, from the design and not from the contract.
contract Handler is Base {
    struct Entry {
        IJobMarket.Terms terms;
        bytes32 id;
        uint256 endings;
    }

    /// @dev A job as the contract stores it, before a verb.
    struct Before {
        IJobMarket.State state;
        address node;
        uint40 at;
        uint40 assignedAt;
        uint16 attempt;
        uint8 flags;
    }

    /// @dev Who the next verb is played by, and on what.
    struct Move {
        uint256 index;
        IJobMarket.Terms terms;
        Before job;
        address caller;
    }

    uint256 private constant NODES = 3;
    uint8 private constant CALLED_IN = 1;
    uint8 private constant SETTLED = 2;

    MoodyWallet public wallet;
    FalseToken public blocking;
    address[] public tokens;
    address[] public actors;
    address[] private _submitters;
    address[] private _schedulers;
    address[NODES] private _providers;
    uint256[NODES] private _nodeKeys;
    Entry[] private _entries;
    /// @dev The jobs that have not ended, as indices of `_entries`.
    uint256[] private _live;
    mapping(address token => uint256) public gifts;
    /// @dev How often each of the market's verbs went through.
    mapping(bytes4 verb => uint256) public played;

    constructor() {
        setUp();
        wallet = new MoodyWallet(market);
        blocking = new FalseToken();
        tokens = [NATIVE, address(token), address(blocking)];
        _submitters = [SUBMITTER, vm.addr(0xA11CE2)];
        _schedulers = [SCHEDULER, vm.addr(0x5CED2)];
        _providers = [PROVIDER, OTHER_PROVIDER, address(wallet)];
        _nodeKeys = [NODE_KEY, OTHER_NODE_KEY, uint256(0xD0DE)];
        _enroll(_nodeKeys[2], address(wallet));
        for (uint256 p; p < NODES; ++p) {
            for (uint256 s; s < _schedulers.length; ++s) {
                for (uint256 k; k < tokens.length; ++k) {
                    vm.prank(_providers[p]);
                    market.approveScheduler(_schedulers[s], tokens[k], 0);
                }
            }
            actors.push(_providers[p]);
            actors.push(vm.addr(_nodeKeys[p]));
        }
        actors.push(_submitters[0]);
        actors.push(_submitters[1]);
        actors.push(_schedulers[0]);
        actors.push(_schedulers[1]);
        actors.push(ARBITER);
        actors.push(STRANGER);
    }

    /* THE WORLD */

    function warp(uint256 seed) external {
        uint256 seconds_ = seed % 10 minutes;
        if (seed % 8 == 0) seconds_ = seed % 2 hours;
        if (seed % 32 == 1) seconds_ = seed % 12 hours;
        vm.warp(block.timestamp + seconds_);
    }

    function changeMoods(uint256 seed) external {
        wallet.setMood(MoodyWallet.Mood(seed % 4));
        blocking.setBlocked(_providers[seed / 4 % NODES], seed / 16 % 2 == 0);
        blocking.setBlocked(_schedulers[seed / 32 % 2], seed / 64 % 2 == 0);
    }

    /// @dev Money that nobody asked for belongs to nobody and must not confuse the books.
    function gift(uint256 seed, uint64 amount) external {
        address token_ = tokens[seed % tokens.length];
        gifts[token_] += amount;
        if (token_ == NATIVE) vm.deal(address(market), address(market).balance + amount);
        else FalseToken(token_).mint(address(market), amount);
    }

    function revoke(uint256 seed) external {
        if (seed % 64 != 0) return;
        vm.prank(_providers[seed / 64 % NODES]);
        try market.revoke(vm.addr(_nodeKeys[seed / 64 % NODES])) {} catch {}
    }

    /* THE VERBS */

    /// @dev Few jobs at a time, so that each gets somewhere.
    function open(uint256 seed) external {
        if (_live.length >= 3 && seed % 8 != 0) return;
        IJobMarket.Terms memory t = _terms();
        t.submitter = _submitters[_pick(seed, 0) % 2];
        t.scheduler = _schedulers[_pick(seed, 1) % 2];
        t.token = tokens[_pick(seed, 2) % tokens.length];
        t.bounty = uint128(_between(_pick(seed, 3), 1, 1e24));
        t.fee = uint128(_between(_pick(seed, 4), 0, t.bounty));
        t.deadline = _now() + _span(_pick(seed, 5), 0, 1 days);
        t.leaseSeconds = uint32(_between(_pick(seed, 6), 4 * t.graceSeconds, 2 hours));
        t.attemptSeconds = t.leaseSeconds * 2;
        t.holdSeconds = _pick(seed, 7) % 2 == 0 ? 0 : 1 hours;
        t.challengeWindow = 1 hours;
        t.salt = bytes32(seed);
        bytes32 id = _id(t);

        uint256 value = _fund(t);
        (bool fresh, uint256 index) = _find(id);
        if (fresh) {
            index = _entries.length;
            _entries.push(Entry(t, id, 0));
            _live.push(index);
        }
        Move memory m = _move(index, t.submitter);
        if (_play(m, value, abi.encodeCall(IJobMarket.open, (t)))) {
            vm.assertTrue(fresh, "opened twice");
            vm.assertTrue(m.job.state == IJobMarket.State.None, "opened from another state");
        }
    }

    function cancel(uint256 seed) external {
        if (_entries.length == 0 || seed % 4 != 0) return;
        Move memory m = _randomMove(seed);
        if (seed % 16 != 0) m.caller = m.terms.submitter;
        if (!_play(m, 0, abi.encodeCall(IJobMarket.cancel, (m.terms)))) return;
        vm.assertEq(m.caller, m.terms.submitter, "cancelled by somebody else");
        vm.assertTrue(m.job.state == IJobMarket.State.Open, "cancelled in another state");
    }

    function assign(uint256 seed) external {
        if (_entries.length == 0) return;
        Move memory m = _randomMove(seed);
        if (seed % 8 != 0) m.caller = m.terms.scheduler;
        uint16 attempt = m.job.attempt + (seed % 16 == 1 ? 0 : 1);
        address node = vm.addr(_nodeKeys[_pick(seed, 2) % NODES]);
        bool held = m.job.state == IJobMarket.State.Assigned;
        uint256 leaseEnd = _modelLeaseEnd(m);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.assign, (m.terms, node, attempt)))) return;
        vm.assertEq(m.caller, m.terms.scheduler, "assigned by somebody else");
        vm.assertTrue(held || m.job.state == IJobMarket.State.Open, "assigned in another state");
        vm.assertTrue(!held || _now() > leaseEnd, "pushed out");
        vm.assertLe(block.timestamp, m.terms.deadline, "assigned after the deadline");
        vm.assertEq(attempt, m.job.attempt + 1, "attempt");
        (, bool revoked) = market.node(node);
        vm.assertFalse(revoked, "assigned to a revoked node");
    }

    function callIn(uint256 seed) external {
        if (_entries.length == 0) return;
        Move memory m = _randomMove(seed);
        if (seed % 8 != 0) m.caller = m.terms.scheduler;
        uint256 leaseEnd = _modelLeaseEnd(m);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.callIn, (m.terms)))) return;
        vm.assertEq(m.caller, m.terms.scheduler, "called in by somebody else");
        vm.assertEq(m.job.flags & CALLED_IN, 0, "called in twice");
        vm.assertLe(m.job.at + m.terms.leaseSeconds / 4, block.timestamp, "called in too early");
        vm.assertLe(market.leaseEnd(m.terms) + 1, leaseEnd, "did not shorten the lease");
    }

    function renew(uint256 seed) external {
        if (_entries.length == 0) return;
        Move memory m = _randomMove(seed);
        uint40 issuedAt = _now() - uint40(_pick(seed, 2) % (m.terms.graceSeconds + 20));
        uint16 attempt = _attemptOf(m, seed);
        uint256 key = _keyOf(m, seed);
        IJobMarket.Signature memory s = _signRenew(key, _entries[m.index].id, attempt, issuedAt);
        uint256 leaseEnd = _modelLeaseEnd(m);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.renew, (m.terms, issuedAt, s)))) return;
        vm.assertEq(vm.addr(key), m.job.node, "renewed by another node");
        vm.assertEq(attempt, m.job.attempt, "renewed by another attempt");
        vm.assertLe(block.timestamp, leaseEnd, "renewed after the lease");
        vm.assertLe(m.job.at + 1, issuedAt, "renewed with an older renewal");
        vm.assertLe(block.timestamp, issuedAt + m.terms.graceSeconds, "renewed with a stale renewal");
        vm.assertLe(leaseEnd, market.leaseEnd(m.terms), "a renewal shortened the lease");
        vm.assertLe(market.leaseEnd(m.terms), m.job.assignedAt + m.terms.attemptSeconds, "past the attempt");
    }

    function release(uint256 seed) external {
        if (_entries.length == 0 || seed % 3 != 0) return;
        Move memory m = _randomMove(seed);
        uint256 key = _keyOf(m, seed);
        IJobMarket.Signature memory s = _signRelease(key, _entries[m.index].id, m.job.attempt);
        (address provider,) = market.node(m.job.node);
        uint256 leaseEnd = _modelLeaseEnd(m);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.release, (m.terms, s)))) return;
        vm.assertTrue(m.caller == provider || vm.addr(key) == m.job.node, "released by somebody else");
        vm.assertLe(block.timestamp, leaseEnd, "released after the lease");
    }

    function lapse(uint256 seed) external {
        if (_entries.length == 0) return;
        Move memory m = _randomMove(seed);
        if (seed % 8 != 0) m.caller = seed % 2 == 0 ? m.terms.scheduler : m.terms.submitter;
        uint256 leaseEnd = _modelLeaseEnd(m);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.lapse, (m.terms)))) return;
        bool bySubmitter = m.caller == m.terms.submitter;
        vm.assertTrue(bySubmitter || m.caller == m.terms.scheduler, "lapsed by somebody else");
        if (bySubmitter) leaseEnd += m.terms.graceSeconds;
        vm.assertLe(leaseEnd + 1, block.timestamp, "lapsed too early");
    }

    function settle(uint256 seed) external {
        if (_entries.length == 0) return;
        Move memory m = _randomMove(seed);
        if (seed % 8 != 0) m.caller = m.terms.scheduler;
        (uint256 key, uint16 attempt, IJobMarket.Signature memory s) = _result(m, seed);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.settle, (m.terms, RECEIPT, s)))) return;
        vm.assertEq(m.caller, m.terms.scheduler, "settled by somebody else");
        _checkResult(m, key, attempt);
        if (m.job.state == IJobMarket.State.Assigned) {
            vm.assertLe(block.timestamp, m.terms.deadline, "settled after the deadline");
        } else {
            vm.assertTrue(m.job.state == IJobMarket.State.Published, "settled in another state");
            vm.assertLe(block.timestamp, m.job.at + m.terms.challengeWindow, "settled after the window");
        }
    }

    function publish(uint256 seed) external {
        if (_entries.length == 0) return;
        Move memory m = _randomMove(seed);
        (uint256 key, uint16 attempt, IJobMarket.Signature memory s) = _result(m, seed);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.publish, (m.terms, RECEIPT, s)))) return;
        _checkResult(m, key, attempt);
        vm.assertTrue(m.job.state == IJobMarket.State.Assigned, "published in another state");
        vm.assertLe(block.timestamp, m.terms.deadline, "published after the deadline");
    }

    function claim(uint256 seed) external {
        if (_entries.length == 0) return;
        Move memory m = _randomMove(seed);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.claim, (m.terms)))) return;
        bool held = m.job.state == IJobMarket.State.Held;
        vm.assertTrue(held || m.job.state == IJobMarket.State.Published, "claimed in another state");
        uint256 window = held ? m.terms.holdSeconds : m.terms.challengeWindow;
        vm.assertLe(m.job.at + window + 1, block.timestamp, "claimed too early");
    }

    function refund(uint256 seed) external {
        if (_entries.length == 0) return;
        Move memory m = _randomMove(seed);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.refund, (m.terms)))) return;
        bool open_ = m.job.state == IJobMarket.State.Open;
        vm.assertTrue(open_ || m.job.state == IJobMarket.State.Assigned, "refunded in another state");
        vm.assertLe(m.terms.deadline + 1, block.timestamp, "refunded too early");
    }

    /// @dev A credit goes down by its owner's withdrawal only, and by all of it.
    function withdraw(uint256 seed) external {
        address token_ = tokens[_pick(seed, 1) % tokens.length];
        address owner = actors[seed % actors.length];
        // Mostly one who has a credit, if there is any.
        for (uint256 a; seed % 8 != 0 && a < actors.length && market.credit(owner, token_) == 0; ++a) {
            owner = actors[(seed % actors.length + a) % actors.length];
        }
        uint256 amount = market.credit(owner, token_);
        uint256 before = _balance(token_, STRANGER);
        vm.prank(owner);
        try market.withdraw(token_, STRANGER) returns (uint256 moved) {
            ++played[IJobMarket.withdraw.selector];
            vm.assertEq(moved, amount, "withdrawn");
            vm.assertEq(_balance(token_, STRANGER), before + amount, "received");
            vm.assertEq(market.credit(owner, token_), 0, "credit left");
        } catch {
            vm.assertEq(amount, 0, "a credit that cannot be withdrawn");
        }
    }

    /* THE BOOKS */

    function jobMarket() external view returns (IJobMarket) {
        return market;
    }

    function entries() external view returns (uint256) {
        return _entries.length;
    }

    function entry(uint256 index) external view returns (Entry memory) {
        return _entries[index];
    }

    function endings(uint256 index) external view returns (uint256) {
        return _entries[index].endings;
    }

    /// @notice What the market must hold of a token: unfinished bounties, credits and gifts.
    function owed(address token_) external view returns (uint256 sum) {
        sum = gifts[token_];
        for (uint256 i; i < _entries.length; ++i) {
            IJobMarket.State state = _state(_entries[i].id);
            if (_entries[i].terms.token == token_ && state != IJobMarket.State.None && !_isEnd(state)) {
                sum += _entries[i].terms.bounty;
            }
        }
        for (uint256 a; a < actors.length; ++a) {
            sum += market.credit(actors[a], token_);
        }
    }

    /// @notice Makes every receiver and token behave.
    function calm() external {
        wallet.setMood(MoodyWallet.Mood.Accept);
        for (uint256 a; a < actors.length; ++a) {
            blocking.setBlocked(actors[a], false);
        }
    }

    /* STEPS */

    /// @dev Plays one verb and holds its effect against the design.
    function _play(Move memory m, uint256 value, bytes memory data) private returns (bool ok) {
        uint256[] memory wealth = _wealth(m.terms.token);
        vm.prank(m.caller);
        (ok,) = address(market).call{value: value}(data);
        // The verb is in the first four bytes.
        // forge-lint: disable-next-line(unsafe-typecast)
        if (ok) ++played[bytes4(data)];

        Entry storage e = _entries[m.index];
        IJobMarket.State from = m.job.state;
        IJobMarket.State to = _state(e.id);
        if (!ok) vm.assertTrue(to == from, "a refused verb changed the state");
        if (ok) vm.assertTrue(_isEdge(from, to), "no edge of the design");
        if (!_isEnd(from) && _isEnd(to)) {
            ++e.endings;
            _bury(m.index);
        }

        for (uint256 a; a < actors.length; ++a) {
            int256 actual = int256(_wealthOf(m.terms.token, actors[a])) - int256(wealth[a]);
            int256 expected = _expectedGain(m, to, actors[a]);
            vm.assertEq(actual, expected, "money moved to or from the wrong party");
        }
    }

    function _bury(uint256 index) private {
        for (uint256 i; i < _live.length; ++i) {
            if (_live[i] != index) continue;
            _live[i] = _live[_live.length - 1];
            _live.pop();
        }
    }

    /// @dev What an actor gains, or loses, when the job goes from its former state to `to`.
    function _expectedGain(Move memory m, IJobMarket.State to, address actor)
        private
        view
        returns (int256 gain)
    {
        if (m.job.state == to) return 0;
        int256 bounty = int256(uint256(m.terms.bounty));
        int256 fee = int256(uint256(m.terms.fee));
        bool submitter = actor == m.terms.submitter;
        if (m.job.state == IJobMarket.State.None) return submitter ? -bounty : int256(0);
        if (to == IJobMarket.State.Refunded || to == IJobMarket.State.Cancelled) {
            return submitter ? bounty : int256(0);
        }
        if (to == IJobMarket.State.Paid) {
            (address provider,) = market.node(m.job.node);
            (,,,,,, uint8 flags) = market.job(_entries[m.index].id);
            bool settled = flags & SETTLED != 0;
            if (actor == provider) gain += bounty - fee;
            if (actor == (settled ? m.terms.scheduler : m.terms.submitter)) gain += fee;
        }
    }

    function _wealth(address token_) private view returns (uint256[] memory wealth) {
        wealth = new uint256[](actors.length);
        for (uint256 a; a < actors.length; ++a) {
            wealth[a] = _wealthOf(token_, actors[a]);
        }
    }

    function _wealthOf(address token_, address owner) private view returns (uint256) {
        return _balance(token_, owner) + market.credit(owner, token_);
    }

    function _move(uint256 index, address caller) private view returns (Move memory m) {
        m.index = index;
        m.terms = _entries[index].terms;
        m.caller = caller;
        (m.job.state, m.job.node, m.job.at, m.job.assignedAt, m.job.attempt,, m.job.flags) =
            market.job(_entries[index].id);
    }

    function _randomMove(uint256 seed) private view returns (Move memory) {
        // Mostly a job that has not ended.
        uint256 index = _pick(seed, 0) % _entries.length;
        if (seed % 8 != 7 && _live.length != 0) index = _live[_pick(seed, 0) % _live.length];
        return _move(index, actors[_pick(seed, 1) % actors.length]);
    }

    /// @dev The key of the node that holds the job, or now and then of another.
    function _keyOf(Move memory m, uint256 seed) private view returns (uint256 key) {
        key = _nodeKeys[seed % NODES];
        if (seed % 8 == 0) return key;
        for (uint256 n; n < NODES; ++n) {
            if (vm.addr(_nodeKeys[n]) == m.job.node) return _nodeKeys[n];
        }
    }

    /// @dev The newest attempt, or now and then the one before.
    function _attemptOf(Move memory m, uint256 seed) private pure returns (uint16) {
        return seed % 16 == 1 && m.job.attempt != 0 ? m.job.attempt - 1 : m.job.attempt;
    }

    function _result(Move memory m, uint256 seed)
        private
        view
        returns (uint256 key, uint16 attempt, IJobMarket.Signature memory s)
    {
        key = _keyOf(m, seed);
        attempt = _attemptOf(m, seed);
        s = seed % 16 == 2
            ? _signFailure(key, _entries[m.index].id, attempt)
            : _signResult(key, _entries[m.index].id, attempt);
        if (seed % 16 == 2) key = 1;
    }

    function _checkResult(Move memory m, uint256 key, uint16 attempt) private pure {
        vm.assertEq(vm.addr(key), m.job.node, "the result of another node");
        vm.assertEq(attempt, m.job.attempt, "the result of another attempt");
    }

    function _modelLeaseEnd(Move memory m) private pure returns (uint256) {
        uint256 end = m.job.at + (m.job.flags & CALLED_IN == 0 ? m.terms.leaseSeconds : m.terms.graceSeconds);
        uint256 attemptEnd = uint256(m.job.assignedAt) + m.terms.attemptSeconds;
        return end < attemptEnd ? end : attemptEnd;
    }

    function _find(bytes32 id) private view returns (bool fresh, uint256 index) {
        for (; index < _entries.length; ++index) {
            if (_entries[index].id == id) return (false, index);
        }
        return (true, 0);
    }

    function _isEnd(IJobMarket.State s) private pure returns (bool) {
        return s == IJobMarket.State.Paid || s == IJobMarket.State.Refunded || s == IJobMarket.State.Cancelled;
    }

    /// @dev The design's table, as far as it is built.
    function _isEdge(IJobMarket.State from, IJobMarket.State to) private pure returns (bool) {
        if (from == IJobMarket.State.None) {
            return to == IJobMarket.State.Open || to == IJobMarket.State.Cancelled;
        }
        if (from == IJobMarket.State.Open) {
            return to == IJobMarket.State.Assigned || to == IJobMarket.State.Cancelled
                || to == IJobMarket.State.Refunded;
        }
        if (from == IJobMarket.State.Assigned) {
            return to != IJobMarket.State.None && to != IJobMarket.State.Disputed
                && to != IJobMarket.State.Cancelled;
        }
        if (from == IJobMarket.State.Published) {
            return to == IJobMarket.State.Held || to == IJobMarket.State.Paid;
        }
        return from == IJobMarket.State.Held && to == IJobMarket.State.Paid;
    }

    function _pick(uint256 seed, uint256 which) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, which)));
    }
}
