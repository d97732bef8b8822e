// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";

/// @notice What each verb costs as a whole transaction, once the parties' accounts and the guard have been used.
/// The figures are checked in under `snapshots/`; `npm run gas` rewrites them.
contract GasTest is Base {
    uint256 private constant OPEN_GOAL = 56_000;
    uint256 private constant ASSIGN_GOAL = 36_000;
    uint256 private constant SETTLE_GOAL = 66_000;

    function setUp() public override {
        super.setUp();
        vm.deal(PROVIDER, 1);
        vm.deal(SCHEDULER, 1 ether);
        token.mint(PROVIDER, 1);
        token.mint(SCHEDULER, 1);
        IJobMarket.Terms memory first = _terms();
        first.salt = keccak256("first");
        _openAndAssign(first);
        _settle(first, NODE_KEY, 1);
        first.token = address(token);
        _openAndAssign(first);
        _settle(first, NODE_KEY, 1);
    }

    function test_gas_native() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        uint256 open = vm.snapshotGasLastCall("JobMarket", "open native");
        _assign(t, NODE, 1);
        uint256 assign = vm.snapshotGasLastCall("JobMarket", "assign");
        _settle(t, NODE_KEY, 1);
        uint256 settle = vm.snapshotGasLastCall("JobMarket", "settle native");
        vm.assertLe(open, OPEN_GOAL, "open");
        vm.assertLe(settle, SETTLE_GOAL, "settle");
        vm.assertLe(open + assign + settle, OPEN_GOAL + ASSIGN_GOAL + SETTLE_GOAL, "one job");
        vm.assertLe(assign, ASSIGN_GOAL, "assign");
    }
}
