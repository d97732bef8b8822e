// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {IERC20} from "../../src/libraries/Transfers.sol";
import {Vm} from "../Vm.sol";
import {Handler} from "./Handler.sol";

/// @notice What must hold after any history of the verbs. Each step is also checked by the handler itself.
/// forge-config: default.invariant.fail-on-revert = true
contract MoneyTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private handler;
    IJobMarket private market;

    function setUp() public {
        handler = new Handler();
        market = handler.jobMarket();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), _steps());
    }

    /// @dev What other steps wait for is named more than once, so that most histories get somewhere.
    function _steps() private pure returns (bytes4[] memory s) {
        s = new bytes4[](42);
        s[0] = Handler.open.selector;
        s[1] = Handler.openWithPermit.selector;
        s[2] = Handler.openMany.selector;
        s[3] = Handler.cancel.selector;
        s[4] = Handler.cancelMany.selector;
        s[5] = Handler.refund.selector;
        s[6] = Handler.assign.selector;
        s[7] = Handler.assignWithTerms.selector;
        s[8] = Handler.assignMany.selector;
        s[9] = Handler.callIn.selector;
        s[10] = Handler.lapse.selector;
        s[11] = Handler.settle.selector;
        s[12] = Handler.settleMany.selector;
        s[13] = Handler.renew.selector;
        s[14] = Handler.release.selector;
        s[15] = Handler.publish.selector;
        s[16] = Handler.claim.selector;
        s[17] = Handler.dispute.selector;
        s[18] = Handler.rule.selector;
        s[19] = Handler.deposit.selector;
        s[20] = Handler.depositWithPermit.selector;
        s[21] = Handler.withdraw.selector;
        s[22] = Handler.raiseEpoch.selector;
        s[23] = Handler.enroll.selector;
        s[24] = Handler.revoke.selector;
        s[25] = Handler.approve.selector;
        s[26] = Handler.disapprove.selector;
        s[27] = Handler.warp.selector;
        s[28] = Handler.changeMoods.selector;
        s[29] = Handler.gift.selector;
        s[30] = Handler.escape.selector;
        s[31] = Handler.openMany.selector;
        s[32] = Handler.assign.selector;
        s[33] = Handler.assignWithTerms.selector;
        s[34] = Handler.lapse.selector;
        s[35] = Handler.publish.selector;
        s[36] = Handler.dispute.selector;
        s[37] = Handler.rule.selector;
        s[38] = Handler.warp.selector;
        s[39] = Handler.renew.selector;
        s[40] = Handler.callIn.selector;
        s[41] = Handler.lapse.selector;
    }

    /// @dev For each token the market holds what it owes, to the last unit; each approval counts the bonds that are
    /// locked; and a job ends at most once.
    function invariant_books() public view {
        for (uint256 i; i < 4; ++i) {
            address token = handler.tokens(i);
            vm.assertEq(_held(token), handler.owed(token), "balance");
        }
        handler.checkApprovals();
        for (uint256 i; i < handler.entries(); ++i) {
            vm.assertLe(handler.entry(i).endings, 1, "endings");
        }
    }

    /// @dev The histories are worth something: in a fixed one of them every verb goes through.
    function test_historiesReachEveryVerb() public {
        bytes4[] memory steps = _steps();
        for (uint256 i; i < 1400; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            // Every step takes a number, and some an amount too.
            (bool ok, bytes memory reason) = address(handler)
                .call(abi.encodeWithSelector(steps[(seed >> 128) % steps.length], seed, seed % 1e9));
            if (ok) continue;
            assembly ("memory-safe") {
                revert(add(reason, 0x20), mload(reason))
            }
        }
        bytes4[27] memory verbs = [
            IJobMarket.open.selector,
            IJobMarket.openWithPermit.selector,
            IJobMarket.openMany.selector,
            IJobMarket.cancel.selector,
            IJobMarket.cancelMany.selector,
            IJobMarket.raiseEpoch.selector,
            IJobMarket.refund.selector,
            IJobMarket.assign.selector,
            IJobMarket.assignWithTerms.selector,
            IJobMarket.assignMany.selector,
            IJobMarket.callIn.selector,
            IJobMarket.lapse.selector,
            IJobMarket.settle.selector,
            IJobMarket.settleMany.selector,
            IJobMarket.renew.selector,
            IJobMarket.release.selector,
            IJobMarket.publish.selector,
            IJobMarket.claim.selector,
            IJobMarket.dispute.selector,
            IJobMarket.rule.selector,
            IJobMarket.deposit.selector,
            IJobMarket.depositWithPermit.selector,
            IJobMarket.withdraw.selector,
            IJobMarket.enroll.selector,
            IJobMarket.revoke.selector,
            IJobMarket.approveScheduler.selector,
            IJobMarket.disapproveScheduler.selector
        ];
        for (uint256 i; i < verbs.length; ++i) {
            vm.assertTrue(
                handler.played(verbs[i]) != 0, string.concat("never went through: verb ", vm.toString(i))
            );
        }
        invariant_books();
        _drain();
    }

    /// @dev After any history, a stranger alone can bring every job to its end in bounded time, and every balance
    /// can be withdrawn: nothing is left but gifts.
    function afterInvariant() public {
        _drain();
    }

    function _drain() private {
        vm.warp(block.timestamp + 60 days);
        for (uint256 i; i < handler.entries(); ++i) {
            Handler.Entry memory e = handler.entry(i);
            (IJobMarket.State state,,,,,,) = market.job(e.id);
            if (state == IJobMarket.State.Open || state == IJobMarket.State.Assigned) {
                market.refund(e.terms);
            } else if (
                state == IJobMarket.State.Held || state == IJobMarket.State.Published
                    || state == IJobMarket.State.Disputed
            ) {
                market.claim(e.terms);
            }
        }
        handler.calm();
        for (uint256 i; i < 4; ++i) {
            address token = handler.tokens(i);
            for (uint256 a; a < 10; ++a) {
                address owner = handler.actors(a);
                uint256 amount = market.balance(owner, token);
                vm.prank(owner);
                market.withdraw(token, owner, amount);
            }
            vm.assertEq(_held(token), handler.gifts(token), "left behind");
        }
    }

    function _held(address token) private view returns (uint256) {
        return token == address(0) ? address(market).balance : IERC20(token).balanceOf(address(market));
    }
}
