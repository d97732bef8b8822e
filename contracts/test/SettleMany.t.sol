// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";
import {MoodyWallet} from "./mocks/HostileReceivers.sol";

/// @notice `settleMany`: pays what `settle` would pay, in fewer pushes, past whoever refuses.
contract SettleManyTest is Steps {
    uint256 private constant WALLET_NODE_KEY = 0xD0DE;

    MoodyWallet private wallet;

    function setUp() public override {
        super.setUp();
        wallet = new MoodyWallet(market);
        IJobMarket.Signature memory s = _signEnroll(WALLET_NODE_KEY, address(wallet), _now());
        wallet.act(abi.encodeCall(IJobMarket.enroll, (vm.addr(WALLET_NODE_KEY), _now(), s)));
        wallet.act(abi.encodeCall(IJobMarket.approveScheduler, (SCHEDULER, NATIVE, 0)));
    }

    /// @dev Neighbours with the same provider and token are paid in one push, and the scheduler's fees of a token as well.
    function test_settleMany_paysRunsTogether() public {
        wallet.setMood(MoodyWallet.Mood.Count);
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](6);
        s[0] = _job(NATIVE, WALLET_NODE_KEY, 0);
        s[1] = _job(NATIVE, WALLET_NODE_KEY, 1);
        s[2] = _job(NATIVE, NODE_KEY, 2);
        s[3] = _job(NATIVE, WALLET_NODE_KEY, 3);
        s[4] = _job(address(token), NODE_KEY, 4);
        s[5] = _job(address(token), NODE_KEY, 5);
        vm.recordLogs();
        for (uint256 i; i < 6; ++i) {
            vm.expectEmit(address(market));
            emit IJobMarket.Settled(
                _id(s[i].terms), i < 2 || i == 3 ? vm.addr(WALLET_NODE_KEY) : NODE, 1, RECEIPT
            );
            vm.expectEmit(address(market));
            emit IJobMarket.Paid(
                _id(s[i].terms), i < 2 || i == 3 ? address(wallet) : PROVIDER, BOUNTY - FEE, FEE
            );
        }
        _settleMany(s);
        _assertEvents("Settled Paid Settled Paid Settled Paid Settled Paid Settled Paid Settled Paid");
        vm.assertEq(wallet.received(), 2, "two runs, two pushes");
        vm.assertEq(address(wallet).balance, 3 * (BOUNTY - FEE), "wallet");
        _assertBalances(NATIVE, 0, BOUNTY - FEE, 4 * FEE, 0);
        _assertBalances(address(token), 0, 2 * (BOUNTY - FEE), 2 * FEE, 0);
        _assertInMarket(NATIVE, 0, 0, 0, 0);
    }

    /// @dev A receiver that refuses gets one credit for its run, and blocks nobody before or after it.
    function test_settleMany_pastAHostileReceiver() public {
        MoodyWallet.Mood[3] memory moods =
            [MoodyWallet.Mood.Revert, MoodyWallet.Mood.BurnGas, MoodyWallet.Mood.FloodReturnData];
        for (uint256 i; i < moods.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            wallet.setMood(moods[i]);
            IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](4);
            s[0] = _job(NATIVE, NODE_KEY, 0);
            s[1] = _job(NATIVE, WALLET_NODE_KEY, 1);
            s[2] = _job(NATIVE, WALLET_NODE_KEY, 2);
            s[3] = _job(NATIVE, OTHER_NODE_KEY, 3);
            vm.recordLogs();
            vm.expectEmit(address(market));
            emit IJobMarket.Credited(address(wallet), NATIVE, 2 * (BOUNTY - FEE));
            _settleMany(s);
            _assertEvents("Settled Paid Settled Paid Settled Paid Settled Paid Credited");
            vm.assertEq(market.balance(address(wallet), NATIVE), 2 * (BOUNTY - FEE), "credit");
            vm.assertEq(PROVIDER.balance, BOUNTY - FEE, "paid before");
            vm.assertEq(OTHER_PROVIDER.balance, BOUNTY - FEE, "paid after");
            vm.assertEq(SCHEDULER.balance, 4 * FEE, "fees");
            vm.assertEq(address(market).balance, 2 * (BOUNTY - FEE), "escrow");
            vm.revertToState(snapshot);
        }
    }

    /// @dev A receiver acts between two items as it could before or after the call: what it took away is skipped.
    function test_settleMany_pastAReceiverThatReenters() public {
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](3);
        s[0] = _job(NATIVE, WALLET_NODE_KEY, 0);
        s[1] = _job(NATIVE, NODE_KEY, 1);
        s[2] = _job(NATIVE, WALLET_NODE_KEY, 2);
        address holder = vm.addr(0xDA7A);
        vm.etch(holder, abi.encodeCall(IJobMarket.release, (s[2].terms, _noSignature())));
        wallet.setCall(holder);
        wallet.setMood(MoodyWallet.Mood.Reenter);
        bytes32 id = _id(s[2].terms);
        // The first item is paid when the second has another provider, before the third is looked at.
        s = _append(s, _job(NATIVE, OTHER_NODE_KEY, 3));
        (s[2], s[3]) = (s[3], s[2]);
        vm.expectEmit(address(market));
        emit IJobMarket.Released(id, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(id, _wrongState(id, IJobMarket.State.Open));
        _settleMany(s);
        vm.assertEq(wallet.reentered(), 1, "released");
        vm.assertEq(address(wallet).balance, BOUNTY - FEE, "paid once");
        vm.assertEq(PROVIDER.balance, BOUNTY - FEE, "provider");
        vm.assertEq(OTHER_PROVIDER.balance, BOUNTY - FEE, "other provider");
        vm.assertEq(SCHEDULER.balance, 3 * FEE, "fees");
        vm.assertEq(address(market).balance, BOUNTY, "the released job's bounty");
    }

    /// @dev Held jobs in the middle are not paid and do not end the run around them.
    function test_settleMany_withHeldJobs() public {
        wallet.setMood(MoodyWallet.Mood.Count);
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](3);
        s[0] = _job(NATIVE, WALLET_NODE_KEY, 0);
        s[2] = _job(NATIVE, WALLET_NODE_KEY, 2);
        IJobMarket.Terms memory t = _heldTerms();
        bytes32 id = _openAndAssign(t);
        s[1] = IJobMarket.Settlement(t, RECEIPT, _signResult(NODE_KEY, id, 1));
        vm.recordLogs();
        _settleMany(s);
        _assertEvents("Settled Paid Settled Settled Paid");
        _assertState(id, IJobMarket.State.Held);
        vm.assertEq(wallet.received(), 1, "one push");
        vm.assertEq(address(wallet).balance, 2 * (BOUNTY - FEE), "wallet");
        _assertBalances(NATIVE, 0, 0, 2 * FEE, BOUNTY);
        vm.warp(START + t.holdSeconds + 1);
        _claim(t);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, 3 * FEE, 0);
    }

    function test_settleMany_ofDuplicates() public {
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](2);
        s[0] = _job(NATIVE, NODE_KEY, 0);
        s[1] = s[0];
        bytes32 id = _id(s[0].terms);
        vm.expectEmit(address(market));
        emit IJobMarket.Skipped(id, _wrongState(id, IJobMarket.State.Paid));
        _settleMany(s);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 0);
    }

    /// @dev Pools and bonds of the jobs in a batch go where those of single settlements go.
    function test_settleMany_withBondsAndPools() public {
        _stake(PROVIDER, NATIVE, 2 * BOND, 2 * BOND);
        _stake(OTHER_PROVIDER, NATIVE, BOND, BOND);
        IJobMarket.Terms memory t = _bondedTerms();
        _open(t);
        _assignWithTerms(t, OTHER_NODE_KEY, 1);
        _lapse(t);
        _assignWithTerms(t, NODE_KEY, 2);
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](2);
        s[0] = IJobMarket.Settlement(t, RECEIPT, _signResult(NODE_KEY, _id(t), 2));
        t = _bondedTerms();
        t.salt = keccak256("another");
        bytes32 id = _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
        s[1] = IJobMarket.Settlement(t, RECEIPT, _signResult(NODE_KEY, id, 1));
        vm.recordLogs();
        _settleMany(s);
        _assertEvents("Settled Paid Credited Settled Paid Credited");
        _assertBalances(NATIVE, 0, 2 * (BOUNTY - FEE) + HALF, 2 * FEE, 2 * BOND + BOND - HALF);
        _assertInMarket(NATIVE, BOND - HALF, 2 * BOND, 0, 0);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, 2 * BOND, 0);
    }

    function test_settleMany_skipsWhatSettleRefuses() public {
        IJobMarket.Terms memory t = _terms();
        t.salt = keccak256("refused");
        bytes32 id = _id(t);
        _settleSkips(t, _signResult(NODE_KEY, id, 1), IJobMarket.State.None);
        _open(t);
        _settleSkips(t, _signResult(NODE_KEY, id, 1), IJobMarket.State.Open);
        _assign(t, NODE, 1);
        _settleSkips(t, _signResult(OTHER_NODE_KEY, id, 1), IJobMarket.State.Assigned);
        _settleSkips(t, _signResult(NODE_KEY, id, 2), IJobMarket.State.Assigned);
        _settleSkips(t, _signFailure(NODE_KEY, id, 1), IJobMarket.State.Assigned);
        _settleSkips(t, _noSignature(), IJobMarket.State.Assigned);
        vm.warp(t.deadline + 1);
        _settleSkips(t, _signResult(NODE_KEY, id, 1), IJobMarket.State.Assigned);
        vm.warp(t.deadline);
        _publish(t, NODE_KEY, 1);
        vm.warp(t.deadline + t.challengeWindow + 1);
        _settleSkips(t, _signResult(NODE_KEY, id, 1), IJobMarket.State.Published);
        _claim(t);
        _settleSkips(t, _signResult(NODE_KEY, id, 1), IJobMarket.State.Paid);
        t.scheduler = STRANGER;
        t.deadline = _now() + 1 days;
        id = _open(t);
        _settleSkips(t, _signResult(NODE_KEY, id, 1), IJobMarket.State.Open);
    }

    function _settleSkips(
        IJobMarket.Terms memory t,
        IJobMarket.Signature memory signature,
        IJobMarket.State state
    ) private {
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](3);
        s[0] = _job(NATIVE, NODE_KEY, gasleft());
        s[1] = IJobMarket.Settlement(t, RECEIPT, signature);
        s[2] = _job(NATIVE, NODE_KEY, gasleft());
        _assertSkipsAs(
            SCHEDULER,
            abi.encodeCall(IJobMarket.settle, (t, RECEIPT, signature)),
            abi.encodeCall(IJobMarket.settleMany, (s)),
            _id(t)
        );
        _assertState(_id(s[0].terms), IJobMarket.State.Paid);
        _assertState(_id(s[2].terms), IJobMarket.State.Paid);
        _assertState(_id(t), state);
    }

    /// @dev Too little gas for a push fails the whole batch: nobody can turn payments into credits.
    function testFuzz_settleMany_starved(uint256 gas) public {
        wallet.setMood(MoodyWallet.Mood.Count);
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](2);
        s[0] = _job(NATIVE, WALLET_NODE_KEY, 0);
        s[1] = _job(NATIVE, NODE_KEY, 1);
        vm.prank(SCHEDULER);
        (bool ok,) = address(market).call{gas: _between(gas, 21_000, 400_000)}(
            abi.encodeCall(IJobMarket.settleMany, (s))
        );
        vm.assertEq(market.balance(address(wallet), NATIVE), 0, "credited");
        vm.assertEq(address(wallet).balance, ok ? BOUNTY - FEE : 0, "paid with the call or not at all");
        _assertBalances(NATIVE, 0, ok ? BOUNTY - FEE : 0, ok ? 2 * FEE : 0, ok ? 0 : 2 * uint256(BOUNTY));
    }

    /// @dev Whatever the jobs, in whatever order: the batch leaves everybody with what the single verbs leave.
    function testFuzz_settleMany_isSettleManyTimes(uint256 seed) public {
        IJobMarket.Settlement[] memory s = new IJobMarket.Settlement[](_between(seed, 1, 8));
        wallet.setMood(seed >> 16 & 1 == 0 ? MoodyWallet.Mood.Count : MoodyWallet.Mood.Revert);
        wallet.act(abi.encodeCall(IJobMarket.approveScheduler, (SCHEDULER, address(token), 0)));
        uint256[3] memory keys = [NODE_KEY, OTHER_NODE_KEY, WALLET_NODE_KEY];
        for (uint256 i; i < s.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            IJobMarket.Terms memory t = seed & 1 == 0 ? _terms() : _tokenTerms(address(token));
            t.salt = bytes32(i);
            if (seed >> 1 & 3 == 0) t.holdSeconds = 60;
            t.bounty = uint128(_between(seed >> 8 & type(uint64).max, 1, type(uint64).max));
            t.fee = uint128(_between(seed >> 72 & type(uint64).max, 0, t.bounty));
            uint256 key = keys[(seed >> 4 & 0xff) % 3];
            bytes32 id = _open(t);
            _assign(t, vm.addr(key), 1);
            // One in four is signed for another attempt.
            s[i] = IJobMarket.Settlement(t, RECEIPT, _signResult(key, id, seed >> 3 & 3 == 0 ? 2 : 1));
        }
        uint256 snapshot = vm.snapshotState();
        for (uint256 i; i < s.length; ++i) {
            vm.prank(SCHEDULER);
            (bool ok,) = address(market)
                .call(abi.encodeCall(IJobMarket.settle, (s[i].terms, s[i].receiptHash, s[i].signature)));
            vm.assertTrue(ok == (uint256(_state(_id(s[i].terms))) > 2), "settled");
        }
        uint256[] memory expected = _wealth(s);
        vm.revertToState(snapshot);
        _settleMany(s);
        vm.assertEq(abi.encode(_wealth(s)), abi.encode(expected), "wealth and states");
    }

    /* STEPS */

    /// @dev An assigned job and its node's result.
    function _job(address token_, uint256 nodeKey, uint256 salt)
        private
        returns (IJobMarket.Settlement memory s)
    {
        s.terms = _tokenTerms(token_);
        s.terms.salt = keccak256(abi.encode("job", salt));
        s.terms.deadline = _now() + 1 days;
        bytes32 id = _open(s.terms);
        _assign(s.terms, vm.addr(nodeKey), 1);
        (s.receiptHash, s.signature) = (RECEIPT, _signResult(nodeKey, id, 1));
    }

    function _append(IJobMarket.Settlement[] memory s, IJobMarket.Settlement memory last)
        private
        pure
        returns (IJobMarket.Settlement[] memory longer)
    {
        longer = new IJobMarket.Settlement[](s.length + 1);
        for (uint256 i; i < s.length; ++i) {
            longer[i] = s[i];
        }
        longer[s.length] = last;
    }

    function _settleMany(IJobMarket.Settlement[] memory s) private {
        vm.prank(SCHEDULER);
        market.settleMany(s);
    }

    /// @dev What everybody has in both assets, in wallets and in the market, and where each job stands.
    function _wealth(IJobMarket.Settlement[] memory s) private view returns (uint256[] memory w) {
        address[6] memory owners =
            [SUBMITTER, SCHEDULER, PROVIDER, OTHER_PROVIDER, address(wallet), address(market)];
        w = new uint256[](4 * owners.length + s.length);
        for (uint256 i; i < owners.length; ++i) {
            w[4 * i] = owners[i].balance;
            w[4 * i + 1] = token.balanceOf(owners[i]);
            w[4 * i + 2] = market.balance(owners[i], NATIVE);
            w[4 * i + 3] = market.balance(owners[i], address(token));
        }
        for (uint256 i; i < s.length; ++i) {
            w[4 * owners.length + i] = uint256(_state(_id(s[i].terms)));
        }
    }
}
