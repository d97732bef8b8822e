// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IJobMarket
/// @notice Escrow and settlement of GPU jobs. A submitter locks a bounty under terms that bind every party; a
/// scheduler assigns the job to a node; the node's signed result pays the node's provider. No owner, no upgrade,
/// no pause: from every state some party can move the money alone within a bounded time.
/// @dev The contract stores one word a job. The terms travel in the calldata of every call and in the `Opened`
/// event; their EIP-712 digest is the job id. Everywhere `<=` may still act and `>` has expired.
interface IJobMarket {
    /// @notice What a job is about, who may do what with it, and when.
    /// @param submitter pays; refunds return here.
    /// @param scheduler may assign and settle; never receives more than the fee.
    /// @param arbiter may rule on a dispute.
    /// @param token the ERC-20 token of all amounts; zero is the native coin.
    /// @param bounty what the job pays, fee included.
    /// @param fee the scheduler's share of the bounty, paid on settlement only.
    /// @param bond locked from the provider's stake while it holds the job; must be zero for now.
    /// @param disputeBond what a dispute costs whoever loses it; must be zero for now.
    /// @param deadline unix seconds; a result must be settled or published by then.
    /// @param leaseSeconds how long an assignment holds without a renewal on chain.
    /// @param graceSeconds how long a node that was called in has to answer.
    /// @param attemptSeconds no renewal reaches past this, counted from the assignment.
    /// @param holdSeconds between settlement and payment; zero pays at once.
    /// @param challengeWindow how long a published result can be challenged.
    /// @param rulingSeconds how long the arbiter has.
    /// @param specHash sha-256 of the canonical job spec.
    /// @param salt makes equal jobs distinct.
    struct Terms {
        address submitter;
        address scheduler;
        address arbiter;
        address token;
        uint128 bounty;
        uint128 fee;
        uint128 bond;
        uint128 disputeBond;
        uint40 deadline;
        uint32 leaseSeconds;
        uint32 graceSeconds;
        uint32 attemptSeconds;
        uint32 holdSeconds;
        uint32 challengeWindow;
        uint32 rulingSeconds;
        bytes32 specHash;
        bytes32 salt;
    }

    /// @notice A node's signature in the compact form of EIP-2098. Nodes are always keys, never contracts.
    /// @param r the signature's r.
    /// @param vs the signature's s, with the parity of y in the highest bit.
    struct Signature {
        bytes32 r;
        bytes32 vs;
    }

    /// @notice Where a job stands. `Paid`, `Refunded` and `Cancelled` are ends.
    /// @dev `Disputed` is reserved for disputes and not reachable yet.
    enum State {
        None,
        Open,
        Assigned,
        Held,
        Published,
        Disputed,
        Paid,
        Refunded,
        Cancelled
    }

    /* EVENTS: JOBS */

    /// @notice A bounty was locked. The only place where the full terms of a job are recorded.
    event Opened(bytes32 indexed jobId, address indexed submitter, address indexed scheduler, Terms terms);
    /// @notice The submitter withdrew the job; `amount` returned to it, zero if the job had not been opened.
    event Cancelled(bytes32 indexed jobId, uint256 amount);
    /// @notice `node` of `provider` holds the job, as its `attempt`-th try, for one lease from this block on.
    event Assigned(bytes32 indexed jobId, address indexed node, address indexed provider, uint16 attempt);
    /// @notice The scheduler called the node in: without a renewal the lease ends at `leaseEnd`.
    event CalledIn(bytes32 indexed jobId, uint16 attempt, uint40 leaseEnd);
    /// @notice The node renewed its lease until `leaseEnd`.
    event Renewed(bytes32 indexed jobId, uint16 attempt, uint40 leaseEnd);
    /// @notice The node gave the job back; it is open again.
    event Released(bytes32 indexed jobId, uint16 attempt);
    /// @notice The node's lease ran out; the job is open again.
    event Lapsed(bytes32 indexed jobId, uint16 attempt);
    /// @notice The scheduler accepted the node's signed result.
    event Settled(bytes32 indexed jobId, address indexed node, uint16 attempt, bytes32 receiptHash);
    /// @notice A signed result came on chain without the scheduler; the challenge window runs from this block on.
    event Published(bytes32 indexed jobId, address indexed node, uint16 attempt, bytes32 receiptHash);
    /// @notice The job ended with payment: `amount` for the provider, `fee` for the scheduler. A fee of zero with
    /// an amount below the bounty means that the rest of the bounty returned to the submitter.
    event Paid(bytes32 indexed jobId, address indexed provider, uint256 amount, uint256 fee);
    /// @notice The job ended without payment; `amount` returned to the submitter.
    event Refunded(bytes32 indexed jobId, uint256 amount);

    /* EVENTS: CREDITS */

    /// @notice A payment could not be pushed; `owner` can withdraw it.
    event Credited(address indexed owner, address indexed token, uint256 amount);
    /// @notice `owner` moved its whole credit to `to`.
    event Withdrawn(address indexed owner, address indexed token, address to, uint256 amount);

    /* EVENTS: NODES */

    /// @notice `node` works for `provider`, for good.
    event Enrolled(address indexed node, address indexed provider);
    /// @notice `node` gets no new assignments.
    event Revoked(address indexed node, address indexed provider);
    /// @notice `scheduler` may assign jobs in `token` to the provider's nodes.
    event SchedulerApproved(
        address indexed provider, address indexed scheduler, address indexed token, uint128 bondLimit
    );
    /// @notice `scheduler` may no longer assign jobs in `token` to the provider's nodes.
    event SchedulerDisapproved(address indexed provider, address indexed scheduler, address indexed token);

    /* ERRORS: WHO */

    /// @notice Only the job's submitter may do this.
    error NotSubmitter(address caller, address submitter);
    /// @notice Only the job's scheduler may do this.
    error NotScheduler(address caller, address scheduler);
    /// @notice Only the job's scheduler or submitter may do this.
    error NotSchedulerOrSubmitter(address caller, address scheduler, address submitter);
    /// @notice Only the node's provider may do this.
    error NotProvider(address caller, address provider);
    /// @notice The signature does not recover to the signer, for this job, attempt, chain and contract.
    error BadSignature(address signer, address recovered);

    /* ERRORS: TERMS */

    /// @notice The terms name the zero address as scheduler or arbiter.
    error ZeroParty(address scheduler, address arbiter);
    /// @notice The bounty is zero.
    error ZeroBounty();
    /// @notice The fee is part of the bounty and cannot exceed it.
    error FeeAboveBounty(uint128 fee, uint128 bounty);
    /// @notice Bonds are not supported yet: both must be zero.
    error BondNotSupported(uint128 bond, uint128 disputeBond);
    /// @notice A time in the terms is outside of its limits.
    error TermOutOfRange(string term, uint256 value, uint256 min, uint256 max);

    /* ERRORS: MONEY */

    /// @notice The native coin sent with the call is not what the terms require (zero for a token).
    error WrongValue(uint256 sent, uint256 required);
    /// @notice The token refused to move the bounty: allowance, balance, or no such token.
    error TransferFromFailed(address token, address from, uint256 amount);
    /// @notice The token moved another amount than asked; such tokens are refused.
    error TokenAmountMismatch(address token, uint256 received, uint256 required);
    /// @notice The call needs more gas, so that a payment cannot be made to fail by starving it.
    error InsufficientGas(uint256 available, uint256 required);
    /// @notice There is no credit to withdraw.
    error NothingToWithdraw(address owner, address token);
    /// @notice A withdrawal must name a recipient other than zero and this contract.
    error InvalidRecipient(address to);
    /// @notice The transfer of a withdrawal failed; name another recipient.
    error WithdrawFailed(address token, address to, uint256 amount);

    /* ERRORS: STATE AND TIME */

    /// @notice The job's state does not allow this.
    error WrongState(bytes32 jobId, State state);
    /// @notice The attempt must be the number of assignments so far plus one.
    error WrongAttempt(uint16 attempt, uint256 expected);
    /// @notice The job's deadline has passed.
    error DeadlinePassed(uint40 deadline);
    /// @notice The job's deadline has not passed yet.
    error DeadlineNotPassed(uint40 deadline);
    /// @notice The lease, with the submitter's extra grace if it is the caller, runs until `until`.
    error LeaseRunning(uint40 until);
    /// @notice The lease ended at `leaseEnd`.
    error LeaseEnded(uint40 leaseEnd);
    /// @notice The hold or challenge window runs until `until`.
    error WindowOpen(uint40 until);
    /// @notice The challenge window ended at `until`.
    error WindowClosed(uint40 until);
    /// @notice The node was called in already and has not renewed since.
    error AlreadyCalledIn(uint40 leaseEnd);
    /// @notice A node can be called in only some time after its last renewal.
    error CallInTooEarly(uint40 earliest);
    /// @notice The lease ends sooner than a call-in would make it end.
    error CallInWithoutEffect(uint40 leaseEnd);
    /// @notice The renewal is dated after this block.
    error RenewalFromFuture(uint40 issuedAt, uint40 current);
    /// @notice The renewal was valid until `expiry` only.
    error RenewalExpired(uint40 issuedAt, uint40 expiry);
    /// @notice The renewal must be newer than the last renewal, call-in or assignment.
    error RenewalNotNewer(uint40 issuedAt, uint40 last);

    /* ERRORS: NODES */

    /// @notice The node signed its consent only until `expires`.
    error EnrollmentExpired(uint40 expires);
    /// @notice The node belongs to `provider` for good; use a new key.
    error AlreadyEnrolled(address node, address provider);
    /// @notice The node is not enrolled.
    error NotEnrolled(address node);
    /// @notice The node's provider revoked it.
    error NodeRevoked(address node);
    /// @notice The node's provider has not approved the scheduler for jobs in this token.
    error SchedulerNotApproved(address provider, address scheduler, address token);

    /* JOBS: THE SUBMITTER */

    /// @notice Locks the bounty. Native coin: send exactly the bounty. Token: allow this contract the bounty first.
    /// @dev Called by the submitter itself; an allowance alone never opens anything. Terms under which a job could
    /// not complete are refused.
    /// @param t the job's terms.
    /// @return id the job id.
    function open(Terms calldata t) external payable returns (bytes32 id);

    /// @notice Withdraws an open job: the bounty returns at once. For terms that have not been opened, forbids it.
    /// @dev Submitter only.
    /// @param t the job's terms.
    function cancel(Terms calldata t) external;

    /// @notice Returns the bounty of a job that has no result, after its deadline.
    /// @dev Anyone; the money goes to the submitter.
    /// @param t the job's terms.
    function refund(Terms calldata t) external;

    /* JOBS: THE SCHEDULER */

    /// @notice Gives an open job, or one whose lease has ended, to a node.
    /// @dev Scheduler only, by the deadline. The node must be enrolled and not revoked, and its provider must have
    /// approved the scheduler for the job's token.
    /// @param t the job's terms.
    /// @param node the node that is to run the job.
    /// @param attempt the number of assignments so far plus one.
    function assign(Terms calldata t, address node, uint16 attempt) external;

    /// @notice Calls a silent node in: unless it renews, its lease ends after the grace time.
    /// @dev Scheduler only; once per renewal, at least a quarter of a lease after it (an assignment counts as one),
    /// and only if it shortens the lease.
    /// @param t the job's terms.
    function callIn(Terms calldata t) external;

    /// @notice Takes the job from a node whose lease has ended; the job is open again.
    /// @dev The scheduler once the lease has ended, the submitter a grace time later.
    /// @param t the job's terms.
    function lapse(Terms calldata t) external;

    /// @notice Accepts the node's result: pays at once, or starts the hold.
    /// @dev Scheduler only; by the deadline, or within the challenge window of a published result.
    /// @param t the job's terms.
    /// @param receiptHash sha-256 of the canonical receipt.
    /// @param signature the node's `Result(jobId, attempt, node, receiptHash)`.
    function settle(Terms calldata t, bytes32 receiptHash, Signature calldata signature) external;

    /* JOBS: THE NODE AND ITS PROVIDER */

    /// @notice Extends the lease to a full one from `issuedAt` on, never past the attempt's end.
    /// @dev Anyone with the node's signature, while the lease runs. `issuedAt` is not in the future, at most the
    /// grace time old, and newer than the last renewal, call-in or assignment.
    /// @param t the job's terms.
    /// @param issuedAt when the node signed, by the chain's clock.
    /// @param signature the node's `Renew(jobId, attempt, issuedAt)`.
    function renew(Terms calldata t, uint40 issuedAt, Signature calldata signature) external;

    /// @notice Gives the job back; it is open again.
    /// @dev The provider (the signature is not looked at), or anyone with the node's; while the lease runs.
    /// @param t the job's terms.
    /// @param signature the node's `Release(jobId, attempt)`.
    function release(Terms calldata t, Signature calldata signature) external;

    /// @notice Puts a result on chain without the scheduler: the way to be paid when the scheduler is gone.
    /// @dev Anyone, by the deadline.
    /// @param t the job's terms.
    /// @param receiptHash sha-256 of the canonical receipt.
    /// @param signature the node's `Result(jobId, attempt, node, receiptHash)`.
    function publish(Terms calldata t, bytes32 receiptHash, Signature calldata signature) external;

    /// @notice Pays a settled job after its hold, or a published one after its challenge window.
    /// @dev Anyone. Without a settlement the fee returns to the submitter.
    /// @param t the job's terms.
    function claim(Terms calldata t) external;

    /* CREDITS */

    /// @notice Moves the caller's whole credit, from payments that could not be pushed, to a recipient.
    /// @param token the token; zero is the native coin.
    /// @param to where the money goes.
    /// @return amount what was moved.
    function withdraw(address token, address to) external returns (uint256 amount);

    /* NODES */

    /// @notice Binds a node to the caller, its provider, for good: all its earnings go to the caller.
    /// @param node the node's address.
    /// @param expires until when the node's consent is valid.
    /// @param nodeSignature the node's `Enroll(node, provider, expires)`.
    function enroll(address node, uint40 expires, Signature calldata nodeSignature) external;

    /// @notice Forbids new assignments to a node. What it already holds it can finish. Cannot be undone.
    /// @dev The node's provider only.
    /// @param node the node's address.
    function revoke(address node) external;

    /// @notice Lets a scheduler assign jobs in a token to the caller's nodes.
    /// @param scheduler the scheduler.
    /// @param token the token; zero is the native coin.
    /// @param bondLimit how much of the caller's stake the scheduler may lock; unused until bonds exist.
    function approveScheduler(address scheduler, address token, uint128 bondLimit) external;

    /// @notice Takes an approval back. What is already assigned goes on.
    /// @param scheduler the scheduler.
    /// @param token the token; zero is the native coin.
    function disapproveScheduler(address scheduler, address token) external;

    /* VIEWS */

    /// @notice The id of a job: the EIP-712 digest of its terms in the domain of this contract's deployment.
    /// @param t the job's terms.
    /// @return id the job id.
    function jobId(Terms calldata t) external view returns (bytes32 id);

    /// @notice What the contract stores of a job.
    /// @param id the job id.
    /// @return state where the job stands.
    /// @return node the node that holds, or delivered, the job.
    /// @return at Assigned: the last renewal, call-in or assignment. Otherwise when the state began.
    /// @return assignedAt when the current attempt began.
    /// @return attempt how often the job has been assigned.
    /// @return forfeits how many bonds the job's pool has received; zero until bonds exist.
    /// @return flags 1: called in since the last renewal. 2: settled. 4: disputed by the scheduler.
    function job(bytes32 id)
        external
        view
        returns (
            State state,
            address node,
            uint40 at,
            uint40 assignedAt,
            uint16 attempt,
            uint8 forfeits,
            uint8 flags
        );

    /// @notice The last second of the running or ended lease; zero if the job is not assigned.
    /// @param t the job's terms.
    /// @return end unix seconds.
    function leaseEnd(Terms calldata t) external view returns (uint40 end);

    /// @notice Whose node it is, and whether it may get new assignments.
    /// @param node_ the node's address.
    /// @return provider zero if the node is not enrolled.
    /// @return revoked true if it gets no new assignments.
    function node(address node_) external view returns (address provider, bool revoked);

    /// @notice What a provider allows a scheduler.
    /// @param provider the provider.
    /// @param scheduler the scheduler.
    /// @param token the token; zero is the native coin.
    /// @return approved true if the scheduler may assign to the provider's nodes.
    /// @return bondLimit how much stake it may lock.
    function approval(address provider, address scheduler, address token)
        external
        view
        returns (bool approved, uint128 bondLimit);

    /// @notice What an owner can withdraw.
    /// @param owner the owner.
    /// @param token the token; zero is the native coin.
    /// @return amount in the token's smallest unit.
    function credit(address owner, address token) external view returns (uint256 amount);

    /// @notice The EIP-712 domain separator of signatures, on the chain as it is now.
    /// @return separator the domain separator.
    function domainSeparator() external view returns (bytes32 separator);
}
