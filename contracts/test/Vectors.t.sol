// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "solady/utils/ECDSA.sol";

import {IJobMarket} from "../src/interfaces/IJobMarket.sol";
import {Base} from "./Base.sol";

/// @notice The golden vectors of `api/vectors.json`, which every language computes: here by the contract itself,
/// deployed at the vectors' address under the vectors' chain id.
contract VectorsTest is Base {
    string private json;

    function setUp() public override {
        json = vm.readFile("../api/vectors.json");
        vm.chainId(vm.parseJsonUint(json, ".domain.chainId"));
        market = IJobMarket(vm.parseJsonAddress(json, ".domain.verifyingContract"));
        domain = _domain(block.chainid, address(market));
        // The constructor runs at the vectors' address, so that the domain is computed for it.
        vm.etch(address(market), vm.getCode("JobMarket.sol:JobMarket"));
        (bool ok, bytes memory runtime) = address(market).call("");
        vm.assertTrue(ok, "constructor");
        vm.etch(address(market), runtime);
    }

    function test_domain() public view {
        _assertText(".domain.name", "Gristmill");
        _assertText(".domain.version", "1");
        vm.assertEq(market.domainSeparator(), domain, "domain");
    }

    function test_terms() public view {
        uint256 count;
        for (; vm.keyExistsJson(json, _at("terms", count, "")); ++count) {
            IJobMarket.Terms memory t = _vectorTerms(_at("terms", count, ".terms"));
            vm.assertEq(market.jobId(t), vm.parseJsonBytes32(json, _at("terms", count, ".jobId")), "job id");
        }
        vm.assertLe(1, count, "no vectors");
    }

    /// @dev Each digest is built here, recovered, and each signature that the contract takes is given to it.
    function test_signatures() public view {
        uint256 seen;
        for (uint256 i; vm.keyExistsJson(json, _at("signatures", i, "")); ++i) {
            string memory name = vm.parseJsonString(json, _at("signatures", i, ".type"));
            bytes32 digest = _digest(_structHash(name, _at("signatures", i, ".message")));
            vm.assertEq(digest, vm.parseJsonBytes32(json, _at("signatures", i, ".digest")), name);
            address recovered = ECDSA.recover(
                digest,
                vm.parseJsonBytes32(json, _at("signatures", i, ".r")),
                vm.parseJsonBytes32(json, _at("signatures", i, ".vs"))
            );
            vm.assertEq(recovered, vm.parseJsonAddress(json, _at("signatures", i, ".signer")), name);
            seen |= 2 ** _kind(name);
        }
        vm.assertEq(seen, 63, "a type without a vector");
    }

    /// @dev The contract takes the vectors' own signatures, as they are: enrolled by one, renewed and released by two.
    function test_contractTakesRenewAndRelease() public {
        (IJobMarket.Terms memory t, bytes32 id) = _assigned();
        string memory renew = _signature("Renew");
        vm.assertEq(_bytes32Of(renew, ".message.jobId"), id, "the vectors are about one job");
        uint256 issuedAt = _uintOf(renew, ".message.issuedAt");
        vm.warp(issuedAt);
        // forge-lint: disable-next-line(unsafe-typecast)
        market.renew(t, uint40(issuedAt), _signatureOf(renew));
        vm.assertEq(market.leaseEnd(t), issuedAt + t.leaseSeconds, "renewed");

        market.release(t, _signatureOf(_signature("Release")));
        _assertState(id, IJobMarket.State.Open);
    }

    function test_contractTakesTheResultAndNotTheFailure() public {
        (IJobMarket.Terms memory t, bytes32 id) = _assigned();
        string memory failure = _signature("Failure");
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        market.publish(t, _bytes32Of(failure, ".message.receiptHash"), _signatureOf(failure));

        string memory result = _signature("Result");
        market.publish(t, _bytes32Of(result, ".message.receiptHash"), _signatureOf(result));
        _assertState(id, IJobMarket.State.Published);
    }

    /* ORDERS */

    function test_orders() public view {
        uint256 count;
        for (; vm.keyExistsJson(json, _at("orders", count, "")); ++count) {
            bytes32[] memory ids = _orderedIds(count);
            IJobMarket.Order memory order = _orderOf(count);
            vm.assertEq(_rootOf(ids), order.root, "root");
            bytes32 typeHash = keccak256("Order(bytes32 root,uint32 epoch,uint40 expires)");
            bytes32 digest = _digest(keccak256(abi.encode(typeHash, order.root, order.epoch, order.expires)));
            vm.assertEq(digest, _bytes32Of(_at("orders", count, ""), ".digest"), "digest");
        }
        vm.assertLe(2, count, "no vectors");
    }

    /// @dev The contract opens each part of each order with the vectors' own proof and signature, in both forms.
    function test_contractTakesTheOrders() public {
        for (uint256 i; vm.keyExistsJson(json, _at("orders", i, "")); ++i) {
            string memory path = _at("orders", i, "");
            address submitter = _addressOf(path, ".signer");
            IJobMarket.Opening[] memory all = _openingsOf(i);
            vm.assertEq(all[0].terms.submitter, submitter, "the submitter signed");
            uint256 bounty = all.length * all[0].terms.bounty;
            vm.deal(submitter, bounty);
            vm.prank(submitter);
            market.deposit{value: bounty}(NATIVE, bounty);
            vm.warp(_orderOf(i).expires);

            uint256 part;
            for (; vm.keyExistsJson(json, _part(i, part, "")); ++part) {
                uint256 snapshot = vm.snapshotState();
                _opens(i, all, part, ".signature");
                vm.revertToState(snapshot);
                _opens(i, all, part, ".compactSignature");
                vm.revertToState(snapshot);
            }
            vm.assertLe(all.length == 1 ? 0 : 3, part, "no parts");
        }
    }

    function _opens(uint256 i, IJobMarket.Opening[] memory all, uint256 part, string memory signature)
        private
    {
        uint256[] memory positions = vm.parseJsonUintArray(json, _part(i, part, ".positions"));
        IJobMarket.Opening[] memory some = new IJobMarket.Opening[](positions.length);
        for (uint256 k; k < positions.length; ++k) {
            some[k] = all[positions[k]];
        }
        vm.prank(STRANGER);
        market.openMany(
            some,
            _orderOf(i),
            vm.parseJsonBytes(json, _at("orders", i, signature)),
            vm.parseJsonBytes32Array(json, _part(i, part, ".proof")),
            vm.parseJsonBoolArray(json, _part(i, part, ".flags"))
        );
        for (uint256 k; k < some.length; ++k) {
            _assertState(_id(some[k].terms), IJobMarket.State.Open);
        }
    }

    /// @dev Pairs are taken from the last leaf on: the other way to lay the tree into an array than `_tree`.
    function _rootOf(bytes32[] memory leaves) private pure returns (bytes32) {
        bytes32[] memory heap = new bytes32[](2 * leaves.length - 1);
        for (uint256 i; i < leaves.length; ++i) {
            heap[heap.length - 1 - i] = leaves[i];
        }
        for (uint256 i = leaves.length - 1; i > 0; --i) {
            (bytes32 a, bytes32 b) = (heap[2 * i - 1], heap[2 * i]);
            heap[i - 1] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
        }
        return heap[0];
    }

    function _part(uint256 i, uint256 part, string memory rest) private pure returns (string memory) {
        return _at("orders", i, string.concat(".parts[", vm.toString(part), "]", rest));
    }

    function _orderOf(uint256 i) private view returns (IJobMarket.Order memory) {
        string memory path = _at("orders", i, ".order");
        // forge-lint: disable-next-line(unsafe-typecast)
        return IJobMarket.Order(
            _bytes32Of(path, ".root"), uint32(_uintOf(path, ".epoch")), uint40(_uintOf(path, ".expires"))
        );
    }

    function _openingsOf(uint256 i) private view returns (IJobMarket.Opening[] memory openings) {
        uint256 count;
        while (vm.keyExistsJson(json, _job(i, count, ""))) ++count;
        openings = new IJobMarket.Opening[](count);
        for (uint256 k; k < count; ++k) {
            openings[k].terms = _vectorTerms(_at("orders", i, ".terms"));
            openings[k].terms.salt = vm.parseJsonBytes32(json, _job(i, k, ".salt"));
        }
    }

    function _orderedIds(uint256 i) private view returns (bytes32[] memory ids) {
        IJobMarket.Opening[] memory openings = _openingsOf(i);
        ids = new bytes32[](openings.length);
        for (uint256 k; k < ids.length; ++k) {
            ids[k] = _id(openings[k].terms);
            vm.assertEq(ids[k], vm.parseJsonBytes32(json, _job(i, k, ".jobId")), "job id");
        }
    }

    function _job(uint256 i, uint256 job, string memory rest) private pure returns (string memory) {
        return _at("orders", i, string.concat(".jobs[", vm.toString(job), "]", rest));
    }

    /// @dev The vectors' acceptance locks a bond, and one that is changed does not.
    function test_contractTakesTheAcceptance() public {
        vm.warp(_uintOf(_signature("Accept"), ".message.expires"));
        (address node, address provider) = _enrolled();
        string memory accept = _signature("Accept");
        IJobMarket.Terms memory t = _termsOf(_bytes32Of(accept, ".message.jobId"));
        _open(t);
        vm.deal(provider, t.bond);
        vm.prank(provider);
        market.deposit{value: t.bond}(t.token, t.bond);
        vm.prank(provider);
        market.approveScheduler(t.scheduler, t.token, t.bond);
        // forge-lint: disable-next-line(unsafe-typecast)
        IJobMarket.Assignment memory a =
            IJobMarket.Assignment(t, node, 1, uint40(block.timestamp), _signatureOf(accept));
        a.expires += 1;
        vm.expectPartialRevert(IJobMarket.BadSignature.selector);
        vm.prank(t.scheduler);
        market.assignWithTerms(a);
        a.expires -= 1;
        vm.prank(t.scheduler);
        market.assignWithTerms(a);
        _assertState(_id(t), IJobMarket.State.Assigned);
        vm.assertEq(market.balance(provider, t.token), 0, "locked");
    }

    function _enrolled() private returns (address node, address provider) {
        string memory enroll = _signature("Enroll");
        node = _addressOf(enroll, ".message.node");
        provider = _addressOf(enroll, ".message.provider");
        // forge-lint: disable-next-line(unsafe-typecast)
        uint40 expires = uint40(_uintOf(enroll, ".message.expires"));
        IJobMarket.Signature memory s = _signatureOf(enroll);
        vm.prank(provider);
        market.enroll(node, expires, s);
    }

    /// @dev The job of the signed vectors, a minute before its renewal, in the attempt that they are about.
    function _assigned() private returns (IJobMarket.Terms memory t, bytes32 id) {
        vm.warp(_uintOf(_signature("Renew"), ".message.issuedAt") - 60);
        (address node, address provider) = _enrolled();
        string memory result = _signature("Result");
        id = _bytes32Of(result, ".message.jobId");
        t = _termsOf(id);
        vm.prank(provider);
        market.approveScheduler(t.scheduler, t.token, 0);
        _open(t);
        uint256 attempt = _uintOf(result, ".message.attempt");
        for (uint16 i = 1; i < attempt; ++i) {
            _assign(t, node, i);
            vm.prank(provider);
            market.release(t, _noSignature());
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        _assign(t, node, uint16(attempt));
    }

    /* READING */

    function _at(string memory list, uint256 index, string memory rest) private pure returns (string memory) {
        return string.concat(".", list, "[", vm.toString(index), "]", rest);
    }

    function _assertText(string memory key, string memory expected) private view {
        vm.assertEq(keccak256(bytes(vm.parseJsonString(json, key))), keccak256(bytes(expected)), expected);
    }

    function _uintOf(string memory path, string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(path, key));
    }

    function _addressOf(string memory path, string memory key) private view returns (address) {
        return vm.parseJsonAddress(json, string.concat(path, key));
    }

    function _bytes32Of(string memory path, string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(path, key));
    }

    function _signatureOf(string memory path) private view returns (IJobMarket.Signature memory) {
        return IJobMarket.Signature(_bytes32Of(path, ".r"), _bytes32Of(path, ".vs"));
    }

    function _kind(string memory name) private pure returns (uint256) {
        bytes32 h = keccak256(bytes(name));
        if (h == keccak256("Result")) return 0;
        if (h == keccak256("Failure")) return 1;
        if (h == keccak256("Renew")) return 2;
        if (h == keccak256("Release")) return 3;
        if (h == keccak256("Enroll")) return 4;
        if (h == keccak256("Accept")) return 5;
        revert(string.concat("unknown type of message: ", name));
    }

    /// @dev The path of the first vector of a type.
    function _signature(string memory name) private view returns (string memory) {
        for (uint256 i; vm.keyExistsJson(json, _at("signatures", i, "")); ++i) {
            if (_kind(vm.parseJsonString(json, _at("signatures", i, ".type"))) == _kind(name)) {
                return _at("signatures", i, "");
            }
        }
        revert(string.concat("no vector of type ", name));
    }

    function _termsOf(bytes32 id) private view returns (IJobMarket.Terms memory) {
        for (uint256 i; vm.keyExistsJson(json, _at("terms", i, "")); ++i) {
            if (vm.parseJsonBytes32(json, _at("terms", i, ".jobId")) == id) {
                return _vectorTerms(_at("terms", i, ".terms"));
            }
        }
        revert("the signed job is not among the vectors");
    }

    function _structHash(string memory name, string memory message) private view returns (bytes32) {
        uint256 kind = _kind(name);
        if (kind == 4) {
            return keccak256(
                abi.encode(
                    keccak256("Enroll(address node,address provider,uint40 expires)"),
                    _addressOf(message, ".node"),
                    _addressOf(message, ".provider"),
                    _uintOf(message, ".expires")
                )
            );
        }
        bytes32 id = _bytes32Of(message, ".jobId");
        uint256 attempt = _uintOf(message, ".attempt");
        if (kind == 2) {
            bytes32 typeHash = keccak256("Renew(bytes32 jobId,uint16 attempt,uint40 issuedAt)");
            return keccak256(abi.encode(typeHash, id, attempt, _uintOf(message, ".issuedAt")));
        }
        if (kind == 5) {
            bytes32 typeHash = keccak256("Accept(bytes32 jobId,uint16 attempt,uint40 expires)");
            return keccak256(abi.encode(typeHash, id, attempt, _uintOf(message, ".expires")));
        }
        if (kind == 3) {
            return keccak256(abi.encode(keccak256("Release(bytes32 jobId,uint16 attempt)"), id, attempt));
        }
        bytes memory fields = "(bytes32 jobId,uint16 attempt,address node,bytes32 receiptHash)";
        return keccak256(
            abi.encode(
                keccak256(abi.encodePacked(name, fields)),
                id,
                attempt,
                _addressOf(message, ".node"),
                _bytes32Of(message, ".receiptHash")
            )
        );
    }

    // The vectors are within the fields' widths, or the digests would differ.
    // forge-lint: disable-start(unsafe-typecast)
    function _vectorTerms(string memory path) private view returns (IJobMarket.Terms memory t) {
        t.submitter = _addressOf(path, ".submitter");
        t.scheduler = _addressOf(path, ".scheduler");
        t.arbiter = _addressOf(path, ".arbiter");
        t.token = _addressOf(path, ".token");
        t.bounty = uint128(_uintOf(path, ".bounty"));
        t.fee = uint128(_uintOf(path, ".fee"));
        t.bond = uint128(_uintOf(path, ".bond"));
        t.disputeBond = uint128(_uintOf(path, ".disputeBond"));
        t.deadline = uint40(_uintOf(path, ".deadline"));
        t.leaseSeconds = uint32(_uintOf(path, ".leaseSeconds"));
        t.graceSeconds = uint32(_uintOf(path, ".graceSeconds"));
        t.attemptSeconds = uint32(_uintOf(path, ".attemptSeconds"));
        t.holdSeconds = uint32(_uintOf(path, ".holdSeconds"));
        t.challengeWindow = uint32(_uintOf(path, ".challengeWindow"));
        t.rulingSeconds = uint32(_uintOf(path, ".rulingSeconds"));
        t.specHash = _bytes32Of(path, ".specHash");
        t.salt = _bytes32Of(path, ".salt");
    }
    // forge-lint: disable-end(unsafe-typecast)
}
