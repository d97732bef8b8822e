// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";
import {MoodyWallet} from "./mocks/HostileReceivers.sol";
import {SigningWallet} from "./mocks/SigningWallet.sol";

/// @notice Every party but the node may be a contract. One that lies, burns gas or refuses money harms itself only.
contract WalletsTest is Steps {
    uint256 private constant OWNER_KEY = 0x0333;
    uint256 private constant WALLET_NODE_KEY = 0xD0DE;
    uint256 private constant HELD = 5 * uint256(BOUNTY);

    SigningWallet private wallet;
    IJobMarket.Terms private t;

    function setUp() public override {
        super.setUp();
        wallet = new SigningWallet(market, vm.addr(OWNER_KEY));
        _deposit(SUBMITTER, NATIVE, HELD);
        t = _terms();
    }

    /* THE SUBMITTER: ORDERS */

    function test_order_ofAWallet() public {
        Batch memory b = _walletOrder();
        _openMany(b, SCHEDULER);
        _assertState(b.ids[0], IJobMarket.State.Assigned);
        _assertState(b.ids[1], IJobMarket.State.Assigned);
        _assertWallet(HELD - 2 * BOUNTY);
        _settle(b.openings[0].terms, NODE_KEY, 1);
        vm.warp(t.deadline + 1);
        market.refund(b.openings[1].terms);
        vm.assertEq(address(wallet).balance, BOUNTY, "refunded");
        vm.assertEq(PROVIDER.balance, BOUNTY - FEE, "paid");
    }

    function test_order_thatTheWalletDidNotSign() public {
        Batch memory b = _walletOrder();
        b.signature = _signOrder(0xBAD, b.order);
        _refused(b);
        b.signature = "";
        _refused(b);
        b.order.expires += 1;
        b.signature = _signOrder(OWNER_KEY, _walletOrder().order);
        _refused(b);
        _assertWallet(HELD);
    }

    /// @dev Only the one right answer in a whole word counts, or more after it; nothing that a wallet does costs others.
    function test_order_andAnswersThatAreNone() public {
        Batch memory b = _walletOrder();
        for (uint8 mood; mood <= uint8(type(SigningWallet.Mood).max); ++mood) {
            uint256 snapshot = vm.snapshotState();
            wallet.setMood(SigningWallet.Mood(mood));
            vm.prank(SCHEDULER);
            (bool ok, bytes memory answer) = address(market).call{gas: 6_000_000}(
                abi.encodeCall(IJobMarket.openMany, (b.openings, b.order, b.signature, b.proof, b.flags))
            );
            if (mood <= uint8(SigningWallet.Mood.SayYesAtLength)) {
                vm.assertTrue(ok, "accepted");
                _assertWallet(HELD - 2 * BOUNTY);
            } else {
                vm.assertFalse(ok, "refused");
                vm.assertEq(
                    answer,
                    abi.encodeWithSelector(IJobMarket.BadOrderSignature.selector, address(wallet)),
                    "reason"
                );
                _assertWallet(HELD);
            }
            vm.revertToState(snapshot);
        }
    }

    /// @dev A wallet that says yes to everything gives away its own money only.
    function test_order_ofAWalletThatSaysYesToEverything() public {
        Batch memory b = _walletOrder();
        wallet.setMood(SigningWallet.Mood.SayYes);
        b.signature = "anything";
        b.openings[1].terms.submitter = SUBMITTER;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.MixedBatch.selector, 1));
        _openMany(b, STRANGER);
        b.openings[0].terms.submitter = SUBMITTER;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadOrderSignature.selector, SUBMITTER));
        _openMany(b, STRANGER);
        b = _walletOrder();
        b.signature = "anything";
        _openMany(b, STRANGER);
        _assertWallet(HELD - 2 * BOUNTY);
        vm.assertEq(market.balance(STRANGER, NATIVE), 0, "the stranger gets nothing");
    }

    /// @dev The answer is asked for at each use.
    function test_order_ofAWalletThatChangesItsMind() public {
        Batch memory b = _walletOrder();
        _openMany(_part(b, 1), SCHEDULER);
        wallet.setMood(SigningWallet.Mood.SayNo);
        _refused(_part(b, 2));
        _assertWallet(HELD - BOUNTY);
    }

    function test_order_revokedByAWallet() public {
        Batch memory b = _walletOrder();
        wallet.act(abi.encodeCall(IJobMarket.raiseEpoch, ()));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.OrderRevoked.selector, 0, 1));
        _openMany(b, SCHEDULER);
    }

    /// @dev A wallet that cannot answer, or that is gone, signs no orders; its balance is not lost by that.
    function test_order_ofWalletsThatCannotSign() public {
        MoodyWallet mute = new MoodyWallet(market);
        t.submitter = address(mute);
        Batch memory b = _batch(t, 2, NODE);
        b.signature = _signOrder(OWNER_KEY, b.order);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadOrderSignature.selector, address(mute)));
        _openMany(b, SCHEDULER);
        b = _walletOrder();
        vm.etch(address(wallet), "");
        _refused(b);
        _assertWallet(HELD);
    }

    /* THE SUBMITTER: MONEY */

    function test_submitter_thatRefusesMoneyIsCredited() public {
        t.holdSeconds = 1 hours;
        t.disputeBond = DISPUTE_BOND;
        t.submitter = address(wallet);
        _walletOpens();
        _assign(t, NODE, 1);
        _settle(t, NODE_KEY, 1);
        _walletDisputes();
        wallet.refuseMoney();
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Refunded(_id(t), BOUNTY + DISPUTE_BOND);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(address(wallet), NATIVE, BOUNTY + DISPUTE_BOND);
        _rule(t, IJobMarket.Ruling.Refund);
        _assertEvents("Ruled Refunded Credited");
        vm.assertEq(market.balance(address(wallet), NATIVE), BOUNTY + DISPUTE_BOND, "credit");
        wallet.act(abi.encodeCall(IJobMarket.withdraw, (NATIVE, STRANGER, BOUNTY + DISPUTE_BOND)));
        vm.assertEq(STRANGER.balance, BOUNTY + DISPUTE_BOND, "withdrawn to another");
    }

    function test_submitter_thatRefusesMoneyBlocksNoPaymentOfWhatWasPublished() public {
        t.submitter = address(wallet);
        _walletOpens();
        _assign(t, NODE, 1);
        _publish(t, NODE_KEY, 1);
        wallet.refuseMoney();
        vm.warp(START + t.challengeWindow + 1);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(address(wallet), NATIVE, FEE);
        _claim(t);
        _assertEvents("Paid Credited");
        vm.assertEq(PROVIDER.balance, BOUNTY - FEE, "paid");
        vm.assertEq(market.balance(address(wallet), NATIVE), FEE, "the fee is the submitter's");
    }

    function test_submitter_thatRefusesMoneyBlocksNoReopening() public {
        t.holdSeconds = 1 hours;
        t.disputeBond = DISPUTE_BOND;
        t.submitter = address(wallet);
        _walletOpens();
        _assign(t, NODE, 1);
        _settle(t, NODE_KEY, 1);
        _walletDisputes();
        wallet.refuseMoney();
        _rule(t, IJobMarket.Ruling.Reopen);
        _assertState(_id(t), IJobMarket.State.Open);
        vm.assertEq(market.balance(address(wallet), NATIVE), DISPUTE_BOND, "credit");
        wallet.act(abi.encodeCall(IJobMarket.cancel, (t)));
        vm.assertEq(market.balance(address(wallet), NATIVE), BOUNTY + DISPUTE_BOND, "credit");
    }

    /* THE PROVIDER */

    function test_provider_stakesReleasesAndIsPaid() public {
        _walletProvides(BOND);
        t.bond = BOND;
        _open(t);
        _assignWithTerms(t, WALLET_NODE_KEY, 1);
        vm.assertEq(market.balance(address(wallet), NATIVE), 0, "locked");
        wallet.act(abi.encodeCall(IJobMarket.release, (t, _noSignature())));
        vm.assertEq(market.balance(address(wallet), NATIVE), BOND, "unlocked");
        _assignWithTerms(t, WALLET_NODE_KEY, 2);
        _settle(t, WALLET_NODE_KEY, 2);
        vm.assertEq(address(wallet).balance, BOUNTY - FEE, "paid by push");
        vm.assertEq(market.balance(address(wallet), NATIVE), BOND, "unlocked again");
        wallet.act(abi.encodeCall(IJobMarket.withdraw, (NATIVE, address(wallet), BOND)));
        vm.assertEq(address(wallet).balance, BOUNTY - FEE + BOND, "withdrawn");
    }

    function test_provider_thatRefusesMoneyIsCreditedBesideItsBond() public {
        _walletProvides(BOND);
        t.bond = BOND;
        _open(t);
        _assignWithTerms(t, WALLET_NODE_KEY, 1);
        wallet.refuseMoney();
        vm.recordLogs();
        _settle(t, WALLET_NODE_KEY, 1);
        _assertEvents("Settled Paid Credited Credited");
        vm.assertEq(market.balance(address(wallet), NATIVE), BOUNTY - FEE + BOND, "both");
        vm.assertEq(SCHEDULER.balance, FEE, "the scheduler is paid");
        (, uint128 limit, uint128 used) = market.approval(address(wallet), SCHEDULER, NATIVE);
        vm.assertEq(limit, BOND, "limit");
        vm.assertEq(used, 0, "used");
        // What could not be pushed can be locked as a bond like any balance.
        t.salt = keccak256("another");
        t.bond = BOUNTY - FEE + BOND;
        wallet.act(abi.encodeCall(IJobMarket.approveScheduler, (SCHEDULER, NATIVE, t.bond)));
        _open(t);
        _assignWithTerms(t, WALLET_NODE_KEY, 1);
        vm.assertEq(market.balance(address(wallet), NATIVE), 0, "locked");
    }

    /// @dev Nodes sign for every result, so they are keys; a contract cannot be one, whatever it says.
    function test_provider_cannotEnrollAContractAsItsNode() public {
        wallet.setMood(SigningWallet.Mood.SayYes);
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        vm.prank(PROVIDER);
        market.enroll(address(wallet), START, _signEnroll(OWNER_KEY, PROVIDER, START));
    }

    /* THE SCHEDULER */

    function test_scheduler_worksAndIsPaid() public {
        t.scheduler = address(wallet);
        vm.prank(PROVIDER);
        market.approveScheduler(address(wallet), NATIVE, 0);
        bytes32 id = _open(t);
        wallet.act(abi.encodeCall(IJobMarket.assign, (id, NODE, 1)));
        wallet.act(abi.encodeCall(IJobMarket.settle, (t, RECEIPT, _signResult(NODE_KEY, id, 1))));
        vm.assertEq(address(wallet).balance, FEE, "fee");
        vm.assertEq(PROVIDER.balance, BOUNTY - FEE, "paid");
    }

    function test_scheduler_thatRefusesMoneyIsCredited() public {
        (t.scheduler, t.disputeBond) = (address(wallet), DISPUTE_BOND);
        vm.prank(PROVIDER);
        market.approveScheduler(address(wallet), NATIVE, 0);
        bytes32 id = _open(t);
        wallet.act(abi.encodeCall(IJobMarket.assign, (id, NODE, 1)));
        _publish(t, NODE_KEY, 1);
        _walletDisputes();
        wallet.refuseMoney();
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(address(wallet), NATIVE, DISPUTE_BOND);
        _rule(t, IJobMarket.Ruling.Reopen);
        _assertEvents("Ruled Credited");
        wallet.act(abi.encodeCall(IJobMarket.assign, (id, NODE, 2)));
        wallet.act(abi.encodeCall(IJobMarket.settle, (t, RECEIPT, _signResult(NODE_KEY, id, 2))));
        vm.assertEq(market.balance(address(wallet), NATIVE), DISPUTE_BOND + FEE, "credit");
        vm.assertEq(PROVIDER.balance, BOUNTY - FEE, "paid");
    }

    /* THE ARBITER */

    function test_arbiter_rules() public {
        (t.arbiter, t.holdSeconds, t.disputeBond) = (address(wallet), 1 hours, DISPUTE_BOND);
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _dispute(t, SUBMITTER);
        wallet.refuseMoney();
        wallet.act(abi.encodeCall(IJobMarket.rule, (t, IJobMarket.Ruling.Pay)));
        vm.assertEq(PROVIDER.balance, BOUNTY - FEE + DISPUTE_BOND, "paid");
        vm.assertEq(SCHEDULER.balance, FEE, "fee");
        vm.assertEq(market.balance(address(wallet), NATIVE), 0, "an arbiter gets nothing");
        vm.assertEq(address(wallet).balance, 0, "an arbiter gets nothing");
    }

    /* STEPS */

    /// @dev An order over two jobs of the wallet, signed by its owner, and the money for more.
    function _walletOrder() private returns (Batch memory b) {
        t.submitter = address(wallet);
        b = _batch(t, 2, NODE);
        b.signature = _signOrder(OWNER_KEY, b.order);
        uint256 held = market.balance(address(wallet), NATIVE);
        _walletActs(HELD - held, abi.encodeCall(IJobMarket.deposit, (NATIVE, HELD - held)));
    }

    function _walletOpens() private {
        _walletActs(t.bounty, abi.encodeCall(IJobMarket.open, (t)));
    }

    function _walletDisputes() private {
        _walletActs(t.disputeBond, abi.encodeCall(IJobMarket.dispute, (t)));
    }

    function _walletProvides(uint128 bond) private {
        IJobMarket.Signature memory s = _signEnroll(WALLET_NODE_KEY, address(wallet), _now());
        wallet.act(abi.encodeCall(IJobMarket.enroll, (vm.addr(WALLET_NODE_KEY), _now(), s)));
        wallet.act(abi.encodeCall(IJobMarket.approveScheduler, (SCHEDULER, NATIVE, bond)));
        _walletActs(bond, abi.encodeCall(IJobMarket.deposit, (NATIVE, bond)));
    }

    function _walletActs(uint256 value, bytes memory data) private {
        vm.deal(address(this), value);
        wallet.act{value: value}(data);
    }

    function _refused(Batch memory b) private {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadOrderSignature.selector, address(wallet)));
        _openMany(b, SCHEDULER);
    }

    /// @dev The wallet's balance, and that nobody else's has changed.
    function _assertWallet(uint256 held) private view {
        vm.assertEq(market.balance(address(wallet), NATIVE), held, "wallet");
        _assertInMarket(NATIVE, HELD, 0, 0, 0);
    }
}
