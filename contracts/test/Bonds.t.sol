// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {BondedJob} from "./BondedJob.sol";

/// @notice A bond is locked with the node's acceptance and within the provider's limit, comes back when the provider
/// keeps its word, and goes to whoever it let down when it does not.
contract BondsTest is BondedJob {
    /* LOCKING */

    function test_assign_locksTheBond() public {
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Debited(PROVIDER, NATIVE, BOND);
        vm.expectEmit(address(market));
        emit IJobMarket.Assigned(id, NODE, PROVIDER, 1);
        _assignWithTerms(t, NODE_KEY, 1);
        _assertEvents("Debited Assigned");

        _assertJob(id, IJobMarket.State.Assigned, NODE, START, START, 1, 0);
        _assertInMarket(NATIVE, 0, LIMIT - BOND, LIMIT, 0);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT, BOND);
        _assertApproval(OTHER_PROVIDER, SCHEDULER, NATIVE, true, LIMIT, 0);
        _assertBalances(NATIVE, 0, 0, 0, 2 * LIMIT + BOUNTY);
    }

    function test_assign_locksTokens() public {
        _stake(PROVIDER, address(token), BOND, BOND);
        t.token = address(token);
        _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
        _assertInMarket(address(token), 0, 0, 0, 0);
        _assertInMarket(NATIVE, 0, LIMIT, LIMIT, 0);
        _assertApproval(PROVIDER, SCHEDULER, address(token), true, BOND, BOND);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT, 0);
    }

    function test_assign_byIdIsNotEnough() public {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.AcceptanceRequired.selector, id));
        vm.prank(SCHEDULER);
        market.assign(id, NODE, 1);
        _assertNothingLocked();
    }

    function test_assign_byOthersIsRefusedEvenWithTheAcceptance() public {
        IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotScheduler.selector, SUBMITTER, SCHEDULER));
        vm.prank(SUBMITTER);
        market.assignWithTerms(a);
        _assertNothingLocked();
    }

    function test_assign_atTheDeadlineButNotAfter() public {
        vm.warp(t.deadline + 1);
        _assignFails(
            _assignment(t, NODE_KEY, 1),
            abi.encodeWithSelector(IJobMarket.DeadlinePassed.selector, t.deadline)
        );
        vm.warp(t.deadline);
        _assignWithTerms(t, NODE_KEY, 1);
    }

    function test_assign_refusesNodesThatMayNotWork() public {
        vm.prank(PROVIDER);
        market.disapproveScheduler(SCHEDULER);
        _assignFails(
            _assignment(t, NODE_KEY, 1),
            abi.encodeWithSelector(IJobMarket.SchedulerNotApproved.selector, PROVIDER, SCHEDULER)
        );
        vm.prank(PROVIDER);
        market.revoke(NODE);
        _assignFails(
            _assignment(t, NODE_KEY, 1), abi.encodeWithSelector(IJobMarket.NodeRevoked.selector, NODE)
        );
        _assignFails(
            _assignment(t, 0xFACE, 1),
            abi.encodeWithSelector(IJobMarket.NotEnrolled.selector, vm.addr(0xFACE))
        );
        _assignFails(
            _assignment(t, OTHER_NODE_KEY, 2), abi.encodeWithSelector(IJobMarket.WrongAttempt.selector, 2, 1)
        );
        _assertNothingLocked();
    }

    /* THE NODE'S ACCEPTANCE */

    function test_acceptance_untilItExpires() public {
        IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 1);
        vm.warp(a.expires + 1);
        _assignFails(a, abi.encodeWithSelector(IJobMarket.AcceptanceExpired.selector, a.expires));
        vm.warp(a.expires);
        _assign(a);
        _assertState(id, IJobMarket.State.Assigned);
    }

    /// @dev What a node accepted once binds it to nothing else: not another job, attempt, time, node, chain or contract.
    function test_acceptance_isForOneAttemptOfOneJob() public {
        IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 1);
        bytes32 expected = _acceptHash(id, 1, a.expires);

        a.acceptance = _noSignature();
        _assignFails(a, _badSignature(NODE, expected, a.acceptance));
        a.acceptance = _signAccept(OTHER_NODE_KEY, id, 1, a.expires);
        _assignFails(a, abi.encodeWithSelector(IJobMarket.BadSignature.selector, NODE, OTHER_NODE));
        a.acceptance = _signAccept(NODE_KEY, id, 2, a.expires);
        _assignFails(a, _badSignature(NODE, expected, a.acceptance));
        a.acceptance = _signAccept(NODE_KEY, keccak256("another"), 1, a.expires);
        _assignFails(a, _badSignature(NODE, expected, a.acceptance));
        a.acceptance = _signAccept(NODE_KEY, id, 1, a.expires - 1);
        _assignFails(a, _badSignature(NODE, expected, a.acceptance));
        a.acceptance = _signRenew(NODE_KEY, id, 1, a.expires);
        _assignFails(a, _badSignature(NODE, expected, a.acceptance));

        bytes32 home = domain;
        domain = _domain(block.chainid + 1, address(market));
        a.acceptance = _signAccept(NODE_KEY, id, 1, a.expires);
        domain = home;
        _assignFails(a, _badSignature(NODE, expected, a.acceptance));
        domain = _domain(block.chainid, address(token));
        a.acceptance = _signAccept(NODE_KEY, id, 1, a.expires);
        domain = home;
        _assignFails(a, _badSignature(NODE, expected, a.acceptance));
        _assertNothingLocked();
    }

    function test_acceptance_ofTheFirstAttemptIsNotOneOfTheSecond() public {
        IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 1);
        _assign(a);
        _release(t);
        a.attempt = 2;
        _assignFails(a, _badSignature(NODE, _acceptHash(id, 2, a.expires), a.acceptance));
        _assertNothingLocked();
    }

    function test_acceptance_isNotNeededWithoutABond() public {
        t.bond = 0;
        _open(t);
        IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 1);
        a.acceptance = IJobMarket.Signature(keccak256("r"), keccak256("vs"));
        vm.recordLogs();
        _assign(a);
        _assertEvents("Assigned");
        _assertNothingLocked();
    }

    /// @dev After a chain split an acceptance of the old chain locks nothing on the new one.
    function test_acceptance_afterAChainSplit() public {
        IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 1);
        vm.chainId(block.chainid + 1);
        domain = _domain(block.chainid, address(market));
        _assignFails(a, _badSignature(NODE, _acceptHash(id, 1, a.expires), a.acceptance));
        a.acceptance = _signAccept(NODE_KEY, id, 1, a.expires);
        _assign(a);
    }

    /* LIMIT AND BALANCE */

    function test_limit_toTheWei() public {
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, BOND - 1);
        _assignFails(_assignment(t, NODE_KEY, 1), _aboveLimit(BOND, BOND - 1));
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, BOND);
        _assignWithTerms(t, NODE_KEY, 1);

        t.salt = keccak256("another");
        _open(t);
        _assignFails(_assignment(t, NODE_KEY, 1), _aboveLimit(2 * BOND, BOND));
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, 2 * BOND - 1);
        _assignFails(_assignment(t, NODE_KEY, 1), _aboveLimit(2 * BOND, 2 * BOND - 1));
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, 2 * BOND);
        _assignWithTerms(t, NODE_KEY, 1);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, 2 * BOND, 2 * BOND);
    }

    function test_limit_isForThisSchedulerAndToken() public {
        vm.prank(PROVIDER);
        market.approveScheduler(STRANGER, NATIVE, type(uint128).max);
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, 0);
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, address(token), type(uint128).max);
        _assignFails(_assignment(t, NODE_KEY, 1), _aboveLimit(BOND, 0));

        t.scheduler = STRANGER;
        _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
        _assertApproval(PROVIDER, STRANGER, NATIVE, true, type(uint128).max, BOND);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, 0, 0);
    }

    function test_balance_toTheWei() public {
        vm.prank(PROVIDER);
        market.withdraw(NATIVE, NODE, LIMIT - BOND + 1);
        _assignFails(
            _assignment(t, NODE_KEY, 1),
            abi.encodeWithSelector(
                IJobMarket.InsufficientBalance.selector, PROVIDER, NATIVE, BOND - 1, uint256(BOND)
            )
        );
        _deposit(PROVIDER, NATIVE, 1);
        _assignWithTerms(t, NODE_KEY, 1);
        _assertInMarket(NATIVE, 0, 0, LIMIT, 0);
    }

    function test_balance_inAnotherTokenDoesNotHelp() public {
        vm.prank(PROVIDER);
        market.withdraw(NATIVE, NODE, LIMIT);
        _deposit(PROVIDER, address(token), LIMIT);
        _assignFails(
            _assignment(t, NODE_KEY, 1),
            abi.encodeWithSelector(
                IJobMarket.InsufficientBalance.selector, PROVIDER, NATIVE, 0, uint256(BOND)
            )
        );
    }

    function test_lockedBondsCannotBeWithdrawn() public {
        _assignWithTerms(t, NODE_KEY, 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobMarket.InsufficientBalance.selector,
                PROVIDER,
                NATIVE,
                uint256(LIMIT - BOND),
                uint256(LIMIT)
            )
        );
        vm.prank(PROVIDER);
        market.withdraw(NATIVE, PROVIDER, LIMIT);
    }

    /* COMING BACK */

    function test_release_unlocks() public {
        _assignWithTerms(t, NODE_KEY, 1);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Released(id, 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(PROVIDER, NATIVE, BOND);
        _release(t);
        _assertEvents("Released Credited");

        _assertJob(id, IJobMarket.State.Open, address(0), START, 0, 1, 0);
        _assertNothingLocked();
    }

    function test_release_byTheNodesSignatureUnlocksForTheProvider() public {
        _assignWithTerms(t, NODE_KEY, 1);
        IJobMarket.Signature memory s = _signRelease(NODE_KEY, id, 1);
        vm.prank(STRANGER);
        market.release(t, s);
        _assertNothingLocked();
    }

    function test_settle_unlocks() public {
        _assignWithTerms(t, NODE_KEY, 1);
        vm.recordLogs();
        vm.expectEmit(address(market));
        emit IJobMarket.Paid(id, PROVIDER, BOUNTY - FEE, FEE);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(PROVIDER, NATIVE, BOND);
        _settle(t, NODE_KEY, 1);
        _assertEvents("Settled Paid Credited");

        _assertNothingLocked();
        _assertBalances(NATIVE, 0, BOUNTY - FEE, FEE, 2 * LIMIT);
    }

    function test_claim_unlocksWhatWasHeld() public {
        t = _heldTerms();
        t.bond = BOND;
        _open(t);
        _assignWithTerms(t, NODE_KEY, 1);
        _settle(t, NODE_KEY, 1);
        _assertLocked(IJobMarket.State.Held);
        vm.warp(START + t.holdSeconds + 1);
        vm.recordLogs();
        _claim(t);
        _assertEvents("Paid Credited");
        _assertNothingLocked();
    }

    function test_claim_unlocksWhatWasPublished() public {
        _assignWithTerms(t, NODE_KEY, 1);
        _publish(t, NODE_KEY, 1);
        _assertLocked(IJobMarket.State.Published);
        vm.warp(START + t.challengeWindow + 1);
        vm.recordLogs();
        _claim(t);
        _assertEvents("Paid Credited");
        _assertNothingLocked();
        _assertBalances(NATIVE, FEE, BOUNTY - FEE, 0, 2 * LIMIT);
    }

    /// @dev A bond that came back can be locked again, any number of times.
    function test_limit_isFreeAgainAfterEachJob() public {
        vm.prank(PROVIDER);
        market.approveScheduler(SCHEDULER, NATIVE, BOND);
        for (uint256 i; i < 3; ++i) {
            t.salt = bytes32(i);
            _open(t);
            _assignWithTerms(t, NODE_KEY, 1);
            _settle(t, NODE_KEY, 1);
        }
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, BOND, 0);
        _assertInMarket(NATIVE, 0, LIMIT, LIMIT, 0);
    }

    /* FUZZ */

    /// @dev A bond is locked if and only if limit and balance reach, and then exactly the bond.
    function testFuzz_lock(uint128 bond, uint128 limit, uint128 held, uint8 near) public {
        bond = uint128(_between(bond, 1, type(uint128).max - 1));
        if (near & 1 == 0) limit = bond - 1 + near % 3;
        if (near & 2 == 0) held = bond - 1 + near / 4 % 3;
        vm.prank(PROVIDER);
        market.withdraw(NATIVE, NODE, LIMIT);
        _stake(PROVIDER, NATIVE, held, limit);
        t.bond = bond;
        t.salt = keccak256("fuzz");
        id = _open(t);
        IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 1);

        vm.prank(SCHEDULER);
        try market.assignWithTerms(a) {
            vm.assertTrue(bond <= limit && bond <= held, "locked");
            _assertInMarket(NATIVE, 0, held - bond, LIMIT, 0);
            _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, limit, bond);
        } catch (bytes memory error_) {
            bytes memory expected = bond > limit
                ? _aboveLimit(bond, limit)
                : abi.encodeWithSelector(
                    IJobMarket.InsufficientBalance.selector, PROVIDER, NATIVE, uint256(held), uint256(bond)
                );
            vm.assertEq(error_, expected, "reason");
            _assertInMarket(NATIVE, 0, held, LIMIT, 0);
            _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, limit, 0);
        }
    }

    struct Model {
        uint256 used;
        uint256 limit;
        uint256 held;
        uint256 submitter;
    }

    /// @dev Random histories of one provider's bonds in one scheduler's hands, beside a model in four numbers.
    function testFuzz_histories(uint256 seed, uint128[8] calldata bonds) public {
        Model memory m = Model(0, LIMIT, LIMIT, 0);
        for (uint256 i; i < bonds.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            t.salt = bytes32(i);
            t.bond = uint128(_between(bonds[i], 1, 4 * BOND));
            t.deadline = _now() + 1 days;
            _open(t);
            IJobMarket.Assignment memory a = _assignment(t, NODE_KEY, 1);
            if (m.used + t.bond > m.limit) {
                _assignFails(a, _aboveLimit(m.used + t.bond, m.limit));
                continue;
            }
            _assign(a);
            (m.used, m.held) = (m.used + t.bond, m.held - t.bond);
            _checkModel(m);
            _end(m, seed % 5);
            _checkModel(m);
        }
    }

    function _end(Model memory m, uint256 how) private {
        // One in five stays locked for the rest of the history.
        if (how == 0) return;
        if (how == 1) _settle(t, NODE_KEY, 1);
        if (how == 2) _release(t);
        if (how <= 2) {
            (m.used, m.held) = (m.used - t.bond, m.held + t.bond);
            return;
        }
        if (how == 3) {
            _lapse(t);
            m.submitter += t.bond - t.bond / 2;
        } else {
            vm.warp(t.deadline + 1);
            market.refund(t);
        }
        m.used -= t.bond;
        m.limit -= t.bond;
    }

    function _checkModel(Model memory m) private view {
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, m.limit, m.used);
        _assertInMarket(NATIVE, m.submitter, m.held, LIMIT, 0);
    }

    /* STEPS */

    function _acceptHash(bytes32 id_, uint16 attempt, uint40 expires) private pure returns (bytes32) {
        bytes32 typeHash = keccak256("Accept(bytes32 jobId,uint16 attempt,uint40 expires)");
        return keccak256(abi.encode(typeHash, id_, attempt, expires));
    }

    function _assertLocked(IJobMarket.State state) private view {
        _assertState(_id(t), state);
        _assertApproval(PROVIDER, SCHEDULER, NATIVE, true, LIMIT, BOND);
        _assertInMarket(NATIVE, 0, LIMIT - BOND, LIMIT, 0);
    }

    function _assertNothingLocked() private view {
        (, uint128 limit, uint128 used) = market.approval(PROVIDER, SCHEDULER, NATIVE);
        vm.assertEq(limit, LIMIT, "limit");
        vm.assertEq(used, 0, "used");
        _assertApproval(OTHER_PROVIDER, SCHEDULER, NATIVE, true, LIMIT, 0);
        _assertInMarket(NATIVE, 0, LIMIT, LIMIT, 0);
    }
}
