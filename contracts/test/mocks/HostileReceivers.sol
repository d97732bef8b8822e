// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";

/// @notice A wallet that is a contract and does what its test tells it to when money arrives.
contract MoodyWallet {
    enum Mood {
        Accept,
        Count,
        Revert,
        BurnGas,
        FloodReturnData,
        Reenter
    }

    IJobMarket private immutable MARKET;
    Mood public mood;
    uint256 public received;
    address private _call;
    uint256 public reentered;

    constructor(IJobMarket market) {
        MARKET = market;
    }

    receive() external payable {
        if (mood == Mood.Count) ++received;
        if (mood == Mood.Revert) revert("no");
        if (mood == Mood.BurnGas) while (true) {}
        if (mood == Mood.FloodReturnData) {
            assembly {
                revert(0, 50000)
            }
        }
        if (mood == Mood.Reenter) {
            (bool ok,) = address(MARKET).call(_call.code);
            if (ok) ++reentered;
        }
    }

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    /// @notice The call to the market that is made when money arrives in the mood `Reenter` is the code of `call`,
    /// where reading it costs little of the gas that a push has.
    function setCall(address call) external {
        _call = call;
    }

    /// @notice Calls the market as this wallet.
    function act(bytes calldata data) external payable returns (bytes memory) {
        (bool ok, bytes memory answer) = address(MARKET).call{value: msg.value}(data);
        if (!ok) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        return answer;
    }
}
