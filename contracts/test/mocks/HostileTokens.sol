// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {TestToken} from "./TestToken.sol";

/// @notice Its transfers return nothing, like some of the oldest tokens in use.
contract SilentToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Says false instead of reverting, for the accounts that it blocks.
contract FalseToken is TestToken {
    mapping(address => bool) public blocked;

    function setBlocked(address account, bool value) external {
        blocked[account] = value;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return !blocked[to] && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return !blocked[from] && super.transferFrom(from, to, amount);
    }
}

/// @notice Keeps one percent of what moves.
contract FeeOnTransferToken is TestToken {
    function transferFrom(address from, address to, uint256 amount) public override returns (bool ok) {
        ok = super.transferFrom(from, to, amount);
        _burn(to, amount / 100);
    }
}

/// @notice Works until it is told to misbehave.
contract MoodyToken is TestToken {
    enum Mood {
        Calm,
        Revert,
        BurnGas,
        FloodReturnData,
        ShortAnswer,
        OddAnswer
    }

    Mood public mood;

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (mood == Mood.Revert) revert("no");
        if (mood == Mood.BurnGas) while (true) {}
        if (mood == Mood.FloodReturnData) {
            assembly {
                revert(0, 200000)
            }
        }
        if (mood == Mood.ShortAnswer) {
            assembly {
                mstore(0, not(0))
                return(0, 31)
            }
        }
        if (mood == Mood.OddAnswer) {
            assembly {
                mstore(0, 3)
                return(0, 32)
            }
        }
        return super.transfer(to, amount);
    }
}

/// @notice Adds one to what moves.
contract GenerousToken is TestToken {
    function transferFrom(address from, address to, uint256 amount) public override returns (bool ok) {
        ok = super.transferFrom(from, to, amount);
        _mint(to, 1);
    }
}

/// @notice Lets the sender of a deposit act in the middle of it, as ERC-777 does, and moves nothing itself.
contract HookToken is TestToken {
    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (from.code.length != 0) {
            HookDepositor(from).onTransfer(amount);
            return true;
        }
        return super.transferFrom(from, to, amount);
    }
}

/// @notice Calls the market from inside a deposit, and then pays in what was asked.
contract HookDepositor {
    IJobMarket private immutable MARKET;
    bytes private _inner;
    bool private _acting;
    bool public innerOk;
    bytes public innerAnswer;

    constructor(IJobMarket market) {
        MARKET = market;
    }

    function act(bytes calldata outer, bytes calldata inner) external {
        _inner = inner;
        (bool ok, bytes memory answer) = address(MARKET).call(outer);
        if (!ok) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }

    function onTransfer(uint256 amount) external {
        if (!_acting) {
            _acting = true;
            (innerOk, innerAnswer) = address(MARKET).call(_inner);
            _acting = false;
        }
        require(TestToken(msg.sender).transfer(address(MARKET), amount), "transfer");
    }
}
