// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";

interface IERC5267 {
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );
}

/// @notice `enroll`, `revoke` and the approval of schedulers.
contract NodesTest is Base {
    uint256 private constant NEW_KEY = 0xC0DE;
    address private immutable NEW = vm.addr(NEW_KEY);

    function test_enroll_bindsTheNodeToTheCaller() public {
        IJobMarket.Signature memory s = _signEnroll(NEW_KEY, PROVIDER, START);
        vm.expectEmit(address(market));
        emit IJobMarket.Enrolled(NEW, PROVIDER);
        vm.prank(PROVIDER);
        market.enroll(NEW, START, s);
        _assertNode(NEW, PROVIDER, false);
    }

    /// @dev Both must consent: the wallet by calling, the node by signing for this wallet.
    function test_enroll_refusesWithoutTheNodesConsentToThisProvider() public {
        IJobMarket.Signature memory s = _signEnroll(NEW_KEY, PROVIDER, START);
        _enrollFails(STRANGER, START, s);
        _enrollFails(PROVIDER, START + 1, s);
        _enrollFails(PROVIDER, START, _noSignature());
        _enrollFails(PROVIDER, START, _signEnroll(NODE_KEY, PROVIDER, START));
        _assertNode(NEW, address(0), false);
    }

    function test_enroll_refusesConsentForAnotherChainOrContract() public {
        bytes32 home = domain;
        domain = _domain(block.chainid + 1, address(market));
        IJobMarket.Signature memory s = _signEnroll(NEW_KEY, PROVIDER, START);
        domain = home;
        _enrollFails(PROVIDER, START, s);
        domain = _domain(block.chainid, address(token));
        s = _signEnroll(NEW_KEY, PROVIDER, START);
        domain = home;
        _enrollFails(PROVIDER, START, s);
        _assertNode(NEW, address(0), false);
    }

    /// @dev A signature that recovers to nobody must not enroll the zero address.
    function test_enroll_refusesTheZeroAddress() public {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.BadSignature.selector, address(0), address(0)));
        vm.prank(PROVIDER);
        market.enroll(address(0), START, _noSignature());
    }

    function test_enroll_refusesAfterExpiry() public {
        IJobMarket.Signature memory s = _signEnroll(NEW_KEY, PROVIDER, START);
        vm.warp(START + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.EnrollmentExpired.selector, START));
        vm.prank(PROVIDER);
        market.enroll(NEW, START, s);
    }

    function test_enroll_isForGood() public {
        bytes memory taken = abi.encodeWithSelector(IJobMarket.AlreadyEnrolled.selector, NODE, PROVIDER);
        IJobMarket.Signature memory s = _signEnroll(NODE_KEY, OTHER_PROVIDER, START);
        vm.expectRevert(taken);
        vm.prank(OTHER_PROVIDER);
        market.enroll(NODE, START, s);

        vm.prank(PROVIDER);
        market.revoke(NODE);
        s = _signEnroll(NODE_KEY, PROVIDER, START);
        vm.expectRevert(taken);
        vm.prank(PROVIDER);
        market.enroll(NODE, START, s);
        _assertNode(NODE, PROVIDER, true);
    }

    function test_revoke_byTheProviderOnce() public {
        vm.expectEmit(address(market));
        emit IJobMarket.Revoked(NODE, PROVIDER);
        vm.prank(PROVIDER);
        market.revoke(NODE);
        _assertNode(NODE, PROVIDER, true);

        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NodeRevoked.selector, NODE));
        vm.prank(PROVIDER);
        market.revoke(NODE);
    }

    function test_revoke_refusesOthers() public {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotProvider.selector, OTHER_PROVIDER, PROVIDER));
        vm.prank(OTHER_PROVIDER);
        market.revoke(NODE);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.NotProvider.selector, PROVIDER, address(0)));
        vm.prank(PROVIDER);
        market.revoke(NEW);
        _assertNode(NODE, PROVIDER, false);
    }

    /// @dev A scheduler is approved for all the provider's nodes, and limited in each token by itself.
    function test_approval_isPerSchedulerAndItsLimitPerToken() public {
        vm.expectEmit(address(market));
        emit IJobMarket.SchedulerApproved(STRANGER, SCHEDULER, address(token), 7);
        vm.prank(STRANGER);
        market.approveScheduler(SCHEDULER, address(token), 7);
        _assertApproval(STRANGER, SCHEDULER, address(token), true, 7, 0);
        _assertApproval(STRANGER, SCHEDULER, NATIVE, true, 0, 0);
        _assertApproval(STRANGER, STRANGER, address(token), false, 0, 0);
        _assertApproval(SCHEDULER, STRANGER, address(token), false, 0, 0);

        vm.expectEmit(address(market));
        emit IJobMarket.SchedulerDisapproved(STRANGER, SCHEDULER);
        vm.prank(STRANGER);
        market.disapproveScheduler(SCHEDULER);
        _assertApproval(STRANGER, SCHEDULER, address(token), false, 7, 0);
        _assertApproval(STRANGER, SCHEDULER, NATIVE, false, 0, 0);
        _assertApproval(PROVIDER, SCHEDULER, address(token), true, 0, 0);
    }

    /// @dev Wallets and explorers read the domain from here (ERC-5267).
    function test_domain() public view {
        (, string memory name, string memory version, uint256 chainId, address verifyingContract,,) =
            IERC5267(address(market)).eip712Domain();
        vm.assertEq(keccak256(bytes(name)), keccak256("Gristmill"), "name");
        vm.assertEq(keccak256(bytes(version)), keccak256("1"), "version");
        vm.assertEq(chainId, block.chainid, "chain id");
        vm.assertEq(verifyingContract, address(market), "contract");
        vm.assertEq(market.domainSeparator(), domain, "domain separator");
    }

    function _enrollFails(address caller, uint40 expires, IJobMarket.Signature memory s) private {
        bytes32 typeHash = keccak256("Enroll(address node,address provider,uint40 expires)");
        vm.expectRevert(_badSignature(NEW, keccak256(abi.encode(typeHash, NEW, caller, expires)), s));
        vm.prank(caller);
        market.enroll(NEW, expires, s);
    }

    function _assertNode(address node, address provider, bool revoked) private view {
        (address provider_, bool revoked_) = market.node(node);
        vm.assertEq(provider_, provider, "provider");
        vm.assertTrue(revoked_ == revoked, "revoked");
    }
}
