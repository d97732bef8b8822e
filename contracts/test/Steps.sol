// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";
import {Vm} from "./Vm.sol";

/// @notice The verbs of bonds, disputes and balances in one line each, and what the market says and holds after them.
abstract contract Steps is Base {
    /* STEPS */

    /// @dev Allows the scheduler to lock bonds, and pays in what can be locked.
    function _stake(address provider, address token_, uint256 amount, uint128 limit) internal {
        _deposit(provider, token_, amount);
        vm.prank(provider);
        market.approveScheduler(SCHEDULER, token_, limit);
    }

    function _deposit(address owner, address token_, uint256 amount) internal {
        uint256 value = _give(owner, token_, amount);
        vm.prank(owner);
        market.deposit{value: value}(token_, amount);
    }

    function _claim(IJobMarket.Terms memory t) internal {
        vm.prank(STRANGER);
        market.claim(t);
    }

    function _release(IJobMarket.Terms memory t) internal {
        (, address node,,,,,) = market.job(_id(t));
        (address provider,) = market.node(node);
        vm.prank(provider);
        market.release(t, _noSignature());
    }

    function _lapse(IJobMarket.Terms memory t) internal {
        vm.warp(market.leaseEnd(t) + 1);
        vm.prank(t.scheduler);
        market.lapse(t);
    }

    function _dispute(IJobMarket.Terms memory t, address by) internal {
        uint256 value = _give(by, t.token, t.disputeBond);
        vm.prank(by);
        market.dispute{value: value}(t);
    }

    function _rule(IJobMarket.Terms memory t, IJobMarket.Ruling ruling) internal {
        vm.prank(t.arbiter);
        market.rule(t, ruling);
    }

    /* EVENTS */

    /// @dev The names of the market's events since the last call, so that a test sees also those it did not expect.
    function _assertEvents(string memory expected) internal {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        string memory seen = "";
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter != address(market)) continue;
            seen = string.concat(seen, bytes(seen).length == 0 ? "" : " ", _eventName(logs[i].topics[0]));
        }
        vm.assertEq(seen, expected, "events");
    }

    function _eventName(bytes32 topic) private pure returns (string memory) {
        if (topic == IJobMarket.Opened.selector) return "Opened";
        if (topic == IJobMarket.Cancelled.selector) return "Cancelled";
        if (topic == IJobMarket.Assigned.selector) return "Assigned";
        if (topic == IJobMarket.CalledIn.selector) return "CalledIn";
        if (topic == IJobMarket.Renewed.selector) return "Renewed";
        if (topic == IJobMarket.Released.selector) return "Released";
        if (topic == IJobMarket.Lapsed.selector) return "Lapsed";
        if (topic == IJobMarket.Forfeited.selector) return "Forfeited";
        if (topic == IJobMarket.Settled.selector) return "Settled";
        if (topic == IJobMarket.Published.selector) return "Published";
        if (topic == IJobMarket.Disputed.selector) return "Disputed";
        if (topic == IJobMarket.Ruled.selector) return "Ruled";
        if (topic == IJobMarket.Paid.selector) return "Paid";
        if (topic == IJobMarket.Refunded.selector) return "Refunded";
        if (topic == IJobMarket.Skipped.selector) return "Skipped";
        if (topic == IJobMarket.Deposited.selector) return "Deposited";
        if (topic == IJobMarket.Credited.selector) return "Credited";
        if (topic == IJobMarket.Debited.selector) return "Debited";
        if (topic == IJobMarket.Withdrawn.selector) return "Withdrawn";
        if (topic == IJobMarket.EpochRaised.selector) return "EpochRaised";
        revert("an event without a name");
    }

    /* ASSERTIONS */

    /// @dev What the parties have in the market, in one assertion.
    function _assertInMarket(
        address token_,
        uint256 submitter,
        uint256 provider,
        uint256 otherProvider,
        uint256 scheduler
    ) internal view {
        vm.assertEq(market.balance(SUBMITTER, token_), submitter, "submitter's balance in the market");
        vm.assertEq(market.balance(PROVIDER, token_), provider, "provider's balance in the market");
        vm.assertEq(
            market.balance(OTHER_PROVIDER, token_), otherProvider, "other provider's balance in the market"
        );
        vm.assertEq(market.balance(SCHEDULER, token_), scheduler, "scheduler's balance in the market");
        vm.assertEq(market.balance(ARBITER, token_), 0, "arbiter's balance in the market");
        vm.assertEq(market.balance(STRANGER, token_), 0, "stranger's balance in the market");
        vm.assertEq(market.balance(NODE, token_), 0, "node's balance in the market");
    }
}
