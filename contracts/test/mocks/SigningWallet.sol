// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "solady/utils/ECDSA.sol";

import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";

/// @notice A wallet that is a contract: it acts for its owner, and answers for signatures (EIP-1271) as its test tells it.
contract SigningWallet {
    enum Mood {
        Check,
        SayYes,
        SayYesAtLength,
        SayNo,
        SayNothing,
        SayFourBytes,
        SayYesAndMore,
        Revert,
        FloodReturnData,
        BurnGas,
        Act
    }

    IJobMarket private immutable MARKET;
    address private immutable OWNER;
    Mood public mood;
    bool private _refusesMoney;

    constructor(IJobMarket market, address owner) {
        MARKET = market;
        OWNER = owner;
    }

    receive() external payable {
        require(!_refusesMoney, "no");
    }

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function refuseMoney() external {
        _refusesMoney = true;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external returns (bytes4) {
        if (mood == Mood.Check) {
            return ECDSA.tryRecoverCalldata(digest, signature) == OWNER
                ? this.isValidSignature.selector
                : bytes4(0xffffffff);
        }
        if (mood == Mood.SayNo) return 0xffffffff;
        if (mood == Mood.Revert) revert("no");
        if (mood == Mood.BurnGas) while (true) {}
        if (mood == Mood.Act) {
            // Whoever is asked for a signature may not act: this fails, and the answer with it.
            MARKET.withdraw(address(0), OWNER, 1);
        }
        bytes32 yes = this.isValidSignature.selector;
        Mood mood_ = mood;
        assembly {
            mstore(0, yes)
            if eq(mood_, 2) { return(0, 20000) }
            if eq(mood_, 4) { return(0, 0) }
            if eq(mood_, 5) { return(0, 4) }
            if eq(mood_, 6) {
                mstore(0, or(yes, 1))
                return(0, 32)
            }
            if eq(mood_, 8) { revert(0, 50000) }
            return(0, 32)
        }
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
