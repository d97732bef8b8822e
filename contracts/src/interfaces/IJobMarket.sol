// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IJobMarket
/// @notice Escrow and settlement of GPU jobs. A submitter locks a bounty under terms that bind every party; a
/// scheduler assigns the job to a node; the node's signed result pays the node's provider. Where the terms ask for a
/// bond, a provider that falls silent pays whoever it let down. No owner, no upgrade, no pause: from every state
/// some party can move the money alone within a bounded time.
/// @dev The contract stores one word a job. The terms travel in calldata and in the `Opened` event; their EIP-712
/// digest is the job id. Everywhere `<=` may still act and `>` has expired. Each party has one balance in each token:
/// what it deposited, what it gets back, and what could not be pushed. Bonds are locked from it, orders draw on it,
/// and nothing else takes from it but its owner.
interface IJobMarket {
    /// @notice What a job is about, who may do what with it, and when.
    /// @param submitter pays; refunds return here.
    /// @param scheduler may assign and settle; never receives more than the fee.
    /// @param arbiter may rule on a dispute. Choose one that runs no nodes: the contract does not keep a provider from
    /// ruling on its own job.
    /// @param token the ERC-20 token of all amounts; zero is the native coin.
    /// @param bounty what the job pays, fee included.
    /// @param fee the scheduler's share of the bounty, paid on settlement only.
    /// @param bond locked from the provider's balance while it holds the job.
    /// @param disputeBond what a dispute costs whoever loses it.
    /// @param deadline unix seconds; a result must be settled or published by then.
    /// @param leaseSeconds how long an assignment holds without a renewal on chain.
    /// @param graceSeconds how long a node that was called in has to answer.
    /// @param attemptSeconds no renewal reaches past this, counted from the assignment.
    /// @param holdSeconds between settlement and payment, disputable; zero pays at once.
    /// @param challengeWindow how long a published result can be disputed.
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

    /// @notice An assignment that needs the job's terms.
    /// @param terms the job's terms.
    /// @param node the node that is to run the job.
    /// @param attempt the number of assignments so far plus one.
    /// @param expires until when the node's acceptance is valid, unix seconds; not looked at without a bond.
    /// @param acceptance the node's `Accept(jobId, attempt, expires)`; not looked at without a bond.
    struct Assignment {
        Terms terms;
        address node;
        uint16 attempt;
        uint40 expires;
        Signature acceptance;
    }

    /// @notice A job to be opened from its submitter's balance.
    /// @param terms the job's terms.
    /// @param node the node that gets the job at once, for callers that are its scheduler; zero leaves it open.
    struct Opening {
        Terms terms;
        address node;
    }

    /// @notice What a submitter signs, so that others may open exactly these jobs from its balance.
    /// @param root the root of a Merkle tree over job ids, with pairs sorted; of a single job, its id.
    /// @param epoch the submitter's epoch; raising it revokes all its orders.
    /// @param expires until when the order is valid, unix seconds.
    struct Order {
        bytes32 root;
        uint32 epoch;
        uint40 expires;
    }

    /// @notice A result to be accepted.
    /// @param terms the job's terms.
    /// @param receiptHash sha-256 of the canonical receipt.
    /// @param signature the node's `Result(jobId, attempt, node, receiptHash)`.
    struct Settlement {
        Terms terms;
        bytes32 receiptHash;
        Signature signature;
    }

    /// @notice The owner's consent to a transfer, for tokens with EIP-2612.
    /// @param deadline until when it is valid, unix seconds.
    /// @param v the signature's recovery id.
    /// @param r the signature's r.
    /// @param s the signature's s.
    struct Permit {
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice How an arbiter can end a dispute.
    enum Ruling {
        Pay,
        Refund,
        Reopen
    }

    /// @notice Where a job stands. `Paid`, `Refunded` and `Cancelled` are ends.
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
    event Opened(bytes32 indexed jobId, address indexed submitter, Terms terms);
    /// @notice The submitter withdrew the job; `amount`, the bounty and the pool, returned to it, zero if the job had
    /// not been opened.
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
    /// @notice The provider lost its bond: `toSubmitter` became the submitter's, `toPool` waits in the job's pool for
    /// whoever completes it.
    event Forfeited(bytes32 indexed jobId, address indexed provider, uint256 toSubmitter, uint256 toPool);
    /// @notice The scheduler accepted the node's signed result.
    event Settled(bytes32 indexed jobId, address indexed node, uint16 attempt, bytes32 receiptHash);
    /// @notice A signed result came on chain without the scheduler; the challenge window runs from this block on.
    event Published(bytes32 indexed jobId, address indexed node, uint16 attempt, bytes32 receiptHash);
    /// @notice `by`, the submitter or the scheduler, disputes the result; the arbiter has until `until`.
    event Disputed(bytes32 indexed jobId, address indexed by, uint40 until);
    /// @notice The arbiter ruled. What follows from it is in the events after this one; after `Reopen` the job is open.
    event Ruled(bytes32 indexed jobId, Ruling ruling);
    /// @notice The job ended with payment: `amount` for the provider (the bounty without the fee, the pool, and the
    /// bond of a dispute that failed), `fee` for the scheduler. Without a settlement, the job's fee returned to the
    /// submitter and `fee` is zero.
    event Paid(bytes32 indexed jobId, address indexed provider, uint256 amount, uint256 fee);
    /// @notice The job ended without payment; `amount` returned to the submitter: the bounty, the pool, the bond of a
    /// provider that had the job, and its own dispute bond.
    event Refunded(bytes32 indexed jobId, uint256 amount);
    /// @notice An item of a batch was refused and nothing else; `reason` is the error with which the verb for a single
    /// item reverts, or `InsufficientBalance` where an order found too little. A node that could not have a job leaves it
    /// open: then `Opened` comes before.
    event Skipped(bytes32 indexed jobId, bytes reason);

    /* EVENTS: BALANCES */

    /// @notice `owner` paid `amount` in.
    event Deposited(address indexed owner, address indexed token, uint256 amount);
    /// @notice `amount` became `owner`'s: a bond that is free again, a share of a forfeited bond, or a payment that could
    /// not be pushed.
    event Credited(address indexed owner, address indexed token, uint256 amount);
    /// @notice `amount` of `owner`'s was locked as a bond, or for the bounties of its orders.
    event Debited(address indexed owner, address indexed token, uint256 amount);
    /// @notice `owner` moved `amount` to `to`.
    event Withdrawn(address indexed owner, address indexed token, address to, uint256 amount);
    /// @notice Orders of `owner` of an epoch below `epoch` are revoked.
    event EpochRaised(address indexed owner, uint32 epoch);

    /* EVENTS: NODES */

    /// @notice `node` works for `provider`, for good.
    event Enrolled(address indexed node, address indexed provider);
    /// @notice `node` gets no new assignments.
    event Revoked(address indexed node, address indexed provider);
    /// @notice `scheduler` may assign jobs to the provider's nodes, and have bonds in `token` up to `bondLimit` locked.
    event SchedulerApproved(
        address indexed provider, address indexed scheduler, address indexed token, uint128 bondLimit
    );
    /// @notice `scheduler` may no longer assign jobs to the provider's nodes.
    event SchedulerDisapproved(address indexed provider, address indexed scheduler);

    /* ERRORS: WHO */

    /// @notice Only the job's submitter may do this.
    error NotSubmitter(address caller, address submitter);
    /// @notice Only the job's scheduler may do this.
    error NotScheduler(address caller, address scheduler);
    /// @notice Only the job's scheduler or submitter may do this.
    error NotSchedulerOrSubmitter(address caller, address scheduler, address submitter);
    /// @notice Only the job's submitter may dispute, and its scheduler what was published without it.
    error NotDisputant(address caller);
    /// @notice Only the job's arbiter may do this.
    error NotArbiter(address caller, address arbiter);
    /// @notice Only the node's provider may do this.
    error NotProvider(address caller, address provider);
    /// @notice The signature does not recover to the signer, for this job, attempt, chain and contract.
    error BadSignature(address signer, address recovered);

    /* ERRORS: TERMS */

    /// @notice A value in the terms is too large for its type.
    error StrayBits();
    /// @notice The terms name the zero address as scheduler or arbiter.
    error ZeroParty(address scheduler, address arbiter);
    /// @notice The bounty is zero.
    error ZeroBounty();
    /// @notice The fee is part of the bounty and cannot exceed it.
    error FeeAboveBounty(uint128 fee, uint128 bounty);
    /// @notice With a bond at stake the arbiter must be neither the submitter nor the scheduler.
    error PartialArbiter(address arbiter);
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
    /// @notice The balance is too small.
    error InsufficientBalance(address owner, address token, uint256 available, uint256 required);
    /// @notice The bond exceeds what the provider lets the scheduler lock.
    error BondAboveLimit(address provider, address scheduler, uint256 used, uint256 limit);
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

    /// @notice A job with a bond is assigned with its terms and the node's acceptance.
    error AcceptanceRequired(bytes32 jobId);
    /// @notice The node accepted the job only until `expires`.
    error AcceptanceExpired(uint40 expires);

    /* ERRORS: BATCHES AND ORDERS */

    /// @notice There is nothing in the batch.
    error EmptyBatch();
    /// @notice Jobs that are opened together have one submitter and one token.
    error MixedBatch(uint256 index);
    /// @notice The order was valid until `expires` only.
    error OrderExpired(uint40 expires);
    /// @notice The submitter revoked the order by raising its epoch.
    error OrderRevoked(uint32 epoch, uint32 current);
    /// @notice The jobs are not those of the order.
    error NotInOrder(bytes32 root);
    /// @notice The submitter has not signed the order.
    error BadOrderSignature(address submitter);

    /* ERRORS: NODES */

    /// @notice The node signed its consent only until `expires`.
    error EnrollmentExpired(uint40 expires);
    /// @notice The node belongs to `provider` for good; use a new key.
    error AlreadyEnrolled(address node, address provider);
    /// @notice The node is not enrolled.
    error NotEnrolled(address node);
    /// @notice The node's provider revoked it.
    error NodeRevoked(address node);
    /// @notice The node's provider has not approved the scheduler.
    error SchedulerNotApproved(address provider, address scheduler);

    /* JOBS: THE SUBMITTER */

    /// @notice Locks the bounty. Native coin: send exactly the bounty. Token: allow this contract the bounty first.
    /// @dev Called by the submitter itself; an allowance alone never opens anything. Terms under which a job could
    /// not complete are refused.
    /// @param t the job's terms.
    /// @return id the job id.
    function open(Terms calldata t) external payable returns (bytes32 id);

    /// @notice `open` for a token with EIP-2612: the allowance comes with the call.
    /// @dev A permit that was used already does no harm: then the allowance is there.
    /// @param t the job's terms.
    /// @param permit the caller's consent to the bounty.
    /// @return id the job id.
    function openWithPermit(Terms calldata t, Permit calldata permit) external returns (bytes32 id);

    /// @notice Opens jobs of one submitter and one token from its balance, and assigns those that name a node.
    /// @dev The submitter itself, or anyone with its order over the jobs. Coin that is sent becomes the caller's balance
    /// first. What cannot be opened or assigned is skipped; an order that does not hold refuses the whole batch.
    /// @param openings the jobs; for an order in the order of the leaves.
    /// @param order what the submitter signed; not looked at if the submitter calls.
    /// @param signature the submitter's `Order(root, epoch, expires)`, 64 or 65 bytes, or what its wallet accepts (EIP-1271).
    /// @param proof hashes of the Merkle tree that do not follow from the jobs.
    /// @param flags for each step of the proof: true takes the next job or hash, false the next element of `proof`.
    function openMany(
        Opening[] calldata openings,
        Order calldata order,
        bytes calldata signature,
        bytes32[] calldata proof,
        bool[] calldata flags
    ) external payable;

    /// @notice Withdraws an open job: bounty and pool return at once. For terms that have not been opened, forbids it.
    /// @dev Submitter only.
    /// @param t the job's terms.
    function cancel(Terms calldata t) external;

    /// @notice `cancel` for many jobs; those that cannot be cancelled are skipped.
    /// @param terms the jobs' terms.
    function cancelMany(Terms[] calldata terms) external;

    /// @notice Revokes all orders that the caller has signed.
    /// @return epoch the caller's new epoch.
    function raiseEpoch() external returns (uint32 epoch);

    /// @notice Returns bounty and pool of a job that has no result, after its deadline, and the bond of the provider that
    /// had it last and never delivered.
    /// @dev Anyone; the money goes to the submitter.
    /// @param t the job's terms.
    function refund(Terms calldata t) external;

    /* JOBS: THE SCHEDULER */

    /// @notice Gives an open job without a bond to a node.
    /// @dev Scheduler only, by the deadline. The node must be enrolled and not revoked, and its provider must have
    /// approved the scheduler.
    /// @param id the job id.
    /// @param node the node that is to run the job.
    /// @param attempt the number of assignments so far plus one.
    function assign(bytes32 id, address node, uint16 attempt) external;

    /// @notice Gives an open job, or one whose lease has ended, to a node.
    /// @dev As `assign`. A bond needs the node's acceptance, else scheduler and submitter could burn bonds with jobs that
    /// cannot be done; it is locked from the provider's balance, within what the provider lets the scheduler lock.
    /// @param assignment the job, the node, and its acceptance.
    function assignWithTerms(Assignment calldata assignment) external;

    /// @notice `assignWithTerms` for many jobs; those that cannot be assigned are skipped.
    /// @param assignments the assignments.
    function assignMany(Assignment[] calldata assignments) external;

    /// @notice Calls a silent node in: unless it renews, its lease ends after the grace time.
    /// @dev Scheduler only; once per renewal, at least a quarter of a lease after it (an assignment counts as one),
    /// and only if it shortens the lease.
    /// @param t the job's terms.
    function callIn(Terms calldata t) external;

    /// @notice Takes the job from a node whose lease has ended; the job is open again, and the bond is forfeited.
    /// @dev The scheduler once the lease has ended, the submitter a grace time later.
    /// @param t the job's terms.
    function lapse(Terms calldata t) external;

    /// @notice Accepts the node's result: pays at once, or starts the hold.
    /// @dev Scheduler only; by the deadline, or within the challenge window of a published result.
    /// @param t the job's terms.
    /// @param receiptHash sha-256 of the canonical receipt.
    /// @param signature the node's `Result(jobId, attempt, node, receiptHash)`.
    function settle(Terms calldata t, bytes32 receiptHash, Signature calldata signature) external;

    /// @notice `settle` for many jobs; those that cannot be settled are skipped.
    /// @dev Neighbours with the same provider and token are paid together: sort by both.
    /// @param settlements the jobs and their results.
    function settleMany(Settlement[] calldata settlements) external;

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

    /// @notice Pays a settled job after its hold, a published one after its challenge window, and a disputed one when the
    /// arbiter's time has passed.
    /// @dev Anyone. Without a settlement the fee returns to the submitter. An arbiter that stays silent rules to pay.
    /// @param t the job's terms.
    function claim(Terms calldata t) external;

    /* DISPUTES */

    /// @notice Disputes a result within its hold or challenge window. Native coin: send exactly the dispute bond. Token:
    /// allow this contract the dispute bond first.
    /// @dev The submitter; the scheduler only what was published without it.
    /// @param t the job's terms.
    function dispute(Terms calldata t) external payable;

    /// @notice Ends a dispute: pays the provider, refunds the submitter, or opens the job again before its deadline.
    /// @dev Arbiter only, while its time runs. `Pay` gives the dispute bond to the provider. `Refund` gives bounty, pool and
    /// the provider's bond to the submitter. `Reopen` forfeits the provider's bond as a lapse does. The dispute bond
    /// returns to whoever disputed unless the ruling is to pay.
    /// @param t the job's terms.
    /// @param ruling what is to happen.
    function rule(Terms calldata t, Ruling ruling) external;

    /* BALANCES */

    /// @notice Pays into the caller's balance. Native coin: send exactly the amount. Token: allow it to this contract first.
    /// @param token the token; zero is the native coin.
    /// @param amount in the token's smallest unit.
    function deposit(address token, uint256 amount) external payable;

    /// @notice `deposit` of a token with EIP-2612: the allowance comes with the call.
    /// @param token the token.
    /// @param amount in the token's smallest unit.
    /// @param permit the caller's consent to the amount.
    function depositWithPermit(address token, uint256 amount, Permit calldata permit) external;

    /// @notice Moves some of the caller's balance to a recipient.
    /// @param token the token; zero is the native coin.
    /// @param to where the money goes.
    /// @param amount in the token's smallest unit.
    function withdraw(address token, address to, uint256 amount) external;

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

    /// @notice Lets a scheduler assign jobs to the caller's nodes, and lock bonds in a token up to a limit.
    /// @dev The limit falls by each bond that is forfeited, so a node key in wrong hands costs at most the limit. A new
    /// approval sets it anew; what is locked already counts against it.
    /// @param scheduler the scheduler.
    /// @param token the token of the bonds; zero is the native coin.
    /// @param bondLimit how much of the caller's balance in the token may be locked at the same time.
    function approveScheduler(address scheduler, address token, uint128 bondLimit) external;

    /// @notice Takes an approval back, in every token. What is already assigned goes on.
    /// @dev The bond limits stay as they are, and hold again after a new approval: set them to zero to forget them.
    /// @param scheduler the scheduler.
    function disapproveScheduler(address scheduler) external;

    /* VIEWS */

    /// @notice The id of a job: the EIP-712 digest of its terms in the domain of this contract's deployment.
    /// @param t the job's terms.
    /// @return id the job id.
    function jobId(Terms calldata t) external view returns (bytes32 id);

    /// @notice What the contract stores of a job.
    /// @param id the job id.
    /// @return state where the job stands.
    /// @return node the node that holds, or delivered, the job; zero where there is none.
    /// @return at Assigned: the last renewal, call-in or assignment. Otherwise when the state began.
    /// @return assignedAt when the node's attempt began; zero where there is none.
    /// @return attempt how often the job has been assigned.
    /// @return forfeits how many bonds have gone into the job's pool, by half each.
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
    /// @param token the token of the bonds; zero is the native coin.
    /// @return approved true if the scheduler may assign to the provider's nodes.
    /// @return bondLimit how much of the provider's balance it may lock.
    /// @return bondUsed how much of that is locked now.
    function approval(address provider, address scheduler, address token)
        external
        view
        returns (bool approved, uint128 bondLimit, uint128 bondUsed);

    /// @notice What an owner can withdraw, lock or spend.
    /// @param owner the owner.
    /// @param token the token; zero is the native coin.
    /// @return amount in the token's smallest unit.
    function balance(address owner, address token) external view returns (uint256 amount);

    /// @notice The epoch that an owner's orders must carry.
    /// @param owner the owner.
    /// @return current the epoch.
    function epoch(address owner) external view returns (uint32 current);

    /// @notice The EIP-712 domain separator of signatures, on the chain as it is now.
    /// @return separator the domain separator.
    function domainSeparator() external view returns (bytes32 separator);
}
