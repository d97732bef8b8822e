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
        vm.assertEq(seen, 31, "a type without a vector");
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

    /// @dev The job of the signed vectors, a minute before its renewal, in the attempt that they are about.
    function _assigned() private returns (IJobMarket.Terms memory t, bytes32 id) {
        vm.warp(_uintOf(_signature("Renew"), ".message.issuedAt") - 60);
        string memory enroll = _signature("Enroll");
        address node = _addressOf(enroll, ".message.node");
        address provider = _addressOf(enroll, ".message.provider");
        // forge-lint: disable-next-line(unsafe-typecast)
        uint40 expires = uint40(_uintOf(enroll, ".message.expires"));
        IJobMarket.Signature memory s = _signatureOf(enroll);
        vm.prank(provider);
        market.enroll(node, expires, s);

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
