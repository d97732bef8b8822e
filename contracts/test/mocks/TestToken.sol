// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "solady/tokens/ERC20.sol";

/// @notice A well-behaved ERC-20 token that anyone can mint. For tests and local chains only.
contract TestToken is ERC20 {
    function name() public pure override returns (string memory) {
        return "Gristmill Test Token";
    }

    function symbol() public pure override returns (string memory) {
        return "GTT";
    }

    /// @notice Creates tokens out of nothing.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
