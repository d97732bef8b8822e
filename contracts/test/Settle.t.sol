// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";

/// @notice `settle`, `publish` and `claim`: a signed result pays the provider, with or without its scheduler.
contract SettleTest is Base {
    uint8 private constant SETTLED = 2;

    /* SETTLE */

    function test_settle_paysAtOnce() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(START + 100);

        vm.expectEmit(address(market));
        emit IJobMarket.Settled(id, NODE, 1, RECEIPT);
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE, FEE);
        _settle(t, NODE_KEY, 1);

        _assertJob(id, IJobMarket.State.Paid, NODE, START + 100, START, 1, SETTLED);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 0);
        vm.assertEq(NODE.balance, 0, "the node's key receives nothing");
    }

    function test_settle_paysTokens() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _assertBalances(address(token), 0, BOUNTY - FEE, FEE, 0);
    }

    function test_settle_withoutFeeOrWithNothingElse() public {
        IJobMarket.Terms memory t = _terms();
        t.fee = 0;
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _assertBalances(NATIVE, 0, BOUNTY, 0, 0);

        t.fee = t.bounty;
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        _assertBalances(NATIVE, 0, BOUNTY, BOUNTY, 0);
    }

    function test_settle_holdsThePayment() public {
        (IJobMarket.Terms memory t, bytes32 id) = _openAndHold();
        _assertJob(id, IJobMarket.State.Held, NODE, START, START, 1, SETTLED);
        _assertBalances(NATIVE, 0, 0, 0, BOUNTY);

        uint40 until = START + t.holdSeconds;
        vm.warp(until);
        _claimFails(t, abi.encodeWithSelector(IJobMarket.WindowOpen.selector, until));
        vm.warp(until + 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE, FEE);
        vm.prank(STRANGER);
        market.claim(t);

        _assertJob(id, IJobMarket.State.Paid, NODE, until + 1, START, 1, SETTLED);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 0);
    }

    function test_settle_afterTheLeaseUntilTheDeadline() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        vm.warp(t.deadline + 1);
        _settleFails(t, NODE_KEY, 1, abi.encodeWithSelector(IJobMarket.DeadlinePassed.selector, t.deadline));
        vm.warp(t.deadline);
        _settle(t, NODE_KEY, 1);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 0);
    }

    function test_settle_aPublishedResultInItsWindow() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(t.deadline);
        _publish(t, NODE_KEY, 1);
        uint40 until = t.deadline + t.challengeWindow;

        vm.warp(until + 1);
        _settleFails(t, NODE_KEY, 1, abi.encodeWithSelector(IJobMarket.WindowClosed.selector, until));
        vm.warp(until);
        _settle(t, NODE_KEY, 1);
        _assertJob(id, IJobMarket.State.Paid, NODE, until, START, 1, SETTLED);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 0);
    }

    function test_settle_aPublishedResultDoesNotSkipTheHold() public {
        IJobMarket.Terms memory t = _heldTerms();
        bytes32 id = _openAndAssign(t);
        _publish(t, NODE_KEY, 1);
        vm.warp(START + t.challengeWindow);
        _settle(t, NODE_KEY, 1);
        _assertJob(id, IJobMarket.State.Held, NODE, START + t.challengeWindow, START, 1, SETTLED);
        _claimFails(
            t,
            abi.encodeWithSelector(IJobMarket.WindowOpen.selector, START + t.challengeWindow + t.holdSeconds)
        );
        _assertBalances(NATIVE, 0, 0, 0, BOUNTY);
    }

    function test_settle_ofARevokedNodeStillPays() public {
        IJobMarket.Terms memory t = _terms();
        _openAndAssign(t);
        vm.prank(PROVIDER);
        market.revoke(NODE);
        vm.prank(PROVIDER);
        market.disapproveScheduler(SCHEDULER);
        _settle(t, NODE_KEY, 1);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 0);
    }

    function test_settle_refusesOthersThanTheScheduler() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotScheduler.selector, PROVIDER, SCHEDULER));
        vm.prank(PROVIDER);
        market.settle(t, RECEIPT, s);
    }

    /// @dev Neither another node nor an earlier holder of the job can be paid for it.
    function test_settle_paysOnlyTheNodeThatHoldsTheJob() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _resultFails(t, RECEIPT, _signResult(OTHER_NODE_KEY, id, 1));

        vm.warp(START + t.leaseSeconds + 1);
        _assignWithTerms(t, OTHER_NODE_KEY, 2);
        _resultFails(t, RECEIPT, _signResult(NODE_KEY, id, 1));
        _resultFails(t, RECEIPT, _signResult(NODE_KEY, id, 2));

        _settle(t, OTHER_NODE_KEY, 2);
        vm.assertEq(OTHER_PROVIDER.balance, BOUNTY - FEE, "paid");
        vm.assertEq(PROVIDER.balance, 0, "not paid");
    }

    /// @dev The same node again: what it signed in an earlier attempt is worth nothing in this one.
    function test_settle_refusesResultsOfOtherAttemptsJobsAndReceipts() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
        vm.prank(PROVIDER);
        market.release(t, _noSignature());
        _assign(t, NODE, 2);
        _resultFails(t, RECEIPT, s);

        s = _signResult(NODE_KEY, id, 2);
        _resultFails(t, keccak256("another receipt"), s);

        IJobMarket.Terms memory other = _terms();
        other.salt = keccak256("another");
        _openAndAssign(other);
        _resultFails(other, RECEIPT, _signResult(NODE_KEY, id, 1));
        _resultFails(other, RECEIPT, _noSignature());
        _assertBalances(NATIVE, 0, 0, 0, 2 * BOUNTY);
    }

    /// @dev A failure has the fields of a result but another type: it is never payable.
    function test_settle_refusesSignedFailures() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _resultFails(t, RECEIPT, _signFailure(NODE_KEY, id, 1));
    }

    function test_settle_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        _settleFails(t, NODE_KEY, 1, _wrongState(id, IJobMarket.State.Open));
        _assign(t, NODE, 1);
        _settle(t, NODE_KEY, 1);
        _settleFails(t, NODE_KEY, 1, _wrongState(id, IJobMarket.State.Paid));
        (t, id) = _openAndHold();
        _settleFails(t, NODE_KEY, 1, _wrongState(id, IJobMarket.State.Held));
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, BOUNTY);

        t = _terms();
        t.salt = keccak256("another");
        id = _openAndAssign(t);
        vm.warp(t.deadline + 1);
        market.refund(t);
        vm.warp(START);
        _settleFails(t, NODE_KEY, 1, _wrongState(id, IJobMarket.State.Refunded));
    }

    /// @dev Signatures follow the chain id; job ids stay.
    function test_settle_afterAChainSplit() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        IJobMarket.Signature memory before = _signResult(NODE_KEY, id, 1);

        vm.chainId(block.chainid + 1);
        vm.assertEq(market.jobId(t), id, "id");
        bytes32 oldDomain = domain;
        domain = _domain(block.chainid, address(market));
        vm.assertEq(market.domainSeparator(), domain, "domain");
        vm.assertNotEq(oldDomain, domain, "another domain");
        _resultFails(t, RECEIPT, before);

        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
        vm.prank(SCHEDULER);
        market.settle(t, RECEIPT, s);
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 0);
    }

    function test_settle_refusesResultsForAnotherChainOrContract() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        bytes32 home = domain;
        domain = _domain(block.chainid + 1, address(market));
        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
        domain = home;
        _resultFails(t, RECEIPT, s);
        domain = _domain(block.chainid, address(token));
        s = _signResult(NODE_KEY, id, 1);
        domain = home;
        _resultFails(t, RECEIPT, s);
        _assertBalances(NATIVE, 0, 0, 0, BOUNTY);
    }

    function testFuzz_settle_paysExactlyTheBounty(uint128 bounty, uint128 fee, bool held) public {
        IJobMarket.Terms memory t = held ? _heldTerms() : _terms();
        t.bounty = uint128(_between(bounty, 1, type(uint128).max));
        t.fee = uint128(_between(fee, 0, t.bounty));
        _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
        if (held) {
            vm.warp(START + t.holdSeconds + 1);
            market.claim(t);
        }
        _assertBalances(NATIVE, 0, t.bounty - t.fee, t.fee, 0);
    }

    /// @dev Only the holder's key, only over this attempt and receipt.
    function testFuzz_settle_onlyWithTheNodesSignature(bytes32 r, bytes32 vs, uint256 key, uint16 attempt)
        public
    {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        _resultFails(t, RECEIPT, IJobMarket.Signature(r, vs));
        key = _between(key, 1, type(uint128).max);
        if (key == NODE_KEY) return;
        _resultFails(t, RECEIPT, _signResult(key, id, attempt));
    }

    /* PUBLISH */

    function test_publish_byAnyoneWithTheSignature() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        vm.warp(t.deadline);
        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);

        vm.expectEmit(address(market));
        emit IJobMarket.Published(id, NODE, 1, RECEIPT);
        vm.prank(STRANGER);
        market.publish(t, RECEIPT, s);

        _assertJob(id, IJobMarket.State.Published, NODE, t.deadline, START, 1, 0);
        vm.assertEq(market.leaseEnd(t), 0, "no lease");
        _assertBalances(NATIVE, 0, 0, 0, BOUNTY);
    }

    function test_publish_refusesWhatTheNodeHasNotSigned() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        IJobMarket.Signature memory s = _signResult(OTHER_NODE_KEY, id, 1);
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        market.publish(t, RECEIPT, s);
        s = _signFailure(NODE_KEY, id, 1);
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        market.publish(t, RECEIPT, s);
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        market.publish(t, RECEIPT, _noSignature());
        _assertState(id, IJobMarket.State.Assigned);
    }

    function test_publish_refusesAfterTheDeadline() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _openAndAssign(t);
        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
        vm.warp(t.deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.DeadlinePassed.selector, t.deadline));
        market.publish(t, RECEIPT, s);
    }

    function test_publish_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        IJobMarket.Signature memory s = _signResult(NODE_KEY, id, 1);
        _expectWrongState(id, IJobMarket.State.Open);
        market.publish(t, RECEIPT, s);
        _assign(t, NODE, 1);
        _publish(t, NODE_KEY, 1);
        _expectWrongState(id, IJobMarket.State.Published);
        market.publish(t, RECEIPT, s);
    }

    /* CLAIM */

    /// @dev The way out for a provider whose scheduler is gone: nobody's help is needed, and the fee goes back.
    function test_claim_aPublishedResultWithoutTheScheduler() public {
        (IJobMarket.Terms memory t, bytes32 id) = _openAndPublish();
        uint40 until = START + t.challengeWindow;
        vm.warp(until);
        _claimFails(t, abi.encodeWithSelector(IJobMarket.WindowOpen.selector, until));
        vm.warp(until + 1);

        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE, 0);
        vm.prank(PROVIDER);
        market.claim(t);

        _assertJob(id, IJobMarket.State.Paid, NODE, until + 1, START, 1, 0);
        _assertBalances(NATIVE, FEE, BOUNTY - FEE, 0, 0);
    }

    function test_claim_tokens() public {
        IJobMarket.Terms memory t = _tokenTerms(address(token));
        _openAndAssign(t);
        _publish(t, NODE_KEY, 1);
        vm.warp(START + t.challengeWindow + 1);
        market.claim(t);
        _assertBalances(address(token), FEE, BOUNTY - FEE, 0, 0);
    }

    function test_claim_refusesEveryOtherState() public {
        IJobMarket.Terms memory t = _terms();
        bytes32 id = _open(t);
        _claimFails(t, _wrongState(id, IJobMarket.State.Open));
        _assign(t, NODE, 1);
        _claimFails(t, _wrongState(id, IJobMarket.State.Assigned));
        _settle(t, NODE_KEY, 1);
        vm.warp(START + 60 days);
        _claimFails(t, _wrongState(id, IJobMarket.State.Paid));
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 0);
    }

    /* STEPS */

    function _settleFails(IJobMarket.Terms memory t, uint256 nodeKey, uint16 attempt, bytes memory error_)
        private
    {
        IJobMarket.Signature memory s = _signResult(nodeKey, _id(t), attempt);
        vm.expectRevert(error_);
        vm.prank(SCHEDULER);
        market.settle(t, RECEIPT, s);
    }

    /// @dev Neither the scheduler nor the node can do anything with this signature.
    function _resultFails(IJobMarket.Terms memory t, bytes32 receiptHash, IJobMarket.Signature memory s)
        private
    {
        // Ids stay after a chain split, and only the contract knows them then.
        bytes memory expected = _badResult(market.jobId(t), receiptHash, s);
        vm.expectRevert(expected);
        vm.prank(SCHEDULER);
        market.settle(t, receiptHash, s);
        vm.expectRevert(expected);
        vm.prank(NODE);
        market.publish(t, receiptHash, s);
    }

    function _badResult(bytes32 id, bytes32 receiptHash, IJobMarket.Signature memory s)
        private
        view
        returns (bytes memory)
    {
        (, address node,,, uint16 attempt,,) = market.job(id);
        bytes32 typeHash = keccak256("Result(bytes32 jobId,uint16 attempt,address node,bytes32 receiptHash)");
        return _badSignature(node, keccak256(abi.encode(typeHash, id, attempt, node, receiptHash)), s);
    }

    function _claimFails(IJobMarket.Terms memory t, bytes memory error_) private {
        vm.expectRevert(error_);
        vm.prank(PROVIDER);
        market.claim(t);
    }
}
