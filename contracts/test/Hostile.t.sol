// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "solady/utils/ReentrancyGuard.sol";

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";
import {MoodyWallet} from "./mocks/HostileReceivers.sol";
import {
    FalseToken,
    FeeOnTransferToken,
    HookDepositor,
    HookToken,
    MoodyToken,
    SilentToken
} from "./mocks/HostileTokens.sol";

/// @notice Receivers and tokens that revert, burn gas, lie or re-enter block nobody else and gain nothing; what
/// could not be pushed can be withdrawn.
contract HostileTest is Steps {
    uint256 private constant WALLET_NODE_KEY = 0xD0DE;

    MoodyWallet private wallet;

    function setUp() public override {
        super.setUp();
        wallet = new MoodyWallet(market);
        IJobMarket.Signature memory s = _signEnroll(WALLET_NODE_KEY, address(wallet), _now());
        wallet.act(abi.encodeCall(IJobMarket.enroll, (vm.addr(WALLET_NODE_KEY), _now(), s)));
        wallet.act(abi.encodeCall(IJobMarket.approveScheduler, (SCHEDULER, NATIVE, 0)));
    }

    /* RECEIVERS */

    function test_contractWalletsArePaidByPush() public {
        _settleForWallet(MoodyWallet.Mood.Count);
        vm.assertEq(address(wallet).balance, BOUNTY - FEE, "paid");
        vm.assertEq(wallet.received(), 1, "its code ran");
        _assertBalances(NATIVE, 0, 0, FEE, 0);
    }

    function test_providersThatRefuseBlockNobody() public {
        MoodyWallet.Mood[3] memory moods =
            [MoodyWallet.Mood.Revert, MoodyWallet.Mood.BurnGas, MoodyWallet.Mood.FloodReturnData];
        for (uint256 i; i < moods.length; ++i) {
            _settleForWallet(moods[i]);
            uint256 jobs = i + 1;
            vm.assertEq(SCHEDULER.balance, jobs * FEE, "the scheduler is paid all the same");
            vm.assertEq(market.balance(address(wallet), NATIVE), jobs * (BOUNTY - FEE), "balance");
            vm.assertEq(address(market).balance, jobs * (BOUNTY - FEE), "escrow");
            vm.assertEq(address(wallet).balance, 0, "not paid");
        }
    }

    function test_failedPushesAreAnnounced() public {
        IJobMarket.Terms memory t = _openAndAssignToWallet(MoodyWallet.Mood.Revert);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(address(wallet), NATIVE, BOUNTY - FEE);
        _settle(t, WALLET_NODE_KEY, 1);
    }

    /// @dev A receiver spends at most its share of gas, however much there is.
    function test_gasBurnersAreLimited() public {
        IJobMarket.Terms memory t = _openAndAssignToWallet(MoodyWallet.Mood.BurnGas);
        IJobMarket.Signature memory s = _signResult(WALLET_NODE_KEY, _id(t), 1);
        vm.prank(SCHEDULER);
        uint256 before = gasleft();
        market.settle{gas: 5_000_000}(t, RECEIPT, s);
        vm.assertLe(before - gasleft(), 250_000, "gas");
    }

    /// @dev Nobody can turn a payment into a credit by giving the call too little gas: it fails as a whole.
    function testFuzz_starvedPushesRevert(uint256 gas) public {
        IJobMarket.Terms memory t = _heldTerms();
        _open(t);
        _assign(t, vm.addr(WALLET_NODE_KEY), 1);
        _settle(t, WALLET_NODE_KEY, 1);
        vm.warp(START + t.holdSeconds + 1);
        wallet.setMood(MoodyWallet.Mood.Count);

        vm.prank(STRANGER);
        (bool ok,) =
            address(market).call{gas: _between(gas, 21_000, 300_000)}(abi.encodeCall(IJobMarket.claim, (t)));

        vm.assertEq(market.balance(address(wallet), NATIVE), 0, "credited");
        vm.assertEq(address(wallet).balance, ok ? BOUNTY - FEE : 0, "paid with the call or not at all");
    }

    function test_starvedPushSaysWhatItNeeds() public {
        IJobMarket.Terms memory t = _heldTerms();
        _open(t);
        _assign(t, vm.addr(WALLET_NODE_KEY), 1);
        _settle(t, WALLET_NODE_KEY, 1);
        vm.warp(START + t.holdSeconds + 1);
        // What the push may use, what the call may not forward of it (EIP-150), and the way there.
        _starves(t, 80_000, 50_000 * uint256(64) / 63 + 15_000);

        t = _tokenTerms(address(token));
        t.holdSeconds = 2 hours;
        t.deadline = _now() + 1 days;
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        vm.warp(_now() + t.holdSeconds + 1);
        _starves(t, 180_000, 150_000 * uint256(64) / 63 + 15_000);
    }

    /// @dev Where no code runs at the receivers there is nothing to starve, and nothing extra to bring.
    function test_pushesToKeysNeedNoGasToSpare() public {
        (IJobMarket.Terms memory t, bytes32 id) = _openAndHold();
        vm.deal(PROVIDER, 1);
        vm.deal(SCHEDULER, 1);
        vm.warp(START + t.holdSeconds + 1);
        market.claim{gas: 60_000}(t);
        _assertState(id, IJobMarket.State.Paid);
        vm.assertEq(PROVIDER.balance, BOUNTY - FEE + 1, "paid");
        vm.assertEq(SCHEDULER.balance, FEE + 1, "paid");
    }

    function _starves(IJobMarket.Terms memory t, uint256 gas, uint256 required) private {
        (bool ok, bytes memory answer) = address(market).call{gas: gas}(abi.encodeCall(IJobMarket.claim, (t)));
        vm.assertFalse(ok, "went through");
        uint256 available;
        assembly ("memory-safe") {
            available := mload(add(answer, 0x24))
        }
        vm.assertEq(
            answer, abi.encodeWithSelector(IJobMarket.InsufficientGas.selector, available, required), "reason"
        );
        vm.assertLe(available + 1, required, "there was less than it takes");
        _assertState(_id(t), IJobMarket.State.Held);
    }

    /// @dev From inside a payment every verb behaves as after it: the job has ended and nothing can be had twice.
    function test_reenteringGainsNothing() public {
        IJobMarket.Terms memory other = _terms();
        other.salt = keccak256("other");
        _openAndAssign(other);
        IJobMarket.Terms memory t = _terms();
        wallet.setMood(MoodyWallet.Mood.Reenter);
        for (uint256 i; i < 7; ++i) {
            t.salt = bytes32(i);
            bytes32 id = _open(t);
            _assign(t, vm.addr(WALLET_NODE_KEY), 1);
            IJobMarket.Signature memory s = _signResult(WALLET_NODE_KEY, id, 1);
            _reenterWith(
                [
                    abi.encodeCall(IJobMarket.settle, (t, RECEIPT, s)),
                    abi.encodeCall(IJobMarket.publish, (t, RECEIPT, s)),
                    abi.encodeCall(IJobMarket.release, (t, s)),
                    abi.encodeCall(IJobMarket.claim, (t)),
                    abi.encodeCall(IJobMarket.refund, (t)),
                    abi.encodeCall(IJobMarket.claim, (other)),
                    abi.encodeCall(IJobMarket.withdraw, (NATIVE, address(wallet), BOUNTY - FEE))
                ][i]
            );
            _settle(t, WALLET_NODE_KEY, 1);
            vm.assertEq(address(wallet).balance, (i + 1) * (BOUNTY - FEE), "paid once");
            vm.assertEq(address(market).balance, BOUNTY, "the other job's bounty");
        }
        vm.assertEq(wallet.reentered(), 0, "a verb went through");
    }

    function test_reenteringAsTheSubmitterGainsNothing() public {
        _openAndAssign(_terms());
        wallet.setMood(MoodyWallet.Mood.Reenter);
        IJobMarket.Terms memory t = _terms();
        t.submitter = address(wallet);
        for (uint256 i; i < 5; ++i) {
            t.salt = bytes32(i);
            vm.deal(address(this), BOUNTY);
            wallet.act{value: BOUNTY}(abi.encodeCall(IJobMarket.open, (t)));
            _reenterWith(
                [
                    abi.encodeCall(IJobMarket.cancel, (t)),
                    abi.encodeCall(IJobMarket.open, (t)),
                    abi.encodeCall(IJobMarket.refund, (t)),
                    abi.encodeCall(IJobMarket.dispute, (t)),
                    abi.encodeCall(IJobMarket.withdraw, (NATIVE, address(wallet), 1))
                ][i]
            );
            wallet.act(abi.encodeCall(IJobMarket.cancel, (t)));
            vm.assertEq(address(wallet).balance, (i + 1) * uint256(BOUNTY), "returned once");
            vm.assertEq(address(market).balance, BOUNTY, "the other job's bounty");
        }
        vm.assertEq(wallet.reentered(), 0, "a verb went through");
    }

    /// @dev Even an arbiter that is the provider as well rules once.
    function test_reenteringAsTheArbiterGainsNothing() public {
        _openAndAssign(_terms());
        IJobMarket.Terms memory t = _heldTerms();
        (t.arbiter, t.disputeBond) = (address(wallet), DISPUTE_BOND);
        bytes32 id = _open(t);
        _assign(t, vm.addr(WALLET_NODE_KEY), 1);
        _settle(t, WALLET_NODE_KEY, 1);
        _dispute(t, SUBMITTER);
        _reenterWith(abi.encodeCall(IJobMarket.rule, (t, IJobMarket.Ruling.Pay)));
        wallet.setMood(MoodyWallet.Mood.Reenter);
        wallet.act(abi.encodeCall(IJobMarket.rule, (t, IJobMarket.Ruling.Pay)));
        vm.assertEq(wallet.reentered(), 0, "ruled twice");
        _assertState(id, IJobMarket.State.Paid);
        vm.assertEq(address(wallet).balance, BOUNTY - FEE + DISPUTE_BOND, "paid once");
        vm.assertEq(address(market).balance, BOUNTY, "the other job's bounty");
    }

    /// @dev The guard is on deposits of tokens only, so a receiver may use the market like anybody else.
    function test_reenteringMayStartWork() public {
        IJobMarket.Terms memory other = _terms();
        other.salt = keccak256("other");
        other.scheduler = address(wallet);
        _open(other);
        vm.prank(PROVIDER);
        market.approveScheduler(address(wallet), NATIVE, 0);
        IJobMarket.Terms memory t = _openAndAssignToWallet(MoodyWallet.Mood.Reenter);
        _reenterWith(abi.encodeCall(IJobMarket.assign, (_id(other), NODE, 1)));
        _settle(t, WALLET_NODE_KEY, 1);
        _assertState(_id(other), IJobMarket.State.Assigned);
        vm.assertEq(address(wallet).balance, BOUNTY - FEE, "paid once");
    }

    /// @dev A credit is gone before its money moves.
    function test_withdrawingTwiceFromInsideGainsNothing() public {
        _settleForWallet(MoodyWallet.Mood.Revert);
        _openAndAssign(_terms());
        _reenterWith(abi.encodeCall(IJobMarket.withdraw, (NATIVE, address(wallet), BOUNTY - FEE)));
        wallet.setMood(MoodyWallet.Mood.Reenter);
        wallet.act(abi.encodeCall(IJobMarket.withdraw, (NATIVE, address(wallet), BOUNTY - FEE)));

        vm.assertEq(wallet.reentered(), 0, "withdrawn twice");
        vm.assertEq(address(wallet).balance, BOUNTY - FEE, "withdrawn once");
        vm.assertEq(address(market).balance, BOUNTY, "the other job's bounty");
    }

    function test_submittersThatRefuseGetACredit() public {
        IJobMarket.Terms memory t = _terms();
        t.submitter = address(wallet);
        vm.deal(address(this), BOUNTY);
        wallet.act{value: BOUNTY}(abi.encodeCall(IJobMarket.open, (t)));
        wallet.setMood(MoodyWallet.Mood.Revert);
        vm.warp(t.deadline + 1);
        market.refund(t);
        vm.assertEq(market.balance(address(wallet), NATIVE), BOUNTY, "balance");
    }

    function test_theMarketTakesNoGifts() public {
        vm.deal(STRANGER, 1);
        vm.prank(STRANGER);
        (bool ok,) = address(market).call{value: 1}("");
        vm.assertFalse(ok, "accepted");
    }

    /* WITHDRAW */

    function test_withdraw_toAnotherRecipient() public {
        _settleForWallet(MoodyWallet.Mood.Revert);
        vm.expectEmit(address(market));
        emit IJobMarket.Withdrawn(address(wallet), NATIVE, STRANGER, BOUNTY - FEE);
        wallet.act(abi.encodeCall(IJobMarket.withdraw, (NATIVE, STRANGER, BOUNTY - FEE)));
        vm.assertEq(STRANGER.balance, BOUNTY - FEE, "withdrawn");
        vm.assertEq(market.balance(address(wallet), NATIVE), 0, "balance");
        vm.assertEq(address(market).balance, 0, "escrow");
    }

    function test_withdraw_refusesWithoutCreditOrRecipient() public {
        _settleForWallet(MoodyWallet.Mood.Revert);
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.InsufficientBalance.selector, STRANGER, NATIVE, 0, 1)
        );
        vm.prank(STRANGER);
        market.withdraw(NATIVE, STRANGER, 1);
        _withdrawFails(
            address(token),
            STRANGER,
            abi.encodeWithSelector(
                IJobMarket.InsufficientBalance.selector,
                address(wallet),
                address(token),
                0,
                uint256(BOUNTY - FEE)
            )
        );
        _withdrawFails(
            NATIVE, address(0), abi.encodeWithSelector(IJobMarket.InvalidRecipient.selector, address(0))
        );
        _withdrawFails(
            NATIVE,
            address(market),
            abi.encodeWithSelector(IJobMarket.InvalidRecipient.selector, address(market))
        );
        // The wallet still refuses the native coin: nothing is lost.
        _withdrawFails(
            NATIVE,
            address(wallet),
            abi.encodeWithSelector(IJobMarket.WithdrawFailed.selector, NATIVE, address(wallet), BOUNTY - FEE)
        );
        vm.assertEq(market.balance(address(wallet), NATIVE), BOUNTY - FEE, "balance");
    }

    /* TOKENS */

    function test_silentTokensWork() public {
        address silent = address(new SilentToken());
        IJobMarket.Terms memory t = _tokenTerms(silent);
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _assertBalances(silent, 0, BOUNTY - FEE, FEE, 0);
    }

    function test_tokensThatKeepAShareAreRefused() public {
        FeeOnTransferToken greedy = new FeeOnTransferToken();
        IJobMarket.Terms memory t = _tokenTerms(address(greedy));
        _fund(t);
        _openFails(
            t,
            abi.encodeWithSelector(
                IJobMarket.TokenAmountMismatch.selector,
                greedy,
                uint256(BOUNTY) - BOUNTY / 100,
                uint256(BOUNTY)
            )
        );
        _assertBalances(address(greedy), BOUNTY, 0, 0, 0);
    }

    function test_tokensThatSayFalseAreRefused() public {
        FalseToken liar = new FalseToken();
        IJobMarket.Terms memory t = _tokenTerms(address(liar));
        _fund(t);
        liar.setBlocked(SUBMITTER, true);
        _openFails(
            t,
            abi.encodeWithSelector(IJobMarket.TransferFromFailed.selector, liar, SUBMITTER, uint256(BOUNTY))
        );
    }

    function test_addressesWithoutCodeAreNoTokens() public {
        IJobMarket.Terms memory t = _tokenTerms(STRANGER);
        _openFails(
            t,
            abi.encodeWithSelector(
                IJobMarket.TransferFromFailed.selector, STRANGER, SUBMITTER, uint256(BOUNTY)
            )
        );
    }

    /// @dev The market as its own token, or a contract that is none, has no balance to tell.
    function test_otherContractsAreNoTokens() public {
        IJobMarket.Terms memory t = _tokenTerms(address(market));
        _openFails(
            t,
            abi.encodeWithSelector(
                IJobMarket.TransferFromFailed.selector, address(market), SUBMITTER, uint256(BOUNTY)
            )
        );
    }

    function test_blockedReceiversBlockNobody() public {
        FalseToken blocking = new FalseToken();
        IJobMarket.Terms memory t = _tokenTerms(address(blocking));
        _openAndAssign(t);
        blocking.setBlocked(PROVIDER, true);
        _settle(t, NODE_KEY, 1);
        _assertBalances(address(blocking), 0, 0, FEE, BOUNTY - FEE);
        vm.assertEq(market.balance(PROVIDER, address(blocking)), BOUNTY - FEE, "balance");

        vm.expectRevert(
            abi.encodeWithSelector(
                IJobMarket.WithdrawFailed.selector, blocking, PROVIDER, uint256(BOUNTY - FEE)
            )
        );
        vm.prank(PROVIDER);
        market.withdraw(address(blocking), PROVIDER, BOUNTY - FEE);

        vm.prank(PROVIDER);
        market.withdraw(address(blocking), NODE, BOUNTY - FEE);
        vm.assertEq(blocking.balanceOf(NODE), BOUNTY - FEE, "withdrawn");
        vm.assertEq(market.balance(PROVIDER, address(blocking)), 0, "balance");
    }

    /// @dev Whatever a token does at payment, the job ends, the call stays cheap, and the money is a credit.
    function test_tokensThatMisbehaveAtPayment() public {
        for (uint8 mood = 1; mood <= uint8(type(MoodyToken.Mood).max); ++mood) {
            MoodyToken moody = new MoodyToken();
            IJobMarket.Terms memory t = _tokenTerms(address(moody));
            bytes32 id = _openAndAssign(t);
            moody.setMood(MoodyToken.Mood(mood));
            IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
            vm.prank(SCHEDULER);
            uint256 before = gasleft();
            market.settle{gas: 5_000_000}(t, RECEIPT, s);
            vm.assertLe(before - gasleft(), 600_000, "gas");

            _assertState(id, IJobMarket.State.Paid);
            vm.assertEq(market.balance(PROVIDER, address(moody)), BOUNTY - FEE, "provider's balance");
            vm.assertEq(market.balance(SCHEDULER, address(moody)), FEE, "scheduler's balance");
            moody.setMood(MoodyToken.Mood.Calm);
            vm.prank(PROVIDER);
            market.withdraw(address(moody), PROVIDER, BOUNTY - FEE);
            vm.assertEq(moody.balanceOf(PROVIDER), BOUNTY - FEE, "withdrawn");
            vm.assertEq(moody.balanceOf(address(market)), FEE, "escrow");
        }
    }

    function test_destroyedTokensBlockNobody() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        bytes32 id = _openAndAssign(t);
        vm.etch(address(token), "");
        _settle(t, NODE_KEY, 1);
        _assertState(id, IJobMarket.State.Paid);
        vm.assertEq(market.balance(PROVIDER, address(token)), BOUNTY - FEE, "balance");
    }

    /// @dev Else the inner deposit's money would be seen by both.
    function test_oneDepositIsNotCountedTwice() public {
        (HookToken hooked, HookDepositor depositor) = _hooked(BOUNTY);
        IJobMarket.Terms memory t = _tokenTerms(address(hooked));
        t.submitter = address(depositor);
        bytes[2] memory outer = [
            abi.encodeCall(IJobMarket.deposit, (address(hooked), BOUNTY)),
            abi.encodeCall(IJobMarket.open, (t))
        ];
        t.salt = keccak256("inner");
        bytes[2] memory inner = [
            abi.encodeCall(IJobMarket.deposit, (address(hooked), BOUNTY)),
            abi.encodeCall(IJobMarket.open, (t))
        ];
        t.salt = _terms().salt;
        for (uint256 i; i < 4; ++i) {
            uint256 snapshot = vm.snapshotState();
            depositor.act(outer[i / 2], inner[i % 2]);
            vm.assertFalse(depositor.innerOk(), "counted twice");
            vm.assertEq(
                depositor.innerAnswer(),
                abi.encodeWithSelector(ReentrancyGuard.Reentrancy.selector),
                "the inner deposit's reason"
            );
            bool opened = i / 2 == 1;
            _assertState(_id(t), opened ? IJobMarket.State.Open : IJobMarket.State.None);
            vm.assertEq(market.balance(address(depositor), address(hooked)), opened ? 0 : BOUNTY, "balance");
            vm.assertEq(hooked.balanceOf(address(market)), BOUNTY, "escrow");
            vm.revertToState(snapshot);
        }
    }

    /// @dev The balance is there before the money is, but whoever takes it out meanwhile has brought nothing.
    function test_depositsCannotBeWithdrawnBeforeTheyArrive() public {
        (HookToken hooked, HookDepositor depositor) = _hooked(BOUNTY);
        _deposit(STRANGER, address(hooked), BOUNTY);
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.TokenAmountMismatch.selector, hooked, 0, uint256(BOUNTY))
        );
        depositor.act(
            abi.encodeCall(IJobMarket.deposit, (address(hooked), BOUNTY)),
            abi.encodeCall(IJobMarket.withdraw, (address(hooked), address(depositor), BOUNTY))
        );
        vm.assertEq(market.balance(address(depositor), address(hooked)), 0, "nothing deposited");
        vm.assertEq(hooked.balanceOf(address(depositor)), BOUNTY, "nothing won");
        vm.assertEq(hooked.balanceOf(address(market)), BOUNTY, "the stranger's deposit");
    }

    function test_bountiesCannotBeCancelledBeforeTheyArrive() public {
        (HookToken hooked, HookDepositor depositor) = _hooked(BOUNTY);
        _deposit(STRANGER, address(hooked), BOUNTY);
        IJobMarket.Terms memory t = _tokenTerms(address(hooked));
        t.submitter = address(depositor);
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.TokenAmountMismatch.selector, hooked, 0, uint256(BOUNTY))
        );
        depositor.act(abi.encodeCall(IJobMarket.open, (t)), abi.encodeCall(IJobMarket.cancel, (t)));
        _assertState(_id(t), IJobMarket.State.None);
        vm.assertEq(hooked.balanceOf(address(market)), BOUNTY, "the stranger's deposit");
    }

    /* STEPS */

    function _hooked(uint256 amount) private returns (HookToken hooked, HookDepositor depositor) {
        hooked = new HookToken();
        depositor = new HookDepositor(market);
        hooked.mint(address(depositor), amount);
    }

    function _reenterWith(bytes memory data) private {
        address holder = vm.addr(0xDA7A);
        vm.etch(holder, data);
        wallet.setCall(holder);
    }

    function _openAndAssignToWallet(MoodyWallet.Mood mood) private returns (IJobMarket.Terms memory t) {
        t = _terms();
        t.salt = keccak256(abi.encode("wallet", mood));
        _open(t);
        _assign(t, vm.addr(WALLET_NODE_KEY), 1);
        wallet.setMood(mood);
    }

    function _settleForWallet(MoodyWallet.Mood mood) private {
        _settle(_openAndAssignToWallet(mood), WALLET_NODE_KEY, 1);
    }

    function _withdrawFails(address token_, address to, bytes memory error_) private {
        vm.expectRevert(error_);
        wallet.act(abi.encodeCall(IJobMarket.withdraw, (token_, to, BOUNTY - FEE)));
    }

    function _openFails(IJobMarket.Terms memory t, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(SUBMITTER);
        market.open(t);
    }
}
