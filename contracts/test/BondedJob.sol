// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Steps} from "./Steps.sol";

/// @notice An open job with a bond, and two providers that have ten such bonds each and let the scheduler lock them.
abstract contract BondedJob is Steps {
    uint128 internal constant LIMIT = 10 * BOND;

    IJobMarket.Terms internal t;
    bytes32 internal id;

    function setUp() public virtual override {
        super.setUp();
        _stake(PROVIDER, NATIVE, LIMIT, LIMIT);
        _stake(OTHER_PROVIDER, NATIVE, LIMIT, LIMIT);
        t = _bondedTerms();
        id = _open(t);
    }
}
