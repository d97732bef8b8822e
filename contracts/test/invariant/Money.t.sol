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
        s = new bytes4[](22);
        s[0] = Handler.open.selector;
        s[1] = Handler.cancel.selector;
        s[2] = Handler.assign.selector;
        s[3] = Handler.callIn.selector;
        s[4] = Handler.renew.selector;
        s[5] = Handler.release.selector;
        s[6] = Handler.lapse.selector;
        s[7] = Handler.settle.selector;
        s[8] = Handler.publish.selector;
        s[9] = Handler.claim.selector;
        s[10] = Handler.refund.selector;
        s[11] = Handler.withdraw.selector;
        s[12] = Handler.warp.selector;
        s[13] = Handler.changeMoods.selector;
        s[14] = Handler.gift.selector;
        s[15] = Handler.revoke.selector;
        s[16] = Handler.assign.selector;
        s[17] = Handler.open.selector;
        s[18] = Handler.warp.selector;
        s[19] = Handler.warp.selector;
        s[20] = Handler.callIn.selector;
        s[21] = Handler.renew.selector;
    }

    /// @dev For each token the market holds what it owes, to the last unit; and a job ends at most once.
    function invariant_books() public view {
        for (uint256 i; i < 3; ++i) {
            address token = handler.tokens(i);
            vm.assertEq(_held(token), handler.owed(token), "balance");
        }
        for (uint256 i; i < handler.entries(); ++i) {
            vm.assertLe(handler.endings(i), 1, "endings");
        }
    }

    /// @dev The histories are worth something: in a fixed one of them every verb goes through.
    function test_historiesReachEveryVerb() public {
        bytes4[] memory steps = _steps();
        for (uint256 i; i < 1500; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            // Every step takes a number, and `gift` an amount too.
            (bool ok,) = address(handler)
                .call(abi.encodeWithSelector(steps[(seed >> 128) % steps.length], seed, seed % 1e9));
            vm.assertTrue(ok, "a step failed");
        }
        bytes4[12] memory verbs = [
            IJobMarket.open.selector,
            IJobMarket.cancel.selector,
            IJobMarket.assign.selector,
            IJobMarket.callIn.selector,
            IJobMarket.renew.selector,
            IJobMarket.release.selector,
            IJobMarket.lapse.selector,
            IJobMarket.settle.selector,
            IJobMarket.publish.selector,
            IJobMarket.claim.selector,
            IJobMarket.refund.selector,
            IJobMarket.withdraw.selector
        ];
        for (uint256 i; i < verbs.length; ++i) {
            vm.assertLe(1, handler.played(verbs[i]), vm.toString(i));
        }
        _drain();
    }

    /// @dev After any history, a stranger alone can bring every job to its end in bounded time, and every credit
    /// can be withdrawn: nothing is left but gifts.
    function afterInvariant() public {
        _drain();
    }

    function _drain() private {
        vm.warp(block.timestamp + 365 days);
        for (uint256 i; i < handler.entries(); ++i) {
            Handler.Entry memory e = handler.entry(i);
            (IJobMarket.State state,,,,,,) = market.job(e.id);
            if (state == IJobMarket.State.Open || state == IJobMarket.State.Assigned) {
                market.refund(e.terms);
            }
            if (state == IJobMarket.State.Held || state == IJobMarket.State.Published) {
                market.claim(e.terms);
            }
        }
        handler.calm();
        for (uint256 i; i < 3; ++i) {
            address token = handler.tokens(i);
            for (uint256 a; a < 12; ++a) {
                address owner = handler.actors(a);
                if (market.credit(owner, token) == 0) continue;
                vm.prank(owner);
                market.withdraw(token, owner);
            }
            vm.assertEq(_held(token), handler.gifts(token), "left behind");
        }
    }

    function _held(address token) private view returns (uint256) {
        return token == address(0) ? address(market).balance : IERC20(token).balanceOf(address(market));
    }
}
