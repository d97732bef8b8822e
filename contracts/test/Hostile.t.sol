// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";
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
contract HostileTest is Base {
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
        vm.expectPartialRevert(IJobMarket.InsufficientGas.selector);
        market.claim{gas: 80_000}(t);
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

    function test_oneDepositIsNotCountedTwice() public {
        HookToken hooked = new HookToken();
        HookDepositor depositor = new HookDepositor(market);
        hooked.mint(address(depositor), BOUNTY);
        IJobMarket.Terms memory outer = _tokenTerms(address(hooked));
        outer.submitter = address(depositor);
        IJobMarket.Terms memory inner = abi.decode(abi.encode(outer), (IJobMarket.Terms));
        inner.salt = keccak256("inner");

        // The inner deposit is refused, which fails the token's transfer, which fails the outer deposit.
        vm.expectPartialRevert(IJobMarket.TransferFromFailed.selector);
        depositor.open(outer, inner);

        _assertState(_id(outer), IJobMarket.State.None);
        _assertState(_id(inner), IJobMarket.State.None);
    }

    /* STEPS */

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
