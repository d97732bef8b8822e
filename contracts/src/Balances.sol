// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "solady/utils/ReentrancyGuard.sol";

import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {Transfers} from "./libraries/Transfers.sol";

/// @title Balances
/// @notice What each party has in the market, and every movement of money in and out of it.
/// @dev Whoever calls out, to pay or to take a token, writes all new state first: entering any verb from a receiver
/// or a token is the same as calling it afterwards. Only a token that comes in is measured by a balance, so only that
/// is guarded, against a second one inside the first. Nothing else reads a balance.
abstract contract Balances is IJobMarket, ReentrancyGuard {
    mapping(address owner => mapping(address token => uint256 amount)) internal _balances;

    /// @inheritdoc IJobMarket
    function deposit(address token, uint256 amount) external payable {
        _deposit(token, amount);
        _take(token, amount);
    }

    /// @inheritdoc IJobMarket
    function depositWithPermit(address token, uint256 amount, Permit calldata permit) external {
        _deposit(token, amount);
        Transfers.permit(token, msg.sender, amount, permit);
        _take(token, amount);
    }

    /// @inheritdoc IJobMarket
    function withdraw(address token, address to, uint256 amount) external {
        if (to == address(0) || to == address(this)) revert InvalidRecipient(to);
        uint256 held = _balances[msg.sender][token];
        if (amount > held) revert InsufficientBalance(msg.sender, token, held, amount);

        _balances[msg.sender][token] = held - amount;
        emit Withdrawn(msg.sender, token, to, amount);
        if (!Transfers.send(token, to, amount)) revert WithdrawFailed(token, to, amount);
    }

    /// @inheritdoc IJobMarket
    function balance(address owner, address token) external view returns (uint256) {
        return _balances[owner][token];
    }

    /// @dev Takes from the caller what it has to bring. Guarded, because a token that lets its owner act during the
    /// transfer could otherwise have one deposit counted twice.
    function _take(address token, uint256 amount) internal {
        if (token == address(0)) {
            if (msg.value != amount) revert WrongValue(msg.value, amount);
        } else {
            if (msg.value != 0) revert WrongValue(msg.value, 0);
            if (amount != 0) _pull(token, amount);
        }
    }

    function _pull(address token, uint256 amount) private nonReentrant {
        Transfers.pull(token, msg.sender, amount);
    }

    function _deposit(address token, uint256 amount) internal {
        _balances[msg.sender][token] += amount;
        emit Deposited(msg.sender, token, amount);
    }

    function _credit(address owner, address token, uint256 amount) internal {
        _balances[owner][token] += amount;
        emit Credited(owner, token, amount);
    }

    /// @dev A payment that fails becomes a credit, so no receiver can block anybody else.
    function _pay(address token, address to, uint256 amount) internal {
        if (amount != 0 && !Transfers.push(token, to, amount)) _credit(to, token, amount);
    }

    function _insufficientBalance(address owner, address token, uint256 available, uint256 required)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(InsufficientBalance.selector, owner, token, available, required);
    }
}
