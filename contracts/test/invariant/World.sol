// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {Base} from "../Base.sol";
import {MoodyWallet} from "../mocks/HostileReceivers.sol";
import {FalseToken, MoodyToken} from "../mocks/HostileTokens.sol";

/// @notice The parties and their jobs, and what each verb may do to them: a job moves only along an edge of the
/// design, and money only to and from whom the design says, to the last unit.
/// @dev The rules are written down here a second time, from the design and not from the contract.
abstract contract World is Base {
    struct Entry {
        IJobMarket.Terms terms;
        bytes32 id;
        /// How often the job ended.
        uint256 endings;
        /// Whether the scheduler settled the attempt that is, or was, the last.
        bool settled;
        address disputant;
    }

    /// @dev A job as the contract stores it.
    struct Job {
        IJobMarket.State state;
        address node;
        uint40 at;
        uint40 assignedAt;
        uint16 attempt;
        uint8 forfeits;
        uint8 flags;
    }

    /// @dev Who plays the next verb, and on which job, as it is before.
    struct Move {
        uint256 index;
        bytes32 id;
        IJobMarket.Terms terms;
        Job job;
        address caller;
    }

    /// @dev What a verb is to change, for each actor and token.
    struct Ledger {
        /// Of what the actor has, in its own hands and in the market.
        int256[] gains;
        /// By how much its balance in the market may fall at most.
        uint256[] debits;
    }

    uint256 internal constant ACTORS = 10;
    uint256 internal constant TOKENS = 4;
    uint256 internal constant PROVIDERS = 3;
    uint256 internal constant NODES = 5;
    uint8 internal constant CALLED_IN = 1;
    /// @dev A withdrawal forwards all it has, so a token that burns gas must find an end.
    uint256 private constant BLOCK_GAS = 9_000_000;

    MoodyWallet[3] internal _wallets;
    FalseToken internal _blocking;
    MoodyToken internal _moody;
    address[TOKENS] public tokens;
    address[ACTORS] public actors;
    address[3] internal _submitters;
    /// @dev The third submitter is a wallet and signs nothing.
    uint256[2] internal _submitterKeys = [0xA11CE, 0xA11CE2];
    address[2] internal _schedulers;
    address[PROVIDERS] internal _providers;
    uint256[NODES] internal _nodeKeys = [NODE_KEY, OTHER_NODE_KEY, 0xD0DE, 0xE0DE, 0xF0DE];
    Entry[] internal _entries;
    /// @dev The jobs that are neither unopened nor ended, as indices of `_entries`.
    uint256[] internal _live;
    mapping(address token => uint256) public gifts;
    /// @dev How often each of the market's verbs went through.
    mapping(bytes4 verb => uint256) public played;
    mapping(address provider => mapping(address scheduler => bool)) internal _approved;
    mapping(address provider => mapping(address scheduler => mapping(address token => uint256))) internal
        _bondLimit;

    constructor() {
        setUp();
        _blocking = new FalseToken();
        _moody = new MoodyToken();
        tokens = [NATIVE, address(token), address(_blocking), address(_moody)];
        for (uint256 w; w < _wallets.length; ++w) {
            _wallets[w] = new MoodyWallet(market);
            // What a wallet tries when it re-enters: to have some of its balance once more.
            // forge-lint: disable-next-line(unsafe-typecast)
            address call = address(uint160(0xCA11 + w));
            vm.etch(call, abi.encodeCall(IJobMarket.withdraw, (NATIVE, address(_wallets[w]), 1)));
            _wallets[w].setCall(call);
        }
        _submitters = [SUBMITTER, vm.addr(_submitterKeys[1]), address(_wallets[0])];
        _schedulers = [SCHEDULER, address(_wallets[1])];
        _providers = [PROVIDER, OTHER_PROVIDER, address(_wallets[2])];
        actors = [
            _submitters[0],
            _submitters[1],
            _submitters[2],
            _schedulers[0],
            _schedulers[1],
            _providers[0],
            _providers[1],
            _providers[2],
            ARBITER,
            STRANGER
        ];
        _enroll(_nodeKeys[2], _providers[2]);
        for (uint256 k; k < TOKENS; ++k) {
            for (uint256 p; p < PROVIDERS; ++p) {
                for (uint256 s; s < _schedulers.length; ++s) {
                    vm.prank(_providers[p]);
                    market.approveScheduler(_schedulers[s], tokens[k], 3 ether);
                    _approved[_providers[p]][_schedulers[s]] = true;
                    _bondLimit[_providers[p]][_schedulers[s]][tokens[k]] = 3 ether;
                }
            }
            for (uint256 a; a < 8; ++a) {
                uint256 value = _give(actors[a], tokens[k], 10 ether);
                vm.prank(actors[a]);
                market.deposit{value: value}(tokens[k], 10 ether);
            }
        }
    }

    /* STEPS */

    /// @dev Plays a verb on one job.
    function _play(Move memory m, uint256 value, bytes memory data) internal returns (bool) {
        Move[] memory moves = new Move[](1);
        moves[0] = m;
        return _play(moves, value, data);
    }

    /// @dev Plays a verb of the first move's caller on some jobs.
    function _play(Move[] memory moves, uint256 value, bytes memory data) internal returns (bool) {
        return _play(moves, moves[0].caller, _ledger(), value, data);
    }

    /// @dev Plays a verb and holds its effect against the design. `ledger` comes with what the verb is to change
    /// beyond the jobs.
    /// @return ok whether it went through and, if it is about jobs, changed one.
    function _play(
        Move[] memory moves,
        address caller,
        Ledger memory ledger,
        uint256 value,
        bytes memory data
    ) internal returns (bool ok) {
        (uint256[] memory wealth, uint256[] memory balances) = _wealth();
        vm.prank(caller);
        (ok,) = address(market).call{value: value, gas: BLOCK_GAS}(data);
        // The verb is in the first four bytes.
        // forge-lint: disable-next-line(unsafe-typecast)
        bytes4 verb = bytes4(data);

        if (!ok) ledger = _ledger();
        bool changed = moves.length == 0;
        for (uint256 i; i < moves.length; ++i) {
            if (!_isFirst(moves, i)) continue;
            Job memory current = _job(moves[i].id);
            if (keccak256(abi.encode(current)) == keccak256(abi.encode(moves[i].job))) continue;
            vm.assertTrue(ok, "a refused verb changed a job");
            changed = true;
            _follow(ledger, moves[i], current, caller, verb);
        }
        ok = ok && changed;
        if (ok) ++played[verb];
        _checkMoney(wealth, balances, ledger);
    }

    /// @dev What follows from a job's step, for the books and for everybody's money.
    function _follow(Ledger memory l, Move memory m, Job memory current, address caller, bytes4 verb)
        private
    {
        (Job memory past, IJobMarket.Terms memory t) = (m.job, m.terms);
        Entry storage e = _entries[m.index];
        vm.assertTrue(_isEdge(past.state, current.state), "no edge of the design");
        if (past.state == IJobMarket.State.None && !_isEnd(current.state)) _live.push(m.index);
        if (_isEnd(current.state)) {
            ++e.endings;
            _bury(m.index);
        }
        uint256 forfeits = past.forfeits;

        bool taken = current.state == IJobMarket.State.Assigned && current.attempt != past.attempt;
        if (past.state == IJobMarket.State.None && current.state != IJobMarket.State.Cancelled) {
            _lose(l, t.submitter, t.token, t.bounty);
            // Only a prepaid job may draw on the balance.
            if (verb == IJobMarket.openMany.selector) l.debits[_index(t.submitter, t.token)] += t.bounty;
        } else if (taken) {
            if (past.state == IJobMarket.State.Assigned) forfeits += _forfeit(l, m);
            _lock(l, m, current.node);
        } else if (current.state == IJobMarket.State.Open) {
            bool released = verb == IJobMarket.release.selector;
            if (released) _gain(l, _providerOf(past.node), t.token, t.bond);
            else forfeits += _forfeit(l, m);
            if (past.state == IJobMarket.State.Disputed) _gain(l, e.disputant, t.token, t.disputeBond);
        } else if (current.state == IJobMarket.State.Disputed) {
            e.disputant = caller;
            _lose(l, caller, t.token, t.disputeBond);
        } else if (current.state == IJobMarket.State.Paid) {
            if (_isSettlement(verb)) e.settled = true;
            uint256 disputeBond = past.state == IJobMarket.State.Disputed ? t.disputeBond : 0;
            uint256 amount = uint256(t.bounty) - t.fee + _pool(t, past) + t.bond + disputeBond;
            _gain(l, _providerOf(past.node), t.token, amount);
            _gain(l, e.settled ? t.scheduler : t.submitter, t.token, t.fee);
        } else if (_isEnd(current.state) && past.state != IJobMarket.State.None) {
            bool locked = past.state != IJobMarket.State.Open;
            _gain(l, t.submitter, t.token, t.bounty + _pool(t, past) + (locked ? t.bond : 0));
            if (locked) _lowerLimit(_providerOf(past.node), t);
            if (past.state == IJobMarket.State.Disputed) _gain(l, e.disputant, t.token, t.disputeBond);
        }
        if (taken) (e.settled, e.disputant) = (false, address(0));
        if (_isSettlement(verb)) e.settled = true;
        vm.assertEq(current.forfeits, forfeits, "bonds in the pool");
    }

    function _lock(Ledger memory l, Move memory m, address node) private view {
        IJobMarket.Terms memory t = m.terms;
        address provider = _providerOf(node);
        _lose(l, provider, t.token, t.bond);
        l.debits[_index(provider, t.token)] += t.bond;
        if (t.bond == 0) return;
        (,, uint256 used) = market.approval(provider, t.scheduler, t.token);
        vm.assertLe(used, _bondLimit[provider][t.scheduler][t.token], "a bond above the limit");
    }

    function _forfeit(Ledger memory l, Move memory m) private returns (uint256) {
        IJobMarket.Terms memory t = m.terms;
        if (t.bond == 0) return 0;
        _lowerLimit(_providerOf(m.job.node), t);
        bool full = m.job.forfeits == type(uint8).max;
        _gain(l, t.submitter, t.token, full ? t.bond : t.bond - t.bond / 2);
        return full ? 0 : 1;
    }

    function _lowerLimit(address provider, IJobMarket.Terms memory t) private {
        uint256 limit = _bondLimit[provider][t.scheduler][t.token];
        _bondLimit[provider][t.scheduler][t.token] = limit < t.bond ? 0 : limit - t.bond;
    }

    function _bury(uint256 index) private {
        for (uint256 i; i < _live.length; ++i) {
            if (_live[i] != index) continue;
            _live[i] = _live[_live.length - 1];
            _live.pop();
        }
    }

    /* MONEY */

    function _ledger() internal pure returns (Ledger memory l) {
        l = Ledger(new int256[](ACTORS * TOKENS), new uint256[](ACTORS * TOKENS));
    }

    function _gain(Ledger memory l, address actor, address token_, uint256 amount) internal view {
        // forge-lint: disable-next-line(unsafe-typecast)
        l.gains[_index(actor, token_)] += int256(amount);
    }

    function _lose(Ledger memory l, address actor, address token_, uint256 amount) internal view {
        // forge-lint: disable-next-line(unsafe-typecast)
        l.gains[_index(actor, token_)] -= int256(amount);
    }

    function _index(address actor, address token_) internal view returns (uint256) {
        for (uint256 i; i < ACTORS * TOKENS; ++i) {
            if (actors[i / TOKENS] == actor && tokens[i % TOKENS] == token_) return i;
        }
        revert("money for somebody who has no part in this");
    }

    function _wealth() private view returns (uint256[] memory wealth, uint256[] memory balances) {
        (wealth, balances) = (new uint256[](ACTORS * TOKENS), new uint256[](ACTORS * TOKENS));
        for (uint256 i; i < ACTORS * TOKENS; ++i) {
            (address actor, address token_) = (actors[i / TOKENS], tokens[i % TOKENS]);
            balances[i] = market.balance(actor, token_);
            wealth[i] = balances[i] + _balance(token_, actor);
        }
    }

    function _checkMoney(uint256[] memory wealth, uint256[] memory balances, Ledger memory l) private view {
        (uint256[] memory wealthNow, uint256[] memory balancesNow) = _wealth();
        for (uint256 i; i < ACTORS * TOKENS; ++i) {
            int256 gain = int256(wealthNow[i]) - int256(wealth[i]);
            vm.assertEq(gain, l.gains[i], "money moved to or from the wrong party");
            if (_mayReenter(actors[i / TOKENS])) continue;
            vm.assertLe(balances[i], balancesNow[i] + l.debits[i], "a balance fell without its owner");
        }
    }

    function _mayReenter(address actor) private view returns (bool) {
        for (uint256 w; w < _wallets.length; ++w) {
            if (actor == address(_wallets[w])) return _wallets[w].mood() == MoodyWallet.Mood.Reenter;
        }
        return false;
    }

    /* JOBS */

    function _job(bytes32 id) internal view returns (Job memory j) {
        (j.state, j.node, j.at, j.assignedAt, j.attempt, j.forfeits, j.flags) = market.job(id);
    }

    function _move(uint256 index, address caller) internal view returns (Move memory m) {
        m.index = index;
        m.id = _entries[index].id;
        m.terms = _entries[index].terms;
        m.caller = caller;
        m.job = _job(m.id);
    }

    function _isFirst(Move[] memory moves, uint256 i) private pure returns (bool) {
        for (uint256 k; k < i; ++k) {
            if (moves[k].index == moves[i].index) return false;
        }
        return true;
    }

    function _providerOf(address node) internal view returns (address provider) {
        (provider,) = market.node(node);
    }

    function _pool(IJobMarket.Terms memory t, Job memory j) internal pure returns (uint256) {
        return uint256(j.forfeits) * (t.bond / 2);
    }

    function _holdsBond(IJobMarket.State s) internal pure returns (bool) {
        return s == IJobMarket.State.Assigned || s == IJobMarket.State.Held || s == IJobMarket.State.Published
            || s == IJobMarket.State.Disputed;
    }

    function _isEnd(IJobMarket.State s) internal pure returns (bool) {
        return s == IJobMarket.State.Paid || s == IJobMarket.State.Refunded || s == IJobMarket.State.Cancelled;
    }

    function _isSettlement(bytes4 verb) private pure returns (bool) {
        return verb == IJobMarket.settle.selector || verb == IJobMarket.settleMany.selector;
    }

    /// @dev The design's table.
    function _isEdge(IJobMarket.State from, IJobMarket.State to) private pure returns (bool) {
        if (from == IJobMarket.State.None) {
            return to == IJobMarket.State.Open || to == IJobMarket.State.Assigned
                || to == IJobMarket.State.Cancelled;
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
            return
                to == IJobMarket.State.Held || to == IJobMarket.State.Disputed || to == IJobMarket.State.Paid;
        }
        if (from == IJobMarket.State.Held) {
            return to == IJobMarket.State.Disputed || to == IJobMarket.State.Paid;
        }
        return from == IJobMarket.State.Disputed
            && (to == IJobMarket.State.Paid || to == IJobMarket.State.Refunded || to == IJobMarket.State.Open);
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

    /// @notice What the market must hold of a token: what is in jobs, balances, and gifts.
    function owed(address token_) external view returns (uint256 sum) {
        sum = gifts[token_];
        for (uint256 i; i < _entries.length; ++i) {
            if (_entries[i].terms.token == token_) sum += _inJob(_entries[i].terms, _job(_entries[i].id));
        }
        for (uint256 a; a < ACTORS; ++a) {
            sum += market.balance(actors[a], token_);
        }
    }

    /// @dev Bounty, pool, the provider's bond and the bond of a dispute.
    function _inJob(IJobMarket.Terms memory t, Job memory j) internal pure returns (uint256 sum) {
        if (j.state == IJobMarket.State.None || _isEnd(j.state)) return 0;
        sum = t.bounty + _pool(t, j);
        if (_holdsBond(j.state)) sum += t.bond;
        if (j.state == IJobMarket.State.Disputed) sum += t.disputeBond;
    }

    /// @notice Holds every approval against the bonds that are locked now, and its limit against its history.
    function checkApprovals() external view {
        uint256[PROVIDERS * 2 * TOKENS] memory locked;
        for (uint256 i; i < _live.length; ++i) {
            Entry storage e = _entries[_live[i]];
            Job memory j = _job(e.id);
            if (!_holdsBond(j.state)) continue;
            for (uint256 a; a < locked.length; ++a) {
                (address provider, address scheduler, address token_) = _approvalOf(a);
                if (
                    _providerOf(j.node) == provider && e.terms.scheduler == scheduler
                        && e.terms.token == token_
                ) {
                    locked[a] += e.terms.bond;
                }
            }
        }
        for (uint256 a; a < locked.length; ++a) {
            (address provider, address scheduler, address token_) = _approvalOf(a);
            (bool approved, uint256 limit, uint256 used) = market.approval(provider, scheduler, token_);
            vm.assertTrue(approved == _approved[provider][scheduler], "approved");
            vm.assertEq(limit, _bondLimit[provider][scheduler][token_], "bond limit");
            vm.assertEq(used, locked[a], "bonds in use");
        }
    }

    function _approvalOf(uint256 a)
        private
        view
        returns (address provider, address scheduler, address token_)
    {
        return (_providers[a / (2 * TOKENS)], _schedulers[a / TOKENS % 2], tokens[a % TOKENS]);
    }
}
