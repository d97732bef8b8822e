// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "solady/utils/ECDSA.sol";
import {EIP712} from "solady/utils/EIP712.sol";

import {Balances} from "./Balances.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";

/// @title Nodes
/// @notice Whose node it is, which scheduler may give it jobs, and how much of its provider's balance is at risk.
abstract contract Nodes is Balances, EIP712 {
    struct Node {
        address provider;
        bool revoked;
    }

    struct BondLimit {
        uint128 limit;
        uint128 used;
    }

    bytes32 private constant ENROLL_TYPEHASH =
        keccak256("Enroll(address node,address provider,uint40 expires)");

    mapping(address node => Node) internal _nodes;
    mapping(address provider => mapping(address scheduler => bool)) private _approved;
    mapping(address provider => mapping(address scheduler => mapping(address token => BondLimit))) private
        _bondLimits;

    /// @inheritdoc IJobMarket
    function enroll(address node_, uint40 expires, Signature calldata nodeSignature) external {
        if (_now() > expires) revert EnrollmentExpired(expires);
        address provider = _nodes[node_].provider;
        if (provider != address(0)) revert AlreadyEnrolled(node_, provider);
        bytes32 structHash = keccak256(abi.encode(ENROLL_TYPEHASH, node_, msg.sender, expires));
        _raise(_checkSignature(node_, structHash, nodeSignature));

        _nodes[node_] = Node({provider: msg.sender, revoked: false});
        emit Enrolled(node_, msg.sender);
    }

    /// @inheritdoc IJobMarket
    function revoke(address node_) external {
        Node memory n = _nodes[node_];
        if (msg.sender != n.provider) revert NotProvider(msg.sender, n.provider);
        if (n.revoked) revert NodeRevoked(node_);

        _nodes[node_].revoked = true;
        emit Revoked(node_, msg.sender);
    }

    /// @inheritdoc IJobMarket
    function approveScheduler(address scheduler, address token, uint128 bondLimit) external {
        _approved[msg.sender][scheduler] = true;
        _bondLimits[msg.sender][scheduler][token].limit = bondLimit;
        emit SchedulerApproved(msg.sender, scheduler, token, bondLimit);
    }

    /// @inheritdoc IJobMarket
    function disapproveScheduler(address scheduler) external {
        _approved[msg.sender][scheduler] = false;
        emit SchedulerDisapproved(msg.sender, scheduler);
    }

    /// @inheritdoc IJobMarket
    function node(address node_) external view returns (address provider, bool revoked) {
        Node memory n = _nodes[node_];
        return (n.provider, n.revoked);
    }

    /// @inheritdoc IJobMarket
    function approval(address provider, address scheduler, address token)
        external
        view
        returns (bool approved, uint128 bondLimit, uint128 bondUsed)
    {
        BondLimit memory bonds = _bondLimits[provider][scheduler][token];
        return (_approved[provider][scheduler], bonds.limit, bonds.used);
    }

    /// @inheritdoc IJobMarket
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparator();
    }

    /* INTERNAL */

    function _checkNode(address node_) internal view returns (address provider, bytes memory error) {
        Node memory n = _nodes[node_];
        provider = n.provider;
        if (provider == address(0)) {
            error = abi.encodeWithSelector(NotEnrolled.selector, node_);
        } else if (n.revoked) {
            error = abi.encodeWithSelector(NodeRevoked.selector, node_);
        } else if (!_approved[provider][msg.sender]) {
            error = abi.encodeWithSelector(SchedulerNotApproved.selector, provider, msg.sender);
        }
    }

    function _tryLock(address provider, Terms calldata t) internal returns (bytes memory error) {
        (address token, uint128 bond) = (t.token, t.bond);
        BondLimit storage bonds = _bondLimits[provider][msg.sender][token];
        uint256 used = uint256(bonds.used) + bond;
        if (used > bonds.limit) {
            return abi.encodeWithSelector(BondAboveLimit.selector, provider, msg.sender, used, bonds.limit);
        }
        uint256 held = _balances[provider][token];
        if (held < bond) return _insufficientBalance(provider, token, held, bond);
        bonds.used += bond;
        _balances[provider][token] = held - bond;
        emit Debited(provider, token, bond);
    }

    function _unlock(address provider, Terms calldata t) internal {
        if (t.bond == 0) return;
        _bondLimits[provider][t.scheduler][t.token].used -= t.bond;
        _credit(provider, t.token, t.bond);
    }

    /// @dev The limit falls with the bond, so a stolen node key cannot drain the provider's balance.
    function _loseBond(address provider, Terms calldata t) internal {
        BondLimit storage bonds = _bondLimits[provider][t.scheduler][t.token];
        bonds.used -= t.bond;
        bonds.limit = bonds.limit < t.bond ? 0 : bonds.limit - t.bond;
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Gristmill", "1");
    }

    /// @dev A signature that recovers to nobody recovers to zero, which `enroll` never lets become a node.
    function _checkSignature(address signer, bytes32 structHash, Signature calldata signature)
        internal
        view
        returns (bytes memory error)
    {
        address recovered = ECDSA.tryRecover(_hashTypedData(structHash), signature.r, signature.vs);
        if (recovered != signer || recovered == address(0)) {
            return abi.encodeWithSelector(BadSignature.selector, signer, recovered);
        }
    }

    function _now() internal view returns (uint40) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint40(block.timestamp);
    }

    function _raise(bytes memory error) internal pure {
        if (error.length == 0) return;
        assembly ("memory-safe") {
            revert(add(error, 0x20), mload(error))
        }
    }
}
