// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {MoodyWallet} from "../mocks/HostileReceivers.sol";
import {FalseToken, MoodyToken} from "../mocks/HostileTokens.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {World} from "./World.sol";

/// @notice Plays every verb at random, mostly by those who may, sometimes by others, at the wrong time or with the
/// wrong signature, and checks after each one that only those could, and only then. `World` checks what it did.
contract Handler is World {
    uint256 private constant OPEN = 2 ** uint256(IJobMarket.State.Open);
    uint256 private constant ASSIGNED = 2 ** uint256(IJobMarket.State.Assigned);
    uint256 private constant HELD = 2 ** uint256(IJobMarket.State.Held);
    uint256 private constant PUBLISHED = 2 ** uint256(IJobMarket.State.Published);
    uint256 private constant DISPUTED = 2 ** uint256(IJobMarket.State.Disputed);

    /* THE WORLD */

    function warp(uint256 seed) external {
        uint256 seconds_ = seed % 10 minutes;
        if (seed % 8 == 0) seconds_ = seed % 2 hours;
        if (seed % 32 == 1) seconds_ = seed % 12 hours;
        vm.warp(block.timestamp + seconds_);
    }

    function changeMoods(uint256 seed) external {
        _wallets[seed % 3].setMood(MoodyWallet.Mood(seed / 4 % 6));
        _moody.setMood(MoodyToken.Mood(seed / 32 % 12 > 5 ? 0 : seed / 32 % 12));
        _blocking.setBlocked(actors[_pick(seed, 0) % 8], seed / 2 % 2 == 0);
    }

    /// @dev Money that nobody asked for belongs to nobody and must not confuse the books.
    function gift(uint256 seed, uint64 amount) external {
        address token_ = tokens[seed % TOKENS];
        gifts[token_] += amount;
        if (token_ == NATIVE) vm.deal(address(market), address(market).balance + amount);
        else TestToken(token_).mint(address(market), amount);
    }

    /* NODES */

    function enroll(uint256 seed) external {
        address provider = _providers[_pick(seed, 0) % PROVIDERS];
        uint256 key = _nodeKeys[_pick(seed, 1) % NODES];
        address before = _providerOf(vm.addr(key));
        // forge-lint: disable-next-line(unsafe-typecast)
        uint40 expires = _now() + 1 - uint40(seed % 3);
        uint256 signer = seed % 4 == 0 ? _nodeKeys[_pick(seed, 2) % NODES] : key;
        IJobMarket.Signature memory s = _signEnroll(signer, provider, expires);
        if (signer != key) s = _sign(signer, keccak256("something else"));
        bool ok =
            _playAlone(provider, _ledger(), 0, abi.encodeCall(IJobMarket.enroll, (vm.addr(key), expires, s)));
        if (!ok) {
            vm.assertEq(_providerOf(vm.addr(key)), before, "a refused enrollment");
            return;
        }
        vm.assertEq(before, address(0), "enrolled twice");
        vm.assertEq(signer, key, "enrolled without its consent");
        vm.assertLe(block.timestamp, expires, "enrolled with a consent that had expired");
    }

    function revoke(uint256 seed) external {
        if (seed % 8 != 0) return;
        address provider = _providers[_pick(seed, 0) % PROVIDERS];
        address node = vm.addr(_nodeKeys[_pick(seed, 1) % NODES]);
        if (_playAlone(provider, _ledger(), 0, abi.encodeCall(IJobMarket.revoke, (node)))) {
            vm.assertEq(_providerOf(node), provider, "revoked by another provider");
        }
    }

    function approve(uint256 seed) external {
        address provider = _providers[_pick(seed, 0) % PROVIDERS];
        address scheduler = _schedulers[_pick(seed, 1) % 2];
        address token_ = tokens[_pick(seed, 2) % TOKENS];
        uint128 limit = uint128(_between(_pick(seed, 3), 0, 4 ether));
        bytes memory data = abi.encodeCall(IJobMarket.approveScheduler, (scheduler, token_, limit));
        vm.assertTrue(_playAlone(provider, _ledger(), 0, data), "approve");
        _approved[provider][scheduler] = true;
        _bondLimit[provider][scheduler][token_] = limit;
    }

    function disapprove(uint256 seed) external {
        if (seed % 16 != 0) return;
        address provider = _providers[_pick(seed, 0) % PROVIDERS];
        address scheduler = _schedulers[_pick(seed, 1) % 2];
        bytes memory data = abi.encodeCall(IJobMarket.disapproveScheduler, (scheduler));
        vm.assertTrue(_playAlone(provider, _ledger(), 0, data), "disapprove");
        _approved[provider][scheduler] = false;
    }

    /* BALANCES */

    function deposit(uint256 seed, uint64 amount) external {
        address owner = actors[_pick(seed, 0) % ACTORS];
        address token_ = tokens[_pick(seed, 1) % TOKENS];
        uint256 value = _give(owner, token_, amount);
        uint256 before = market.balance(owner, token_);
        if (!_playAlone(owner, _ledger(), value, abi.encodeCall(IJobMarket.deposit, (token_, amount)))) {
            return;
        }
        vm.assertEq(market.balance(owner, token_), before + amount, "deposited");
    }

    function depositWithPermit(uint256 seed, uint64 amount) external {
        uint256 key = _submitterKeys[seed % 2];
        address owner = vm.addr(key);
        token.mint(owner, amount);
        IJobMarket.Permit memory p = _signPermit(key, amount);
        bytes memory data = abi.encodeCall(IJobMarket.depositWithPermit, (address(token), amount, p));
        vm.assertTrue(_playAlone(owner, _ledger(), 0, data), "deposit with a permit");
    }

    /// @dev To a stranger, mostly all of it: only the owner's own balance, and it fails only where the token does.
    function withdraw(uint256 seed) external {
        if (seed % 2 != 0) return;
        address token_ = tokens[_pick(seed, 0) % TOKENS];
        address owner = actors[_pick(seed, 1) % ACTORS];
        uint256 held = market.balance(owner, token_);
        uint256 amount = seed % 4 == 0 ? held / 2 : held + seed / 4 % 2;
        Ledger memory l = _ledger();
        _lose(l, owner, token_, amount);
        _gain(l, STRANGER, token_, amount);
        l.debits[_index(owner, token_)] = amount;
        bytes memory data = abi.encodeCall(IJobMarket.withdraw, (token_, STRANGER, amount));
        if (_playAlone(owner, l, 0, data)) return;
        bool refused = token_ == address(_moody) && _moody.mood() != MoodyToken.Mood.Calm;
        vm.assertTrue(amount > held || refused, "a balance that cannot be withdrawn");
    }

    function raiseEpoch(uint256 seed) external {
        if (seed % 8 != 0) return;
        address owner = _submitters[_pick(seed, 0) % 3];
        uint32 before = market.epoch(owner);
        vm.assertTrue(_playAlone(owner, _ledger(), 0, abi.encodeCall(IJobMarket.raiseEpoch, ())), "raise");
        vm.assertEq(market.epoch(owner), before + 1, "epoch");
    }

    /* THE SUBMITTER */

    function open(uint256 seed) external {
        if (_crowded(seed)) return;
        IJobMarket.Terms memory t = _randomTerms(seed);
        uint256 value = _give(t.submitter, t.token, t.bounty);
        Move memory m = _enter(t, t.submitter);
        if (seed % 32 == 1) m.caller = actors[_pick(seed, 20) % ACTORS];
        if (m.caller != t.submitter) value = 0;
        if (!_play(m, value, abi.encodeCall(IJobMarket.open, (t)))) return;
        vm.assertEq(m.caller, t.submitter, "opened by somebody else");
        vm.assertTrue(m.job.state == IJobMarket.State.None, "opened twice");
    }

    function openWithPermit(uint256 seed) external {
        if (_crowded(seed)) return;
        IJobMarket.Terms memory t = _randomTerms(seed);
        uint256 key = _submitterKeys[seed % 2];
        (t.submitter, t.token) = (vm.addr(key), address(token));
        token.mint(t.submitter, t.bounty);
        IJobMarket.Permit memory p = _signPermit(key, t.bounty);
        Move memory m = _enter(t, t.submitter);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.openWithPermit, (t, p)))) return;
        vm.assertTrue(m.job.state == IJobMarket.State.None, "opened twice");
    }

    /// @dev One or two jobs of a tree of two: by the submitter, or by its order, which may be somebody else's, of
    /// another epoch, over other jobs, or too old.
    function openMany(uint256 seed) external {
        if (_crowded(seed)) return;
        uint256 which = _pick(seed, 30) % 2;
        uint256 count = 1 + seed % 2;
        IJobMarket.Opening[] memory openings = new IJobMarket.Opening[](count);
        Move[] memory moves = new Move[](count);
        bytes32[] memory leaves = new bytes32[](2);
        leaves[1] = bytes32(seed);
        for (uint256 i; i < count; ++i) {
            IJobMarket.Terms memory t = _randomTerms(_pick(seed, 31 + i));
            (t.submitter, t.token) = (_submitters[which], tokens[_pick(seed, 33) % TOKENS]);
            openings[i].terms = t;
            if (_pick(seed, 34 + i) % 2 == 0) {
                openings[i].node = vm.addr(_nodeKeys[_pick(seed, 36 + i) % NODES]);
            }
            moves[i] = _enter(t, t.scheduler);
            leaves[i] = moves[i].id;
        }
        if (seed % 8 == 0) moves[0].caller = actors[_pick(seed, 38) % ACTORS];
        IJobMarket.Order memory order =
            IJobMarket.Order(_root(leaves), market.epoch(_submitters[which]), _now());
        (uint256 signer, bool good) = (_submitterKeys[which], seed / 8 % 8 > 3);
        if (seed / 8 % 8 == 0) signer = _submitterKeys[1 - which];
        if (seed / 8 % 8 == 1) order.epoch += 1;
        if (seed / 8 % 8 == 2) order.expires -= 1;
        if (seed / 8 % 8 == 3) order.root = keccak256("other jobs");
        bytes memory data = abi.encodeCall(
            IJobMarket.openMany,
            (
                openings,
                order,
                _signOrder(signer, order),
                count == 1 ? _list(leaves[1]) : new bytes32[](0),
                _flags(count)
            )
        );
        if (!_play(moves, 0, data)) return;
        vm.assertTrue(good || moves[0].caller == _submitters[which], "opened without the submitter");
        for (uint256 i; i < count; ++i) {
            Job memory j = _job(moves[i].id);
            if (j.state == IJobMarket.State.Assigned) _checkAssigned(moves[i], openings[i].node, 1);
            if (j.state == IJobMarket.State.Assigned) {
                vm.assertEq(moves[i].terms.bond, 0, "a bond without consent");
            }
        }
    }

    function cancel(uint256 seed) external {
        if (seed % 4 != 0) return;
        Move memory m =
            seed % 64 == 4 ? _enter(_randomTerms(seed), _submitters[seed % 3]) : _randomMove(seed, OPEN);
        if (seed % 16 != 0) m.caller = m.terms.submitter;
        if (_play(m, 0, abi.encodeCall(IJobMarket.cancel, (m.terms)))) _checkCancelled(m);
    }

    function cancelMany(uint256 seed) external {
        if (seed % 8 != 0) return;
        Move[] memory moves = _randomMoves(seed, OPEN);
        IJobMarket.Terms[] memory terms = new IJobMarket.Terms[](moves.length);
        for (uint256 i; i < moves.length; ++i) {
            terms[i] = moves[i].terms;
            moves[i].caller = moves[0].terms.submitter;
        }
        if (!_play(moves, 0, abi.encodeCall(IJobMarket.cancelMany, (terms)))) return;
        for (uint256 i; i < moves.length; ++i) {
            if (_moved(moves[i])) _checkCancelled(moves[i]);
        }
    }

    function refund(uint256 seed) external {
        Move memory m = _randomMove(seed, OPEN | ASSIGNED);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.refund, (m.terms)))) return;
        bool open_ = m.job.state == IJobMarket.State.Open;
        vm.assertTrue(open_ || m.job.state == IJobMarket.State.Assigned, "refunded in another state");
        vm.assertLe(uint256(m.terms.deadline) + 1, block.timestamp, "refunded too early");
    }

    /* THE SCHEDULER */

    function assign(uint256 seed) external {
        Move memory m = _randomMove(seed, OPEN);
        if (seed % 8 != 0) m.caller = m.terms.scheduler;
        uint16 attempt = m.job.attempt + (seed % 16 == 1 ? 0 : 1);
        address node = vm.addr(_nodeKeys[_pick(seed, 2) % NODES]);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.assign, (m.id, node, attempt)))) return;
        _checkAssigned(m, node, attempt);
        vm.assertTrue(m.job.state == IJobMarket.State.Open, "assigned in another state");
        vm.assertEq(m.terms.bond, 0, "a bond without consent");
    }

    function assignWithTerms(uint256 seed) external {
        Move memory m = _randomMove(seed, OPEN | ASSIGNED);
        if (seed % 8 != 0) m.caller = m.terms.scheduler;
        (IJobMarket.Assignment memory a, bool good) = _randomAssignment(m, seed);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.assignWithTerms, (a)))) return;
        _checkAssigned(m, a.node, a.attempt);
        vm.assertTrue(good || m.terms.bond == 0, "a bond without consent");
    }

    function assignMany(uint256 seed) external {
        Move[] memory moves = _randomMoves(seed, OPEN | ASSIGNED);
        IJobMarket.Assignment[] memory a = new IJobMarket.Assignment[](moves.length);
        bool[] memory good = new bool[](moves.length);
        for (uint256 i; i < moves.length; ++i) {
            moves[i].caller = moves[0].terms.scheduler;
            (a[i], good[i]) = _randomAssignment(moves[i], _pick(seed, 40 + i));
        }
        if (!_play(moves, 0, abi.encodeCall(IJobMarket.assignMany, (a)))) return;
        for (uint256 i; i < moves.length; ++i) {
            Job memory j = _job(moves[i].id);
            if (j.attempt == moves[i].job.attempt) continue;
            // The same job may be in the batch twice, and then the good one counts.
            bool consent = moves[i].terms.bond == 0;
            for (uint256 k; k < moves.length; ++k) {
                if (moves[k].index == moves[i].index && a[k].node == j.node) consent = consent || good[k];
            }
            _checkAssigned(moves[i], j.node, j.attempt);
            vm.assertTrue(consent, "a bond without consent");
        }
    }

    function callIn(uint256 seed) external {
        Move memory m = _randomMove(seed, ASSIGNED);
        if (seed % 8 != 0) m.caller = m.terms.scheduler;
        uint256 leaseEnd = _modelLeaseEnd(m);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.callIn, (m.terms)))) return;
        vm.assertEq(m.caller, m.terms.scheduler, "called in by somebody else");
        vm.assertEq(m.job.flags & CALLED_IN, 0, "called in twice");
        vm.assertLe(m.job.at + m.terms.leaseSeconds / 4, block.timestamp, "called in too early");
        vm.assertLe(market.leaseEnd(m.terms) + 1, leaseEnd, "did not shorten the lease");
        vm.assertLe(block.timestamp + m.terms.graceSeconds, market.leaseEnd(m.terms), "no time to answer");
    }

    function lapse(uint256 seed) external {
        Move memory m = _randomMove(seed, ASSIGNED);
        if (seed % 8 != 0) m.caller = seed % 2 == 0 ? m.terms.scheduler : m.terms.submitter;
        uint256 leaseEnd = _modelLeaseEnd(m);
        // Now and then nobody does anything for as long as it takes, or nearly.
        uint256 later = leaseEnd + _pick(seed, 3) % (2 * m.terms.graceSeconds);
        if (seed % 3 == 0 && m.job.state == IJobMarket.State.Assigned && later > _now()) vm.warp(later);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.lapse, (m.terms)))) return;
        bool bySubmitter = m.caller == m.terms.submitter;
        vm.assertTrue(bySubmitter || m.caller == m.terms.scheduler, "lapsed by somebody else");
        if (bySubmitter) leaseEnd += m.terms.graceSeconds;
        vm.assertLe(leaseEnd + 1, block.timestamp, "lapsed too early");
    }

    function settle(uint256 seed) external {
        Move memory m = _randomMove(seed, ASSIGNED | PUBLISHED);
        if (seed % 8 != 0) m.caller = m.terms.scheduler;
        (uint256 key, uint16 attempt, IJobMarket.Signature memory s) = _result(m, seed);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.settle, (m.terms, RECEIPT, s)))) return;
        _checkSettled(m, key, attempt);
    }

    function settleMany(uint256 seed) external {
        Move[] memory moves = _randomMoves(seed, ASSIGNED | PUBLISHED);
        IJobMarket.Settlement[] memory settlements = new IJobMarket.Settlement[](moves.length);
        uint256[] memory keys = new uint256[](moves.length);
        for (uint256 i; i < moves.length; ++i) {
            moves[i].caller = moves[0].terms.scheduler;
            settlements[i].terms = moves[i].terms;
            settlements[i].receiptHash = RECEIPT;
            // The same for the same job, so that it is clear which one counted.
            uint256 choice = _pick(seed, 50 + moves[i].index);
            (keys[i],, settlements[i].signature) = _result(moves[i], choice % 16 == 1 ? choice + 1 : choice);
        }
        if (!_play(moves, 0, abi.encodeCall(IJobMarket.settleMany, (settlements)))) return;
        for (uint256 i; i < moves.length; ++i) {
            if (_moved(moves[i])) _checkSettled(moves[i], keys[i], moves[i].job.attempt);
        }
    }

    /* THE NODE AND ITS PROVIDER */

    function renew(uint256 seed) external {
        Move memory m = _randomMove(seed, ASSIGNED);
        uint40 issuedAt = _now() + 2 - uint40(_pick(seed, 2) % (m.terms.graceSeconds + 20));
        uint16 attempt = _attemptOf(m, seed);
        uint256 key = _keyOf(m, seed);
        IJobMarket.Signature memory s = _signRenew(key, m.id, attempt, issuedAt);
        uint256 leaseEnd = _modelLeaseEnd(m);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.renew, (m.terms, issuedAt, s)))) return;
        vm.assertEq(vm.addr(key), m.job.node, "renewed by another node");
        vm.assertEq(attempt, m.job.attempt, "renewed by another attempt");
        vm.assertLe(block.timestamp, leaseEnd, "renewed after the lease");
        vm.assertLe(m.job.at + 1, issuedAt, "renewed with an older renewal");
        vm.assertLe(issuedAt, block.timestamp, "renewed from the future");
        vm.assertLe(block.timestamp, issuedAt + m.terms.graceSeconds, "renewed with a stale renewal");
        vm.assertLe(leaseEnd, market.leaseEnd(m.terms), "a renewal shortened the lease");
        vm.assertLe(market.leaseEnd(m.terms), m.job.assignedAt + m.terms.attemptSeconds, "past the attempt");
    }

    function release(uint256 seed) external {
        if (seed % 3 != 0) return;
        Move memory m = _randomMove(seed, ASSIGNED);
        uint256 key = _keyOf(m, seed);
        IJobMarket.Signature memory s = _signRelease(key, m.id, m.job.attempt);
        uint256 leaseEnd = _modelLeaseEnd(m);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.release, (m.terms, s)))) return;
        bool byProvider = m.caller == _providerOf(m.job.node);
        vm.assertTrue(byProvider || vm.addr(key) == m.job.node, "released by somebody else");
        vm.assertLe(block.timestamp, leaseEnd, "released after the lease");
    }

    function publish(uint256 seed) external {
        Move memory m = _randomMove(seed, ASSIGNED);
        (uint256 key, uint16 attempt, IJobMarket.Signature memory s) = _result(m, seed);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.publish, (m.terms, RECEIPT, s)))) return;
        _checkResult(m, key, attempt);
        vm.assertTrue(m.job.state == IJobMarket.State.Assigned, "published in another state");
        vm.assertLe(block.timestamp, m.terms.deadline, "published after the deadline");
    }

    function claim(uint256 seed) external {
        Move memory m = _randomMove(seed, HELD | PUBLISHED | DISPUTED);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.claim, (m.terms)))) return;
        vm.assertLe(_modelWindowEnd(m) + 1, block.timestamp, "claimed too early");
    }

    /* DISPUTES */

    function dispute(uint256 seed) external {
        Move memory m = _randomMove(seed, HELD | PUBLISHED);
        if (seed % 8 != 0) m.caller = seed % 2 == 0 ? m.terms.submitter : m.terms.scheduler;
        uint256 value = _give(m.caller, m.terms.token, m.terms.disputeBond);
        if (!_play(m, value, abi.encodeCall(IJobMarket.dispute, (m.terms)))) return;
        bool held = m.job.state == IJobMarket.State.Held;
        vm.assertTrue(held || m.job.state == IJobMarket.State.Published, "disputed in another state");
        vm.assertTrue(
            m.caller == m.terms.submitter || (m.caller == m.terms.scheduler && !held),
            "disputed by somebody else"
        );
        vm.assertLe(block.timestamp, _modelWindowEnd(m), "disputed after the window");
    }

    function rule(uint256 seed) external {
        Move memory m = _randomMove(seed, DISPUTED);
        if (seed % 8 != 0) m.caller = m.terms.arbiter;
        IJobMarket.Ruling ruling = IJobMarket.Ruling(_pick(seed, 2) % 3);
        if (!_play(m, 0, abi.encodeCall(IJobMarket.rule, (m.terms, ruling)))) return;
        vm.assertEq(m.caller, m.terms.arbiter, "ruled by somebody else");
        vm.assertTrue(m.job.state == IJobMarket.State.Disputed, "ruled without a dispute");
        vm.assertLe(block.timestamp, _modelWindowEnd(m), "ruled too late");
        bool reopened = _job(m.id).state == IJobMarket.State.Open;
        vm.assertTrue(reopened == (ruling == IJobMarket.Ruling.Reopen), "another ruling");
        if (reopened) vm.assertLe(block.timestamp, m.terms.deadline, "reopened after the deadline");
    }

    /* THE WAY OUT */

    /// @dev Whatever the moods of wallets and tokens: once every time has passed, a stranger alone ends the job with one
    /// call, and the market holds nothing more for it. Then the world is put back.
    function escape(uint256 seed) external {
        if (_live.length == 0) return;
        Move memory m = _move(_live[_pick(seed, 0) % _live.length], STRANGER);
        uint256 snapshot = vm.snapshotState();
        vm.warp(block.timestamp + 60 days);
        bool noResult = m.job.state == IJobMarket.State.Open || m.job.state == IJobMarket.State.Assigned;
        bytes memory data = noResult
            ? abi.encodeCall(IJobMarket.refund, (m.terms))
            : abi.encodeCall(IJobMarket.claim, (m.terms));
        vm.assertTrue(_play(m, 0, data), "nobody can end the job alone");
        vm.assertEq(_inJob(m.terms, _job(m.id)), 0, "something is left in the job");
        vm.assertTrue(vm.revertToState(snapshot), "snapshot");
    }

    /// @notice Makes every receiver and token behave.
    function calm() external {
        for (uint256 w; w < _wallets.length; ++w) {
            _wallets[w].setMood(MoodyWallet.Mood.Accept);
        }
        _moody.setMood(MoodyToken.Mood.Calm);
        for (uint256 a; a < ACTORS; ++a) {
            _blocking.setBlocked(actors[a], false);
        }
    }

    /* CHECKS */

    function _checkCancelled(Move memory m) private pure {
        vm.assertEq(m.caller, m.terms.submitter, "cancelled by somebody else");
        bool early = m.job.state == IJobMarket.State.Open || m.job.state == IJobMarket.State.None;
        vm.assertTrue(early, "cancelled in another state");
    }

    function _checkAssigned(Move memory m, address node, uint16 attempt) private view {
        vm.assertEq(m.caller, m.terms.scheduler, "assigned by somebody else");
        bool held = m.job.state == IJobMarket.State.Assigned;
        vm.assertTrue(!held || _now() > _modelLeaseEnd(m), "pushed out");
        vm.assertLe(block.timestamp, m.terms.deadline, "assigned after the deadline");
        vm.assertEq(attempt, m.job.attempt + 1, "attempt");
        (address provider, bool revoked) = market.node(node);
        vm.assertFalse(revoked, "assigned to a revoked node");
        vm.assertTrue(_approved[provider][m.terms.scheduler], "assigned without the provider's approval");
    }

    function _checkSettled(Move memory m, uint256 key, uint16 attempt) private view {
        vm.assertEq(m.caller, m.terms.scheduler, "settled by somebody else");
        _checkResult(m, key, attempt);
        if (m.job.state == IJobMarket.State.Assigned) {
            vm.assertLe(block.timestamp, m.terms.deadline, "settled after the deadline");
        } else {
            vm.assertTrue(m.job.state == IJobMarket.State.Published, "settled in another state");
            vm.assertLe(block.timestamp, _modelWindowEnd(m), "settled after the window");
        }
        bool atOnce = _job(m.id).state == IJobMarket.State.Paid;
        vm.assertTrue(atOnce == (m.terms.holdSeconds == 0), "the hold was skipped");
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

    function _modelWindowEnd(Move memory m) private pure returns (uint256) {
        if (m.job.state == IJobMarket.State.Held) return m.job.at + m.terms.holdSeconds;
        if (m.job.state == IJobMarket.State.Published) return m.job.at + m.terms.challengeWindow;
        vm.assertTrue(m.job.state == IJobMarket.State.Disputed, "a window in another state");
        return m.job.at + m.terms.rulingSeconds;
    }

    function _moved(Move memory m) private view returns (bool) {
        return _job(m.id).state != m.job.state;
    }

    /* CHANCE */

    /// @dev Few jobs at a time, so that each gets somewhere.
    function _crowded(uint256 seed) private view returns (bool) {
        return _live.length >= 4 && seed % 8 != 0;
    }

    function _randomTerms(uint256 seed) private view returns (IJobMarket.Terms memory t) {
        t = _terms();
        t.submitter = _submitters[_pick(seed, 10) % 3];
        t.scheduler = _schedulers[_pick(seed, 11) % 2];
        t.token = tokens[_pick(seed, 12) % TOKENS];
        t.bounty = uint128(_between(_pick(seed, 13), 1, 3 ether));
        t.fee = uint128(_between(_pick(seed, 14), 0, t.bounty));
        if (_pick(seed, 15) % 2 == 0) t.bond = uint128(_between(_pick(seed, 15), 1, 1 ether));
        if (_pick(seed, 16) % 2 == 0) t.disputeBond = uint128(_between(_pick(seed, 16), 1, 1 ether));
        t.deadline = _now() + _span(_pick(seed, 17), 0, seed % 4 == 0 ? 1 hours : 1 days);
        t.leaseSeconds = uint32(_between(_pick(seed, 18), 4 * t.graceSeconds, 2 hours));
        t.attemptSeconds = t.leaseSeconds * 2;
        t.holdSeconds = _pick(seed, 19) % 2 == 0 ? 0 : 1 hours;
        t.challengeWindow = 1 hours;
        t.rulingSeconds = 2 hours;
        t.salt = bytes32(seed);
    }

    function _randomAssignment(Move memory m, uint256 seed)
        private
        view
        returns (IJobMarket.Assignment memory a, bool good)
    {
        uint256 which = _pick(seed, 60);
        (uint256 key, uint256 signer) = (_nodeKeys[which % NODES], _nodeKeys[which % NODES]);
        uint16 attempt = m.job.attempt + (seed % 16 == 1 ? 0 : 1);
        a = IJobMarket.Assignment(m.terms, vm.addr(key), attempt, _now(), _noSignature());
        if (seed % 16 == 2) signer = _nodeKeys[(which + 1) % NODES];
        if (seed % 16 == 3) a.expires -= 1;
        good = seed % 16 == 0 || seed % 16 > 4;
        a.acceptance = _signAccept(signer, m.id, seed % 16 == 4 ? attempt - 1 : attempt, a.expires);
    }

    /// @dev Enters a job in the books before it is opened, once.
    function _enter(IJobMarket.Terms memory t, address caller) private returns (Move memory) {
        bytes32 id = _id(t);
        uint256 index;
        while (index < _entries.length && _entries[index].id != id) ++index;
        if (index == _entries.length) _entries.push(Entry(t, id, 0, false, address(0)));
        return _move(index, caller);
    }

    /// @dev Mostly a job in one of the states that are wanted; an unopened one as long as there is none.
    function _randomMove(uint256 seed, uint256 states) private returns (Move memory m) {
        address caller = actors[_pick(seed, 1) % ACTORS];
        if (_entries.length == 0) return _enter(_randomTerms(seed), caller);
        for (uint256 i; seed % 8 != 7 && i < _live.length; ++i) {
            m = _move(_live[(_pick(seed, 0) % _live.length + i) % _live.length], caller);
            if (states >> uint256(m.job.state) & 1 == 1) return m;
        }
        return _move(_pick(seed, 0) % _entries.length, caller);
    }

    function _randomMoves(uint256 seed, uint256 states) private returns (Move[] memory moves) {
        moves = new Move[](1 + _pick(seed, 70) % 3);
        for (uint256 i; i < moves.length; ++i) {
            moves[i] = _randomMove(_pick(seed, 71 + i), states);
        }
    }

    /// @dev The key of the node that holds the job, or now and then of another.
    function _keyOf(Move memory m, uint256 seed) private view returns (uint256 key) {
        key = _nodeKeys[_pick(seed, 80) % NODES];
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
        s = seed % 16 == 2 ? _signFailure(key, m.id, attempt) : _signResult(key, m.id, attempt);
        // A receipt of failure is no result, whoever signed it.
        if (seed % 16 == 2) key = 1;
    }

    function _signPermit(uint256 key, uint256 amount) private view returns (IJobMarket.Permit memory p) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        address owner = vm.addr(key);
        p.deadline = block.timestamp;
        bytes32 structHash =
            keccak256(abi.encode(typeHash, owner, address(market), amount, token.nonces(owner), p.deadline));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
        bytes32 vs;
        (p.r, vs) = vm.signCompact(key, digest);
        p.s = vs << 1 >> 1;
        p.v = 27 + uint8(uint256(vs) >> 255);
    }

    /// @dev A verb that is about no job.
    function _playAlone(address caller, Ledger memory l, uint256 value, bytes memory data)
        private
        returns (bool)
    {
        return _play(new Move[](0), caller, l, value, data);
    }

    function _list(bytes32 element) private pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = element;
    }

    /// @dev Both leaves are known, or the second comes from the proof.
    function _flags(uint256 count) private pure returns (bool[] memory flags) {
        flags = new bool[](1);
        flags[0] = count == 2;
    }

    function _pick(uint256 seed, uint256 which) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, which)));
    }
}
