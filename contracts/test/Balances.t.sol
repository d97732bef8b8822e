// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";
import {FalseToken, FeeOnTransferToken, GenerousToken, SilentToken} from "./mocks/HostileTokens.sol";

/// @notice `deposit`, `withdraw`, and the verbs that bring a permit: what comes in is measured, and only its owner gets
/// it out.
contract BalancesTest is Steps {
    uint256 private constant AMOUNT = 3 ether;

    /* DEPOSIT */

    function test_deposit_coin() public {
        vm.deal(SUBMITTER, 4 ether);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Deposited(SUBMITTER, NATIVE, AMOUNT);
        vm.prank(SUBMITTER);
        market.deposit{value: AMOUNT}(NATIVE, AMOUNT);
        _assertEvents("Deposited");
        _assertInMarket(NATIVE, AMOUNT, 0, 0, 0);
        _assertInMarket(address(token), 0, 0, 0, 0);
        _assertBalances(NATIVE, 1 ether, 0, 0, AMOUNT);
    }

    function test_deposit_tokens() public {
        token.mint(SUBMITTER, 4 ether);
        vm.prank(SUBMITTER);
        token.approve(address(market), AMOUNT);
        vm.expectEmit(address(market));
        emit IJobMarket.Deposited(SUBMITTER, address(token), AMOUNT);
        vm.prank(SUBMITTER);
        market.deposit(address(token), AMOUNT);
        _assertInMarket(address(token), AMOUNT, 0, 0, 0);
        _assertInMarket(NATIVE, 0, 0, 0, 0);
        _assertBalances(address(token), 1 ether, 0, 0, AMOUNT);
    }

    function test_deposit_addsUpForEachOwner() public {
        _deposit(SUBMITTER, NATIVE, 1);
        _deposit(PROVIDER, NATIVE, 2);
        _deposit(SUBMITTER, NATIVE, 4);
        _deposit(SCHEDULER, NATIVE, 8);
        _deposit(OTHER_PROVIDER, address(token), 16);
        _assertInMarket(NATIVE, 5, 2, 0, 8);
        _assertInMarket(address(token), 0, 0, 16, 0);
    }

    function test_deposit_ofNothing() public {
        vm.expectEmit(address(market));
        emit IJobMarket.Deposited(STRANGER, STRANGER, 0);
        vm.prank(STRANGER);
        market.deposit(STRANGER, 0);
        vm.assertEq(market.balance(STRANGER, STRANGER), 0, "balance");
    }

    function test_deposit_refusesWrongValues() public {
        vm.deal(SUBMITTER, 1 ether);
        _depositFails(NATIVE, 5, 4, abi.encodeWithSelector(IJobMarket.WrongValue.selector, 4, 5));
        _depositFails(NATIVE, 5, 6, abi.encodeWithSelector(IJobMarket.WrongValue.selector, 6, 5));
        _depositFails(NATIVE, 5, 0, abi.encodeWithSelector(IJobMarket.WrongValue.selector, 0, 5));
        _depositFails(NATIVE, 0, 1, abi.encodeWithSelector(IJobMarket.WrongValue.selector, 1, 0));
        token.mint(SUBMITTER, 5);
        vm.prank(SUBMITTER);
        token.approve(address(market), 5);
        _depositFails(address(token), 5, 5, abi.encodeWithSelector(IJobMarket.WrongValue.selector, 5, 0));
        _assertBalances(NATIVE, 1 ether, 0, 0, 0);
        _assertBalances(address(token), 5, 0, 0, 0);
    }

    function test_deposit_refusesTokensThatDoNotMove() public {
        _depositFails(address(token), 5, 0, _transferFailed(address(token), 5));
        token.mint(SUBMITTER, 5);
        _depositFails(address(token), 5, 0, _transferFailed(address(token), 5));
        vm.prank(SUBMITTER);
        token.approve(address(market), 6);
        _depositFails(address(token), 6, 0, _transferFailed(address(token), 6));
        // No code, no token, and a token that says no.
        _depositFails(STRANGER, 5, 0, _transferFailed(STRANGER, 5));
        _depositFails(address(market), 5, 0, _transferFailed(address(market), 5));
        FalseToken liar = new FalseToken();
        _give(SUBMITTER, address(liar), 5);
        liar.setBlocked(SUBMITTER, true);
        _depositFails(address(liar), 5, 0, _transferFailed(address(liar), 5));
    }

    function test_deposit_refusesTokensThatMoveAnotherAmount() public {
        address greedy = address(new FeeOnTransferToken());
        _give(SUBMITTER, greedy, 300);
        _depositFails(greedy, 300, 0, _mismatch(greedy, 297, 300));
        address generous = address(new GenerousToken());
        _give(SUBMITTER, generous, 300);
        _depositFails(generous, 300, 0, _mismatch(generous, 301, 300));
        IJobMarket.Terms memory t = _tokenTerms(generous);
        (t.bounty, t.fee) = (300, 0);
        vm.expectRevert(_mismatch(generous, 301, 300));
        vm.prank(SUBMITTER);
        market.open(t);
        _assertBalances(greedy, 300, 0, 0, 0);
        _assertBalances(generous, 300, 0, 0, 0);
    }

    function test_deposit_tokensThatReturnNothing() public {
        address silent = address(new SilentToken());
        _deposit(SUBMITTER, silent, AMOUNT);
        _assertInMarket(silent, AMOUNT, 0, 0, 0);
        vm.prank(SUBMITTER);
        market.withdraw(silent, SUBMITTER, AMOUNT);
        _assertInMarket(silent, 0, 0, 0, 0);
        _assertBalances(silent, AMOUNT, 0, 0, 0);
    }

    /* WITHDRAW */

    function test_withdraw_someToAnyone() public {
        _deposit(SUBMITTER, NATIVE, AMOUNT);
        _deposit(PROVIDER, NATIVE, 1 ether);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Withdrawn(SUBMITTER, NATIVE, SCHEDULER, 1 ether);
        vm.prank(SUBMITTER);
        market.withdraw(NATIVE, SCHEDULER, 1 ether);
        _assertEvents("Withdrawn");
        _assertInMarket(NATIVE, AMOUNT - 1 ether, 1 ether, 0, 0);
        _assertBalances(NATIVE, 0, 0, 1 ether, AMOUNT);
    }

    function test_withdraw_tokens() public {
        _deposit(SUBMITTER, address(token), AMOUNT);
        vm.expectEmit(address(market));
        emit IJobMarket.Withdrawn(SUBMITTER, address(token), SUBMITTER, AMOUNT);
        vm.prank(SUBMITTER);
        market.withdraw(address(token), SUBMITTER, AMOUNT);
        _assertInMarket(address(token), 0, 0, 0, 0);
        _assertBalances(address(token), AMOUNT, 0, 0, 0);
    }

    function test_withdraw_toTheWei() public {
        _deposit(SUBMITTER, NATIVE, AMOUNT);
        _deposit(PROVIDER, NATIVE, AMOUNT);
        _withdrawFails(NATIVE, SUBMITTER, AMOUNT + 1, _insufficient(NATIVE, AMOUNT, AMOUNT + 1));
        _withdrawFails(NATIVE, SUBMITTER, type(uint256).max, _insufficient(NATIVE, AMOUNT, type(uint256).max));
        _withdrawFails(address(token), SUBMITTER, 1, _insufficient(address(token), 0, 1));
        vm.prank(SUBMITTER);
        market.withdraw(NATIVE, SUBMITTER, AMOUNT);
        _withdrawFails(NATIVE, SUBMITTER, 1, _insufficient(NATIVE, 0, 1));
        _assertInMarket(NATIVE, 0, AMOUNT, 0, 0);
        _assertBalances(NATIVE, AMOUNT, 0, 0, AMOUNT);
    }

    function test_withdraw_ofNothing() public {
        vm.expectEmit(address(market));
        emit IJobMarket.Withdrawn(STRANGER, NATIVE, SUBMITTER, 0);
        vm.prank(STRANGER);
        market.withdraw(NATIVE, SUBMITTER, 0);
        _assertBalances(NATIVE, 0, 0, 0, 0);
    }

    function test_withdraw_refusesToNobodyAndToTheMarket() public {
        _deposit(SUBMITTER, NATIVE, AMOUNT);
        address[2] memory recipients = [address(0), address(market)];
        for (uint256 i; i < recipients.length; ++i) {
            _withdrawFails(
                NATIVE,
                recipients[i],
                1,
                abi.encodeWithSelector(IJobMarket.InvalidRecipient.selector, recipients[i])
            );
        }
        _assertInMarket(NATIVE, AMOUNT, 0, 0, 0);
    }

    function test_withdraw_thatFailsLeavesTheBalance() public {
        FalseToken blocking = new FalseToken();
        _deposit(SUBMITTER, address(blocking), AMOUNT);
        blocking.setBlocked(SUBMITTER, true);
        _withdrawFails(
            address(blocking),
            SUBMITTER,
            AMOUNT,
            abi.encodeWithSelector(IJobMarket.WithdrawFailed.selector, blocking, SUBMITTER, AMOUNT)
        );
        _assertInMarket(address(blocking), AMOUNT, 0, 0, 0);
        vm.prank(SUBMITTER);
        market.withdraw(address(blocking), SCHEDULER, AMOUNT);
        _assertBalances(address(blocking), 0, 0, AMOUNT, 0);
    }

    /// @dev Whatever two owners do, each can take out what it paid in, and never more.
    function testFuzz_ownersDoNotTouchEachOther(uint96[6] calldata amounts, uint256 seed) public {
        uint256[2] memory held;
        uint256[2] memory out;
        address[2] memory owners = [SUBMITTER, SCHEDULER];
        for (uint256 i; i < amounts.length; ++i) {
            uint256 who = seed >> i & 1;
            if (seed >> (32 + i) & 1 == 0) {
                _deposit(owners[who], NATIVE, amounts[i]);
                held[who] += amounts[i];
            } else {
                vm.prank(owners[who]);
                (bool ok,) = address(market)
                    .call(abi.encodeCall(IJobMarket.withdraw, (NATIVE, owners[who], amounts[i])));
                vm.assertTrue(ok == (amounts[i] <= held[who]), "what is there and nothing else");
                if (ok) (held[who], out[who]) = (held[who] - amounts[i], out[who] + amounts[i]);
            }
            _assertInMarket(NATIVE, held[0], 0, 0, held[1]);
            _assertBalances(NATIVE, out[0], 0, out[1], held[0] + held[1]);
        }
    }

    /* PERMITS */

    function test_depositWithPermit() public {
        token.mint(SUBMITTER, AMOUNT);
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, AMOUNT, START);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Deposited(SUBMITTER, address(token), AMOUNT);
        vm.prank(SUBMITTER);
        market.depositWithPermit(address(token), AMOUNT, p);
        _assertEvents("Deposited");
        vm.assertEq(token.nonces(SUBMITTER), 1, "used");
        vm.assertEq(token.allowance(SUBMITTER, address(market)), 0, "nothing is left of it");
        _assertInMarket(address(token), AMOUNT, 0, 0, 0);
        _assertBalances(address(token), 0, 0, 0, AMOUNT);
    }

    function test_openWithPermit() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        token.mint(SUBMITTER, AMOUNT);
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, BOUNTY, START);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Opened(_id(t), SUBMITTER, t);
        vm.prank(SUBMITTER);
        bytes32 id = market.openWithPermit(t, p);
        _assertEvents("Opened");
        vm.assertEq(id, _id(t), "id");
        _assertJob(id, IJobMarket.State.Open, address(0), START, 0, 0, 0);
        _assertBalances(address(token), AMOUNT - BOUNTY, 0, 0, BOUNTY);
        vm.assertEq(token.allowance(SUBMITTER, address(market)), 0, "nothing is left of it");
    }

    /// @dev Whoever sees a permit on its way can use it first. That only sets the allowance that the call needs.
    function test_permit_thatSomebodyUsedFirst() public {
        token.mint(SUBMITTER, AMOUNT + BOUNTY);
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, AMOUNT, START);
        vm.prank(STRANGER);
        token.permit(SUBMITTER, address(market), AMOUNT, p.deadline, p.v, p.r, p.s);
        vm.prank(SUBMITTER);
        market.depositWithPermit(address(token), AMOUNT, p);
        _assertInMarket(address(token), AMOUNT, 0, 0, 0);

        IJobMarket.Terms memory t = _tokenTerms(address(token));
        p = _permit(SUBMITTER_KEY, BOUNTY, START);
        vm.prank(STRANGER);
        token.permit(SUBMITTER, address(market), BOUNTY, p.deadline, p.v, p.r, p.s);
        vm.prank(SUBMITTER);
        market.openWithPermit(t, p);
        _assertState(_id(t), IJobMarket.State.Open);
        // A second time there is neither permit nor allowance.
        _permitFails(BOUNTY, p);
        _assertBalances(address(token), 0, 0, 0, AMOUNT + BOUNTY);
    }

    function test_permit_thatExpired() public {
        token.mint(SUBMITTER, 2 * AMOUNT);
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, AMOUNT, START);
        vm.warp(START + 1);
        _permitFails(AMOUNT, p);
        // With an allowance nobody needs the permit.
        vm.prank(SUBMITTER);
        token.approve(address(market), AMOUNT);
        vm.prank(SUBMITTER);
        market.depositWithPermit(address(token), AMOUNT, p);
        _assertInMarket(address(token), AMOUNT, 0, 0, 0);
        _assertBalances(address(token), AMOUNT, 0, 0, AMOUNT);
    }

    function test_permit_thatIsNotTheOwners() public {
        token.mint(SUBMITTER, AMOUNT);
        _permitFails(AMOUNT, _permit(0xBAD, AMOUNT, START));
        _permitFails(AMOUNT, _permit(SUBMITTER_KEY, AMOUNT - 1, START));
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, AMOUNT, START);
        p.deadline = START + 1;
        _permitFails(AMOUNT, p);
        p.deadline = START;
        p.v ^= 7;
        _permitFails(AMOUNT, p);
        vm.assertEq(token.nonces(SUBMITTER), 0, "unused");
    }

    /// @dev The permit of another owner moves nothing: a caller pays for itself.
    function test_permit_ofAnotherOwner() public {
        token.mint(SUBMITTER, AMOUNT);
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, AMOUNT, START);
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.TransferFromFailed.selector, address(token), STRANGER, AMOUNT)
        );
        vm.prank(STRANGER);
        market.depositWithPermit(address(token), AMOUNT, p);
        vm.assertEq(token.nonces(SUBMITTER), 0, "unused");
        _assertBalances(address(token), AMOUNT, 0, 0, 0);

        IJobMarket.Terms memory t = _tokenTerms(address(token));
        p = _permit(SUBMITTER_KEY, BOUNTY, START);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotSubmitter.selector, STRANGER, SUBMITTER));
        vm.prank(STRANGER);
        market.openWithPermit(t, p);
    }

    function test_permit_ofATokenThatKnowsNone() public {
        address silent = address(new SilentToken());
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, AMOUNT, START);
        _give(SUBMITTER, silent, AMOUNT);
        vm.prank(SUBMITTER);
        market.depositWithPermit(silent, AMOUNT, p);
        _assertInMarket(silent, AMOUNT, 0, 0, 0);
    }

    function test_permit_withATokenThatKeepsAShare() public {
        FeeOnTransferToken greedy = new FeeOnTransferToken();
        greedy.mint(SUBMITTER, AMOUNT);
        vm.prank(SUBMITTER);
        greedy.approve(address(market), AMOUNT);
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, AMOUNT, START);
        vm.expectRevert(_mismatch(address(greedy), AMOUNT - AMOUNT / 100, AMOUNT));
        vm.prank(SUBMITTER);
        market.depositWithPermit(address(greedy), AMOUNT, p);
    }

    function test_permit_isNotForCoin() public {
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, BOUNTY, START);
        bytes memory noValue = abi.encodeWithSelector(IJobMarket.WrongValue.selector, 0, uint256(BOUNTY));
        vm.expectRevert(noValue);
        vm.prank(SUBMITTER);
        market.depositWithPermit(NATIVE, BOUNTY, p);
        vm.expectRevert(noValue);
        vm.prank(SUBMITTER);
        market.openWithPermit(_terms(), p);

        vm.deal(SUBMITTER, BOUNTY);
        vm.prank(SUBMITTER);
        (bool ok,) =
            address(market).call{value: BOUNTY}(abi.encodeCall(IJobMarket.openWithPermit, (_terms(), p)));
        vm.assertFalse(ok, "not payable");
        _assertBalances(NATIVE, BOUNTY, 0, 0, 0);
    }

    function test_openWithPermit_refusesWhatOpenRefuses() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        bytes32 id = _open(t);
        token.mint(SUBMITTER, BOUNTY);
        IJobMarket.Permit memory p = _permit(SUBMITTER_KEY, BOUNTY, START);
        vm.expectRevert(_wrongState(id, IJobMarket.State.Open));
        vm.prank(SUBMITTER);
        market.openWithPermit(t, p);
        t.scheduler = address(0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.ZeroParty.selector, address(0), ARBITER));
        vm.prank(SUBMITTER);
        market.openWithPermit(t, p);
        vm.assertEq(token.nonces(SUBMITTER), 0, "unused");
    }

    /* STEPS */

    function _depositFails(address token_, uint256 amount, uint256 value, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(SUBMITTER);
        market.deposit{value: value}(token_, amount);
        vm.assertEq(market.balance(SUBMITTER, token_), 0, "nothing deposited");
    }

    function _withdrawFails(address token_, address to, uint256 amount, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(SUBMITTER);
        market.withdraw(token_, to, amount);
    }

    /// @dev Neither a deposit nor a job comes of it.
    function _permitFails(uint256 amount, IJobMarket.Permit memory p) private {
        vm.expectRevert(_transferFailed(address(token), amount));
        vm.prank(SUBMITTER);
        market.depositWithPermit(address(token), amount, p);
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        // Amounts of these tests are a few ether.
        // forge-lint: disable-next-line(unsafe-typecast)
        (t.bounty, t.salt) = (uint128(amount), keccak256("permit"));
        vm.expectRevert(_transferFailed(address(token), amount));
        vm.prank(SUBMITTER);
        market.openWithPermit(t, p);
        _assertState(_id(t), IJobMarket.State.None);
    }

    function _transferFailed(address token_, uint256 amount) private view returns (bytes memory) {
        return abi.encodeWithSelector(IJobMarket.TransferFromFailed.selector, token_, SUBMITTER, amount);
    }

    function _mismatch(address token_, uint256 received, uint256 required)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(IJobMarket.TokenAmountMismatch.selector, token_, received, required);
    }

    function _insufficient(address token_, uint256 available, uint256 required)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeWithSelector(
            IJobMarket.InsufficientBalance.selector, SUBMITTER, token_, available, required
        );
    }
}
