// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobMarket} from "../../src/interfaces/IJobMarket.sol";
import {JobSlot, Slot} from "../../src/libraries/JobSlot.sol";

/// @notice The cheatcodes that the proofs use.
interface ProverVm {
    function assume(bool condition) external pure;
    function getCode(string calldata path) external view returns (bytes memory);
    function prank(address caller) external;
    function store(address account, bytes32 slot, bytes32 value) external;
    function warp(uint256 timestamp) external;
    function deal(address account, uint256 amount) external;
}

/// @notice What holds for all terms, times, callers, signatures and job words at once; `npm run prove` proves it with
/// halmos. `ecrecover` is an unknown function here: whatever it says, these hold.
/// @dev The parties are fixed addresses, and the coin is the token; what a hostile receiver or token can do is tested in
/// `Hostile.t.sol`. A job is put into any state by writing its word, so the proofs do not depend on how it got there.
contract Proofs {
    ProverVm private constant vm = ProverVm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address private constant SUBMITTER = address(0x5B);
    address private constant SCHEDULER = address(0x5C);
    address private constant ARBITER = address(0xAB);
    address private constant PROVIDER = address(0xFE);
    address private constant NODE = address(0xDE);

    /// @dev As `forge inspect JobMarket storage-layout` tells.
    uint256 private constant BALANCES_SLOT = 0;
    uint256 private constant NODES_SLOT = 1;
    uint256 private constant APPROVED_SLOT = 2;
    uint256 private constant BOND_LIMITS_SLOT = 3;
    uint256 private constant JOBS_SLOT = 4;

    bytes32 private constant RESULT_TYPEHASH =
        keccak256("Result(bytes32 jobId,uint16 attempt,address node,bytes32 receiptHash)");

    IJobMarket private market;

    function setUp() public {
        bytes memory code = vm.getCode("cache/prove/out/JobMarket.sol/JobMarket.json");
        address created;
        assembly {
            created := create(0, add(code, 0x20), mload(code))
        }
        market = IJobMarket(created);
        vm.store(created, keccak256(abi.encode(NODE, NODES_SLOT)), bytes32(uint256(uint160(PROVIDER))));
        bytes32 approved = keccak256(abi.encode(SCHEDULER, keccak256(abi.encode(PROVIDER, APPROVED_SLOT))));
        vm.store(created, approved, bytes32(uint256(1)));
        vm.deal(created, 2 ** 120);
    }

    /* NO DOUBLE PAY */

    /// @dev What has ended stays as it is, and no verb of a job goes through any more.
    function check_ended_settle(IJobMarket.Terms calldata t, uint256 word, uint40 time, bytes32 r, bytes32 vs)
        public
    {
        IJobMarket.Signature memory s = IJobMarket.Signature(r, vs);
        _ended(t, word, time, SCHEDULER, abi.encodeCall(IJobMarket.settle, (t, r, s)));
    }

    function check_ended_claim(IJobMarket.Terms calldata t, uint256 word, uint40 time, address caller)
        public
    {
        _ended(t, word, time, caller, abi.encodeCall(IJobMarket.claim, (t)));
    }

    function check_ended_refund(IJobMarket.Terms calldata t, uint256 word, uint40 time, address caller)
        public
    {
        _ended(t, word, time, caller, abi.encodeCall(IJobMarket.refund, (t)));
    }

    function check_ended_cancel(IJobMarket.Terms calldata t, uint256 word, uint40 time) public {
        _ended(t, word, time, SUBMITTER, abi.encodeCall(IJobMarket.cancel, (t)));
    }

    function check_ended_open(IJobMarket.Terms calldata t, uint256 word, uint40 time) public {
        _ended(t, word, time, SUBMITTER, abi.encodeCall(IJobMarket.open, (t)));
    }

    function check_ended_rule(IJobMarket.Terms calldata t, uint256 word, uint40 time, uint8 ruling) public {
        vm.assume(ruling < 3);
        _ended(t, word, time, ARBITER, abi.encodeCall(IJobMarket.rule, (t, IJobMarket.Ruling(ruling))));
    }

    function check_ended_dispute(IJobMarket.Terms calldata t, uint256 word, uint40 time) public {
        _ended(t, word, time, SUBMITTER, abi.encodeCall(IJobMarket.dispute, (t)));
    }

    function check_ended_assign(IJobMarket.Terms calldata t, uint256 word, uint40 time, uint16 attempt)
        public
    {
        _ended(t, word, time, SCHEDULER, abi.encodeCall(IJobMarket.assign, (market.jobId(t), NODE, attempt)));
    }

    function check_ended_lapse(IJobMarket.Terms calldata t, uint256 word, uint40 time) public {
        _ended(t, word, time, SCHEDULER, abi.encodeCall(IJobMarket.lapse, (t)));
    }

    function check_ended_publish(
        IJobMarket.Terms calldata t,
        uint256 word,
        uint40 time,
        bytes32 r,
        bytes32 vs
    ) public {
        IJobMarket.Signature memory s = IJobMarket.Signature(r, vs);
        _ended(t, word, time, NODE, abi.encodeCall(IJobMarket.publish, (t, r, s)));
    }

    function _ended(IJobMarket.Terms calldata t, uint256 word, uint40 time, address caller, bytes memory data)
        private
    {
        _parties(t);
        IJobMarket.State state = _put(t, word);
        vm.assume(
            state == IJobMarket.State.Paid || state == IJobMarket.State.Refunded
                || state == IJobMarket.State.Cancelled
        );
        vm.warp(time);
        vm.prank(caller);
        (bool ok,) = address(market).call(data);
        assert(!ok);
    }

    /* REFUNDS */

    /// @dev Whoever asks, a refund comes only after the deadline, only for a job without a result, and ends it.
    function check_refund_onlyAfterTheDeadline(
        IJobMarket.Terms calldata t,
        uint256 word,
        uint40 time,
        address caller
    ) public {
        _parties(t);
        IJobMarket.State before = _put(t, word);
        vm.warp(time);
        uint256 held = SUBMITTER.balance;
        vm.prank(caller);
        (bool ok,) = address(market).call(abi.encodeCall(IJobMarket.refund, (t)));
        if (!ok) return;
        assert(time > t.deadline);
        assert(before == IJobMarket.State.Open || before == IJobMarket.State.Assigned);
        assert(_state(t) == IJobMarket.State.Refunded);
        assert(SUBMITTER.balance >= held + t.bounty);
    }

    /* PAYMENTS */

    /// @dev If a settlement pays, the node that holds the job signed this very result, and its provider gets what the
    /// terms say.
    function check_settle_paysTheProviderOfTheNodeThatSigned(
        IJobMarket.Terms calldata t,
        uint256 word,
        uint40 time,
        address caller,
        bytes32 receiptHash,
        bytes32 r,
        bytes32 vs
    ) public {
        _parties(t);
        vm.assume(t.bond == 0);
        _put(t, word);
        Slot before = Slot.wrap(word);
        vm.assume(before.party() == NODE);
        vm.warp(time);
        uint256 held = PROVIDER.balance;
        vm.prank(caller);
        (bool ok,) = address(market)
            .call(abi.encodeCall(IJobMarket.settle, (t, receiptHash, IJobMarket.Signature(r, vs))));
        if (!ok) return;
        assert(caller == SCHEDULER);
        assert(_signer(t, before.attempt(), receiptHash, r, vs) == NODE);
        if (t.holdSeconds == 0) assert(PROVIDER.balance == held + t.bounty - t.fee);
        else assert(PROVIDER.balance == held && _state(t) == IJobMarket.State.Held);
    }

    /// @dev The same for a result that anybody brings on chain.
    function check_publish_onlyWhatTheNodeSigned(
        IJobMarket.Terms calldata t,
        uint256 word,
        uint40 time,
        address caller,
        bytes32 receiptHash,
        bytes32 r,
        bytes32 vs
    ) public {
        _parties(t);
        _put(t, word);
        Slot before = Slot.wrap(word);
        vm.assume(before.party() == NODE);
        vm.warp(time);
        vm.prank(caller);
        (bool ok,) = address(market)
            .call(abi.encodeCall(IJobMarket.publish, (t, receiptHash, IJobMarket.Signature(r, vs))));
        if (!ok) return;
        assert(before.state() == IJobMarket.State.Assigned && time <= t.deadline);
        assert(_signer(t, before.attempt(), receiptHash, r, vs) == NODE);
    }

    /* BONDS */

    /// @dev While the lease runs and the deadline has not passed, nothing takes the bond from the provider: it stays
    /// locked, or is the provider's again.
    function check_bond_lapse(IJobMarket.Terms calldata t, uint256 word, uint40 time, address caller) public {
        _bonded(t, word, time, caller, abi.encodeCall(IJobMarket.lapse, (t)));
    }

    function check_bond_refund(IJobMarket.Terms calldata t, uint256 word, uint40 time, address caller)
        public
    {
        _bonded(t, word, time, caller, abi.encodeCall(IJobMarket.refund, (t)));
    }

    function check_bond_cancel(IJobMarket.Terms calldata t, uint256 word, uint40 time, address caller)
        public
    {
        _bonded(t, word, time, caller, abi.encodeCall(IJobMarket.cancel, (t)));
    }

    function check_bond_callIn(IJobMarket.Terms calldata t, uint256 word, uint40 time, address caller)
        public
    {
        _bonded(t, word, time, caller, abi.encodeCall(IJobMarket.callIn, (t)));
    }

    function check_bond_rule(
        IJobMarket.Terms calldata t,
        uint256 word,
        uint40 time,
        address caller,
        uint8 ruling
    ) public {
        vm.assume(ruling < 3);
        _bonded(t, word, time, caller, abi.encodeCall(IJobMarket.rule, (t, IJobMarket.Ruling(ruling))));
    }

    function check_bond_takeover(
        IJobMarket.Terms calldata t,
        uint256 word,
        uint40 time,
        uint16 attempt,
        bytes32 r,
        bytes32 vs
    ) public {
        IJobMarket.Assignment memory a = IJobMarket.Assignment(
            t, NODE, attempt, type(uint40).max, IJobMarket.Signature(r, vs)
        );
        _bonded(t, word, time, SCHEDULER, abi.encodeCall(IJobMarket.assignWithTerms, (a)));
    }

    function check_bond_release(IJobMarket.Terms calldata t, uint256 word, uint40 time, address caller)
        public
    {
        IJobMarket.Signature memory s;
        _bonded(t, word, time, caller, abi.encodeCall(IJobMarket.release, (t, s)));
    }

    function check_bond_settle(IJobMarket.Terms calldata t, uint256 word, uint40 time, bytes32 r, bytes32 vs)
        public
    {
        IJobMarket.Signature memory s = IJobMarket.Signature(r, vs);
        _bonded(t, word, time, SCHEDULER, abi.encodeCall(IJobMarket.settle, (t, r, s)));
    }

    function _bonded(
        IJobMarket.Terms calldata t,
        uint256 word,
        uint40 time,
        address caller,
        bytes memory data
    ) private {
        _parties(t);
        vm.assume(t.bond != 0);
        IJobMarket.State state = _put(t, word);
        vm.assume(state == IJobMarket.State.Assigned && Slot.wrap(word).party() == NODE);
        _lock(t);
        vm.warp(time);
        vm.assume(time <= t.deadline && time <= market.leaseEnd(t));
        uint256 before = _atStake();
        vm.prank(caller);
        (bool ok,) = address(market).call(data);
        ok;
        assert(_atStake() == before);
    }

    /// @dev What the provider has in the market: free, and locked.
    function _atStake() private view returns (uint256) {
        (,, uint128 used) = market.approval(PROVIDER, SCHEDULER, address(0));
        return market.balance(PROVIDER, address(0)) + used;
    }

    /// @dev The provider has as much locked as the bond, and could have as much locked again.
    function _lock(IJobMarket.Terms calldata t) private {
        bytes32 slot = keccak256(abi.encode(PROVIDER, BOND_LIMITS_SLOT));
        slot = keccak256(abi.encode(SCHEDULER, slot));
        slot = keccak256(abi.encode(address(0), slot));
        vm.store(address(market), slot, bytes32(uint256(t.bond) << 128 | type(uint128).max));
        slot = keccak256(abi.encode(PROVIDER, BALANCES_SLOT));
        slot = keccak256(abi.encode(address(0), slot));
        vm.store(address(market), slot, bytes32(uint256(type(uint96).max)));
    }

    /* STEPS */

    function _parties(IJobMarket.Terms calldata t) private pure {
        vm.assume(t.submitter == SUBMITTER && t.scheduler == SCHEDULER && t.arbiter == ARBITER);
        vm.assume(t.token == address(0) && t.fee <= t.bounty && t.bounty != 0);
        // No more than there is of the coin.
        vm.assume(t.bounty < 2 ** 96 && t.bond < 2 ** 96 && t.disputeBond < 2 ** 96);
    }

    /// @dev Gives the job any word that the market could have written.
    function _put(IJobMarket.Terms calldata t, uint256 word) private returns (IJobMarket.State) {
        vm.assume(word & 0xf <= uint256(IJobMarket.State.Cancelled) && word >> 255 == 0);
        vm.store(address(market), keccak256(abi.encode(market.jobId(t), JOBS_SLOT)), bytes32(word));
        return Slot.wrap(word).state();
    }

    function _state(IJobMarket.Terms calldata t) private view returns (IJobMarket.State state) {
        (state,,,,,,) = market.job(market.jobId(t));
    }

    function _signer(IJobMarket.Terms calldata t, uint16 attempt, bytes32 receiptHash, bytes32 r, bytes32 vs)
        private
        view
        returns (address)
    {
        bytes32 structHash =
            keccak256(abi.encode(RESULT_TYPEHASH, market.jobId(t), attempt, NODE, receiptHash));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", market.domainSeparator(), structHash));
        return ecrecover(digest, uint8(uint256(vs) >> 255) + 27, r, vs << 1 >> 1);
    }
}
