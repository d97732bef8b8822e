// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../interfaces/IJobMarket.sol";

/// @notice The part of ERC-20 that the market uses.
interface IERC20 {
    function balanceOf(address owner) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @notice The part of EIP-2612 that the market uses.
interface IERC2612 {
    function permit(
        address owner,
        address spender,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}

/// @title Transfers
/// @notice Moves the native coin (token zero) and ERC-20 tokens, also those that return nothing, past receivers
/// and tokens that may be hostile: at most one word of return data is ever copied.
library Transfers {
    /// @notice What a push may burn in a contract that receives the native coin.
    uint256 internal constant NATIVE_PUSH_GAS = 50_000;
    /// @notice What a push may burn in a token.
    uint256 internal constant TOKEN_PUSH_GAS = 150_000;
    /// @notice What a call with value costs by itself, and the way to it.
    uint256 private constant CALL_OVERHEAD_GAS = 15_000;

    /// @notice Sends with a gas limit that the caller must cover, so that nobody can make a push fail by starving
    /// it, and no receiver can spend without bound.
    /// @return ok false if the receiver or the token refused.
    function push(address token, address to, uint256 amount) internal returns (bool ok) {
        if (token == address(0)) {
            // Without code nothing runs at the receiver, so there is nothing to cover.
            uint256 limit = to.code.length == 0 ? 0 : NATIVE_PUSH_GAS;
            if (limit != 0) _requireGas(limit);
            return _callNative(to, limit, amount);
        }
        _requireGas(TOKEN_PUSH_GAS);
        return _callToken(token, TOKEN_PUSH_GAS, abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    /// @notice Sends with all the gas there is, for a caller that pays for itself.
    /// @return ok false if the receiver or the token refused.
    function send(address token, address to, uint256 amount) internal returns (bool ok) {
        if (token == address(0)) return _callNative(to, gasleft(), amount);
        return _callToken(token, gasleft(), abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    /// @notice Takes exactly `amount` from an owner that allowed it, or reverts.
    function pull(address token, address from, uint256 amount) internal {
        uint256 before = _balance(token);
        if (!_callToken(token, gasleft(), abi.encodeCall(IERC20.transferFrom, (from, address(this), amount))))
        {
            revert IJobMarket.TransferFromFailed(token, from, amount);
        }
        uint256 current = _balance(token);
        uint256 received = current < before ? 0 : current - before;
        if (received != amount) revert IJobMarket.TokenAmountMismatch(token, received, amount);
    }

    /// @notice Hands an owner's permit to a token. It may have been used before by anybody, so only the allowance
    /// counts, which `pull` finds out.
    function permit(address token, address owner, uint256 amount, IJobMarket.Permit calldata p) internal {
        _callToken(
            token,
            gasleft(),
            abi.encodeCall(IERC2612.permit, (owner, address(this), amount, p.deadline, p.v, p.r, p.s))
        );
    }

    /// @dev A token that does not answer has a balance of zero, so the amounts will not match.
    function _balance(address token) private view returns (uint256 held) {
        bytes memory data = abi.encodeCall(IERC20.balanceOf, (address(this)));
        assembly ("memory-safe") {
            let ok := staticcall(gas(), token, add(data, 0x20), mload(data), 0x00, 0x20)
            if and(ok, gt(returndatasize(), 0x1f)) { held := mload(0x00) }
        }
    }

    function _callNative(address to, uint256 limit, uint256 amount) private returns (bool ok) {
        assembly ("memory-safe") {
            ok := call(limit, to, amount, 0x00, 0x00, 0x00, 0x00)
        }
    }

    /// @dev A token succeeds if it has code, does not revert, and returns nothing or true.
    function _callToken(address token, uint256 limit, bytes memory data) private returns (bool ok) {
        if (token.code.length == 0) return false;
        assembly ("memory-safe") {
            ok := call(limit, token, 0, add(data, 0x20), mload(data), 0x00, 0x20)
            let size := returndatasize()
            ok := and(ok, or(iszero(size), and(gt(size, 0x1f), eq(mload(0x00), 1))))
        }
    }

    /// @dev A call forwards at most 63/64 of the gas that is left (EIP-150).
    function _requireGas(uint256 limit) private view {
        uint256 required = limit * 64 / 63 + CALL_OVERHEAD_GAS;
        uint256 available = gasleft();
        if (available < required) revert IJobMarket.InsufficientGas(available, required);
    }
}
