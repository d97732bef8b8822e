// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";
import {MoodyWallet} from "./mocks/HostileReceivers.sol";

/// @notice What each verb costs as a whole transaction, once the parties' accounts have been used.
/// @dev The figures are checked in under `snapshots/`, and any change fails; `npm run gas` writes them anew.
contract GasTest is Base {
    /// @dev A job is three transactions: open, assign, settle.
    uint256 private constant JOB_GOAL = 158_000;
    uint256 private constant BATCH = 100;

    function setUp() public override {
        super.setUp();
        vm.deal(PROVIDER, 1);
        vm.deal(SCHEDULER, 1 ether);
        vm.deal(SUBMITTER, 1 ether);
        token.mint(SUBMITTER, 1);
        token.mint(PROVIDER, 1);
        token.mint(SCHEDULER, 1);
        // The first deposit of a token sets the guard's slot, and the market's balance.
        IJobMarket.Terms memory first = _tokenTerms(address(token));
        first.salt = keccak256("first");
        _open(first);
    }

    /// @dev EIP-170. What is left must do for bonds, disputes and batches.
    function test_size() public view {
        vm.assertLe(address(market).code.length, 24_576, "code size");
    }

    function test_gas_job() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        uint256 open = _snapshot("open, native coin");
        _assign(t, NODE, 1);
        uint256 assign = _snapshot("assign");
        _settle(t, NODE_KEY, 1);
        uint256 settle = _snapshot("settle, native coin");
        vm.assertLe(open + assign + settle, JOB_GOAL, "one job");
    }

    function test_gas_tokenJob() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        _open(t);
        _snapshot("open, token");
        _assign(t, NODE, 1);
        _settle(t, NODE_KEY, 1);
        _snapshot("settle, token");
    }

    function test_gas_heldJob() public {
        IJobMarket.Terms memory t = _heldTerms();
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _snapshot("settle, held");
        vm.warp(START + t.holdSeconds + 1);
        market.claim(t);
        _snapshot("claim, held");
    }

    function test_gas_publishedJob() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        _publish(t, NODE_KEY, 1);
        _snapshot("publish");
        vm.warp(START + t.challengeWindow + 1);
        market.claim(t);
        _snapshot("claim, published");
    }

    function test_gas_lease() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(START + 2000);
        _callIn(t);
        _snapshot("callIn");
        vm.warp(START + 2010);
        IJobMarket.Signature memory s = _signRenew(NODE_KEY, id, 1, START + 2005);
        vm.prank(NODE);
        market.renew(t, START + 2005, s);
        _snapshot("renew");
        s = _signRelease(NODE_KEY, id, 1);
        vm.prank(NODE);
        market.release(t, s);
        _snapshot("release");
        _assign(t, NODE, 2);
        vm.warp(START + 2010 + t.leaseSeconds + 1);
        _assignWithTerms(t, NODE_KEY, 3);
        _snapshot("assign, after a lapse");
        vm.warp(START + 2020 + 2 * t.leaseSeconds);
        vm.prank(SCHEDULER);
        market.lapse(t);
        _snapshot("lapse");
    }

    function test_gas_waysBack() public {
        IJobMarket.Terms memory t = _terms();
        _open(t);
        vm.prank(SUBMITTER);
        market.cancel(t);
        _snapshot("cancel");

        t.salt = keccak256("another");
        _open(t);
        vm.warp(t.deadline + 1);
        market.refund(t);
        _snapshot("refund");
    }

    function test_gas_credit() public {
        MoodyWallet wallet = new MoodyWallet(market);
        IJobMarket.Terms memory t = _terms();
        t.submitter = address(wallet);
        vm.deal(address(this), BOUNTY);
        wallet.act{value: BOUNTY}(abi.encodeCall(IJobMarket.open, (t)));
        wallet.setMood(MoodyWallet.Mood.Revert);
        vm.warp(t.deadline + 1);
        market.refund(t);
        _snapshot("refund, refused");
    }

    function test_gas_batches() public {
        (IJobMarket.Opening[] memory openings, bytes32[] memory ids) = _openings(BATCH);
        bytes32 root = _root(ids);
        IJobMarket.Order memory order = IJobMarket.Order(root, 0, _now() + 60);
        bytes memory signature = _signOrder(0xA11CE, order);
        bool[] memory flags = new bool[](BATCH - 1);
        for (uint256 i; i < BATCH - 1; ++i) {
            flags[i] = true;
        }
        vm.deal(SUBMITTER, BATCH * BOUNTY);
        vm.prank(SUBMITTER);
        market.deposit{value: BATCH * BOUNTY}(NATIVE, BATCH * BOUNTY);
        _snapshot("deposit, native coin");

        vm.prank(SCHEDULER);
        market.openMany(openings, order, signature, new bytes32[](0), flags);
        _snapshotEach("openMany, 100 prepaid with nodes, per job");

        IJobMarket.Settlement[] memory settlements = new IJobMarket.Settlement[](BATCH);
        for (uint256 i; i < BATCH; ++i) {
            settlements[i] =
                IJobMarket.Settlement(openings[i].terms, RECEIPT, _signResult(NODE_KEY, ids[i], 1));
        }
        vm.prank(SCHEDULER);
        market.settleMany(settlements);
        _snapshotEach("settleMany, 100, per job");
        _assertState(ids[0], IJobMarket.State.Paid);
        _assertState(ids[BATCH - 1], IJobMarket.State.Paid);
    }

    function test_gas_nodes() public {
        _enroll(0xC0DE, PROVIDER);
        _snapshot("enroll");
        vm.prank(PROVIDER);
        market.revoke(NODE);
        _snapshot("revoke");
        vm.prank(STRANGER);
        market.approveScheduler(SCHEDULER, NATIVE, 0);
        _snapshot("approveScheduler");
        vm.prank(STRANGER);
        market.disapproveScheduler(SCHEDULER);
        _snapshot("disapproveScheduler");
    }

    function _openings(uint256 count)
        private
        view
        returns (IJobMarket.Opening[] memory openings, bytes32[] memory ids)
    {
        openings = new IJobMarket.Opening[](count);
        ids = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            openings[i] = IJobMarket.Opening(_terms(), NODE);
            openings[i].terms.salt = keccak256(abi.encode(i));
            openings[i].terms.specHash = keccak256(abi.encode("spec", i));
            ids[i] = _id(openings[i].terms);
        }
    }

    function _snapshot(string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall("JobMarket", name);
    }

    function _snapshotEach(string memory name) private {
        vm.snapshotValue("JobMarket", name, vm.lastCallGas().gasTotalUsed / BATCH);
    }
}
