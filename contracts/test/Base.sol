// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "solady/utils/ECDSA.sol";

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {IERC20} from "../src/libraries/Transfers.sol";
import {TestToken} from "./mocks/TestToken.sol";
import {Vm} from "./Vm.sol";

/// @notice What every test of the market starts from: the parties, their keys and signatures, and jobs brought to
/// a given state through the real verbs.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant SUBMITTER_KEY = 0xA11CE;
    uint256 internal constant NODE_KEY = 0xA0DE;
    uint256 internal constant OTHER_NODE_KEY = 0xB0DE;
    uint40 internal constant START = 1_800_000_000;
    uint128 internal constant BOUNTY = 1 ether;
    uint128 internal constant FEE = 0.025 ether;
    /// @dev Odd, so that its halves differ.
    uint128 internal constant BOND = 0.2 ether + 1;
    uint128 internal constant HALF = BOND / 2;
    uint128 internal constant DISPUTE_BOND = 0.1 ether;
    address internal constant NATIVE = address(0);

    address internal immutable SUBMITTER = vm.addr(SUBMITTER_KEY);
    address internal immutable SCHEDULER = vm.addr(0x5CED);
    address internal immutable ARBITER = vm.addr(0xA4B1);
    address internal immutable PROVIDER = vm.addr(0xACE1);
    address internal immutable OTHER_PROVIDER = vm.addr(0xACE2);
    address internal immutable STRANGER = vm.addr(0xBAD);
    address internal immutable NODE = vm.addr(NODE_KEY);
    address internal immutable OTHER_NODE = vm.addr(OTHER_NODE_KEY);

    /// @dev Where the market keeps its mapping of jobs, as `forge inspect JobMarket storage-layout` tells.
    uint256 private constant JOBS_SLOT = 4;

    bytes32 internal constant RECEIPT = keccak256("receipt");

    bytes32 private constant TERMS_TYPEHASH = keccak256(
        "Terms(address submitter,address scheduler,address arbiter,address token,uint128 bounty,uint128 fee,"
        "uint128 bond,uint128 disputeBond,uint40 deadline,uint32 leaseSeconds,uint32 graceSeconds,"
        "uint32 attemptSeconds,uint32 holdSeconds,uint32 challengeWindow,uint32 rulingSeconds,bytes32 specHash,"
        "bytes32 salt)"
    );

    /// @dev The built contract itself, as it ships.
    IJobMarket internal market;
    /// @dev The market's EIP-712 domain, built here and not asked of the market.
    bytes32 internal domain;
    TestToken internal token;

    function setUp() public virtual {
        vm.warp(START);
        market = IJobMarket(vm.deployCode("JobMarket.sol:JobMarket"));
        token = new TestToken();
        domain = _domain(block.chainid, address(market));
        vm.label(SUBMITTER, "submitter");
        vm.label(SCHEDULER, "scheduler");
        vm.label(ARBITER, "arbiter");
        vm.label(PROVIDER, "provider");
        vm.label(OTHER_PROVIDER, "other provider");
        vm.label(STRANGER, "stranger");
        vm.label(NODE, "node");
        vm.label(OTHER_NODE, "other node");
        _enroll(NODE_KEY, PROVIDER);
        _enroll(OTHER_NODE_KEY, OTHER_PROVIDER);
        _approve(PROVIDER, NATIVE);
        _approve(OTHER_PROVIDER, NATIVE);
        _approve(PROVIDER, address(token));
        _approve(OTHER_PROVIDER, address(token));
    }

    /* TERMS */

    function _terms() internal view returns (IJobMarket.Terms memory) {
        return IJobMarket.Terms({
            submitter: SUBMITTER,
            scheduler: SCHEDULER,
            arbiter: ARBITER,
            token: NATIVE,
            bounty: BOUNTY,
            fee: FEE,
            bond: 0,
            disputeBond: 0,
            deadline: START + 1 days,
            leaseSeconds: 3600,
            graceSeconds: 120,
            attemptSeconds: 6 hours,
            holdSeconds: 0,
            challengeWindow: 1 days,
            rulingSeconds: 7 days,
            specHash: keccak256("spec"),
            salt: keccak256("salt")
        });
    }

    function _heldTerms() internal view returns (IJobMarket.Terms memory t) {
        t = _terms();
        t.holdSeconds = 2 hours;
    }

    function _bondedTerms() internal view returns (IJobMarket.Terms memory t) {
        t = _terms();
        t.bond = BOND;
    }

    function _tokenTerms(address token_) internal view returns (IJobMarket.Terms memory t) {
        t = _terms();
        t.token = token_;
    }

    /* NODES */

    function _enroll(uint256 nodeKey, address provider) internal {
        uint40 expires = _now();
        IJobMarket.Signature memory s = _signEnroll(nodeKey, provider, expires);
        vm.prank(provider);
        market.enroll(vm.addr(nodeKey), expires, s);
    }

    function _approve(address provider, address token_) internal {
        vm.prank(provider);
        market.approveScheduler(SCHEDULER, token_, 0);
    }

    /* SIGNATURES */

    function _digest(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function _domain(uint256 chainId, address verifyingContract) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Gristmill"),
                keccak256("1"),
                chainId,
                verifyingContract
            )
        );
    }

    function _id(IJobMarket.Terms memory t) internal view returns (bytes32) {
        return _digest(keccak256(abi.encode(TERMS_TYPEHASH, t)));
    }

    function _sign(uint256 key, bytes32 structHash) internal view returns (IJobMarket.Signature memory s) {
        (s.r, s.vs) = vm.signCompact(key, _digest(structHash));
    }

    function _signEnroll(uint256 nodeKey, address provider, uint40 expires)
        internal
        view
        returns (IJobMarket.Signature memory)
    {
        bytes32 typeHash = keccak256("Enroll(address node,address provider,uint40 expires)");
        return _sign(nodeKey, keccak256(abi.encode(typeHash, vm.addr(nodeKey), provider, expires)));
    }

    function _signResult(uint256 nodeKey, bytes32 id, uint16 attempt)
        internal
        view
        returns (IJobMarket.Signature memory)
    {
        bytes32 typeHash = keccak256("Result(bytes32 jobId,uint16 attempt,address node,bytes32 receiptHash)");
        return _sign(nodeKey, keccak256(abi.encode(typeHash, id, attempt, vm.addr(nodeKey), RECEIPT)));
    }

    function _signFailure(uint256 nodeKey, bytes32 id, uint16 attempt)
        internal
        view
        returns (IJobMarket.Signature memory)
    {
        bytes32 typeHash = keccak256("Failure(bytes32 jobId,uint16 attempt,address node,bytes32 receiptHash)");
        return _sign(nodeKey, keccak256(abi.encode(typeHash, id, attempt, vm.addr(nodeKey), RECEIPT)));
    }

    function _signRenew(uint256 nodeKey, bytes32 id, uint16 attempt, uint40 issuedAt)
        internal
        view
        returns (IJobMarket.Signature memory)
    {
        bytes32 typeHash = keccak256("Renew(bytes32 jobId,uint16 attempt,uint40 issuedAt)");
        return _sign(nodeKey, keccak256(abi.encode(typeHash, id, attempt, issuedAt)));
    }

    function _signRelease(uint256 nodeKey, bytes32 id, uint16 attempt)
        internal
        view
        returns (IJobMarket.Signature memory)
    {
        return _sign(
            nodeKey, keccak256(abi.encode(keccak256("Release(bytes32 jobId,uint16 attempt)"), id, attempt))
        );
    }

    function _signAccept(uint256 nodeKey, bytes32 id, uint16 attempt, uint40 expires)
        internal
        view
        returns (IJobMarket.Signature memory)
    {
        bytes32 typeHash = keccak256("Accept(bytes32 jobId,uint16 attempt,uint40 expires)");
        return _sign(nodeKey, keccak256(abi.encode(typeHash, id, attempt, expires)));
    }

    function _signOrder(uint256 key, IJobMarket.Order memory order) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256("Order(bytes32 root,uint32 epoch,uint40 expires)");
        IJobMarket.Signature memory s =
            _sign(key, keccak256(abi.encode(typeHash, order.root, order.epoch, order.expires)));
        return abi.encodePacked(s.r, s.vs);
    }

    /// @dev The error for a signature that is not `signer`'s over this message, with whoever it recovers to.
    function _badSignature(address signer, bytes32 structHash, IJobMarket.Signature memory s)
        internal
        view
        returns (bytes memory)
    {
        address recovered = ECDSA.tryRecover(_digest(structHash), s.r, s.vs);
        return abi.encodeWithSelector(IJobMarket.BadSignature.selector, signer, recovered);
    }

    /// @dev The root of the tree that takes neighbours in turn, until one hash is left.
    function _root(bytes32[] memory leaves) internal pure returns (bytes32) {
        bytes32[] memory queue = _tree(leaves);
        return queue[queue.length - 1];
    }

    /// @dev The tree's leaves, and after them the parents of each pair, in the order in which they arise.
    function _tree(bytes32[] memory leaves) internal pure returns (bytes32[] memory queue) {
        queue = new bytes32[](2 * leaves.length - 1);
        for (uint256 i; i < leaves.length; ++i) {
            queue[i] = leaves[i];
        }
        for (uint256 i; i < leaves.length - 1; ++i) {
            (bytes32 a, bytes32 b) = (queue[2 * i], queue[2 * i + 1]);
            queue[leaves.length + i] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
        }
    }

    function _noSignature() internal pure returns (IJobMarket.Signature memory s) {}

    /* JOBS IN A STATE */

    /// @dev Gives the submitter what the terms ask for, and nothing more.
    function _fund(IJobMarket.Terms memory t) internal returns (uint256 value) {
        return _give(t.submitter, t.token, t.bounty);
    }

    /// @dev Gives an owner an amount that it can bring, and says what to send with the call.
    function _give(address owner, address token_, uint256 amount) internal returns (uint256 value) {
        if (token_ == NATIVE) {
            vm.deal(owner, owner.balance + amount);
            return amount;
        }
        TestToken(token_).mint(owner, amount);
        vm.prank(owner);
        TestToken(token_).approve(address(market), amount);
    }

    function _open(IJobMarket.Terms memory t) internal returns (bytes32 id) {
        uint256 value = _fund(t);
        vm.prank(t.submitter);
        id = market.open{value: value}(t);
    }

    /// @dev An open job without a bond.
    function _assign(IJobMarket.Terms memory t, address node, uint16 attempt) internal {
        vm.prank(t.scheduler);
        market.assign(_id(t), node, attempt);
    }

    /// @dev A job with a bond, or one whose lease has ended.
    function _assignWithTerms(IJobMarket.Terms memory t, uint256 nodeKey, uint16 attempt) internal {
        IJobMarket.Assignment memory a = _assignment(t, nodeKey, attempt);
        vm.prank(t.scheduler);
        market.assignWithTerms(a);
    }

    function _assignment(IJobMarket.Terms memory t, uint256 nodeKey, uint16 attempt)
        internal
        view
        returns (IJobMarket.Assignment memory a)
    {
        a = IJobMarket.Assignment(t, vm.addr(nodeKey), attempt, 0, _noSignature());
        if (t.bond == 0) return a;
        a.expires = _now() + 60;
        a.acceptance = _signAccept(nodeKey, _id(t), attempt, a.expires);
    }

    function _openAndAssign(IJobMarket.Terms memory t) internal returns (bytes32 id) {
        id = _open(t);
        _assign(t, NODE, 1);
    }

    function _callIn(IJobMarket.Terms memory t) internal {
        vm.prank(t.scheduler);
        market.callIn(t);
    }

    function _settle(IJobMarket.Terms memory t, uint256 nodeKey, uint16 attempt) internal {
        IJobMarket.Signature memory s = _signResult(nodeKey, _id(t), attempt);
        vm.prank(t.scheduler);
        market.settle(t, RECEIPT, s);
    }

    function _publish(IJobMarket.Terms memory t, uint256 nodeKey, uint16 attempt) internal {
        IJobMarket.Signature memory s = _signResult(nodeKey, _id(t), attempt);
        vm.prank(vm.addr(nodeKey));
        market.publish(t, RECEIPT, s);
    }

    function _openAndHold() internal returns (IJobMarket.Terms memory t, bytes32 id) {
        t = _heldTerms();
        id = _openAndAssign(t);
        _settle(t, NODE_KEY, 1);
    }

    function _openAndPublish() internal returns (IJobMarket.Terms memory t, bytes32 id) {
        t = _terms();
        id = _openAndAssign(t);
        _publish(t, NODE_KEY, 1);
    }

    /// @dev Sets bits of a job's word from `offset` on, for what no test has the time to bring about.
    function _overwrite(bytes32 id, uint256 offset, uint256 bits) internal {
        bytes32 slot = keccak256(abi.encode(id, JOBS_SLOT));
        bytes32 word = vm.load(address(market), slot);
        vm.store(address(market), slot, word | bytes32(bits << offset));
    }

    function _now() internal view returns (uint40) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint40(block.timestamp);
    }

    /* ASSERTIONS */

    function _state(bytes32 id) internal view returns (IJobMarket.State state) {
        (state,,,,,,) = market.job(id);
    }

    function _assertState(bytes32 id, IJobMarket.State expected) internal view {
        vm.assertEq(uint256(_state(id)), uint256(expected), "state");
    }

    function _assertJob(
        bytes32 id,
        IJobMarket.State state,
        address node,
        uint256 at,
        uint256 assignedAt,
        uint16 attempt,
        uint8 flags
    ) internal view {
        (
            IJobMarket.State state_,
            address node_,
            uint40 at_,
            uint40 assignedAt_,
            uint16 attempt_,
            uint8 forfeits_,
            uint8 flags_
        ) = market.job(id);
        vm.assertEq(uint256(state_), uint256(state), "state");
        vm.assertEq(node_, node, "node");
        vm.assertEq(at_, at, "at");
        vm.assertEq(assignedAt_, assignedAt, "assignedAt");
        vm.assertEq(attempt_, attempt, "attempt");
        vm.assertEq(forfeits_, 0, "forfeits");
        vm.assertEq(flags_, flags, "flags");
    }

    function _assertForfeits(bytes32 id, uint256 expected) internal view {
        (,,,,, uint8 forfeits,) = market.job(id);
        vm.assertEq(forfeits, expected, "forfeits");
    }

    function _balance(address token_, address owner) internal view returns (uint256) {
        return token_ == NATIVE ? owner.balance : IERC20(token_).balanceOf(owner);
    }

    /// @dev What the parties and the market hold, in one assertion.
    function _assertBalances(
        address token_,
        uint256 submitter,
        uint256 provider,
        uint256 scheduler,
        uint256 escrow
    ) internal view {
        vm.assertEq(_balance(token_, SUBMITTER), submitter, "submitter's balance");
        vm.assertEq(_balance(token_, PROVIDER), provider, "provider's balance");
        vm.assertEq(_balance(token_, SCHEDULER), scheduler, "scheduler's balance");
        vm.assertEq(_balance(token_, address(market)), escrow, "market's balance");
        vm.assertEq(_balance(token_, OTHER_PROVIDER), 0, "other provider's balance");
        vm.assertEq(_balance(token_, STRANGER), 0, "stranger's balance");
        vm.assertEq(_balance(token_, ARBITER), 0, "arbiter's balance");
    }

    function _assertApproval(
        address provider,
        address scheduler,
        address token_,
        bool approved,
        uint256 limit,
        uint256 used
    ) internal view {
        (bool approved_, uint128 limit_, uint128 used_) = market.approval(provider, scheduler, token_);
        vm.assertTrue(approved_ == approved, "approved");
        vm.assertEq(limit_, limit, "bond limit");
        vm.assertEq(used_, used, "bond used");
    }

    function _wrongState(bytes32 id, IJobMarket.State state) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IJobMarket.WrongState.selector, id, state);
    }

    function _expectWrongState(bytes32 id, IJobMarket.State state) internal {
        vm.expectRevert(_wrongState(id, state));
    }

    /// @dev A value between both ends, inclusive, from any value.
    function _between(uint256 value, uint256 min, uint256 max) internal pure returns (uint256) {
        return min + value % (max - min + 1);
    }

    function _span(uint256 value, uint32 min, uint32 max) internal pure returns (uint40) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint40(_between(value, min, max));
    }
}
