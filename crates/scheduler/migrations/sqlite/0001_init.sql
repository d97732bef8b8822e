-- Times are milliseconds since the Unix epoch, ids and addresses are bytes, amounts are text of 39 digits, so that they
-- sort as numbers. What no query looks for is in the JSON body.

CREATE TABLE jobs (
    id BLOB PRIMARY KEY,
    state TEXT NOT NULL,
    escrow TEXT NOT NULL,
    submitter BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    -- Since when the job waits for nothing but a node; NULL where it does not.
    waiting_since INTEGER,
    version INTEGER NOT NULL,
    -- What a node must have. NULL while the spec is not known.
    token BLOB NOT NULL,
    pay TEXT NOT NULL,
    runtime TEXT,
    cpu_millis INTEGER,
    memory_bytes INTEGER,
    disk_bytes INTEGER,
    gpus INTEGER,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_by_time ON jobs (created_at DESC, id DESC);
CREATE INDEX jobs_by_submitter ON jobs (submitter, created_at DESC, id DESC);
CREATE INDEX jobs_by_state ON jobs (state, created_at DESC, id DESC);
CREATE INDEX jobs_due ON jobs (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (token, waiting_since, id) WHERE waiting_since IS NOT NULL;

CREATE TABLE attempts (
    job BLOB NOT NULL REFERENCES jobs (id),
    number INTEGER NOT NULL,
    node BLOB NOT NULL,
    provider BLOB NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_by_provider ON attempts (provider, job);

CREATE TABLE nodes (
    id BLOB PRIMARY KEY,
    provider BLOB NOT NULL,
    mode TEXT NOT NULL,
    standing TEXT NOT NULL,
    due_at INTEGER,
    last_assigned_at INTEGER NOT NULL,
    -- Online and in good standing: the only ones that a window holds.
    is_open INTEGER NOT NULL,
    token BLOB NOT NULL,
    price_floor TEXT NOT NULL,
    runs_docker INTEGER NOT NULL,
    runs_wasm INTEGER NOT NULL,
    cpu_millis_free INTEGER NOT NULL,
    memory_bytes_free INTEGER NOT NULL,
    disk_bytes_free INTEGER NOT NULL,
    gpus_free INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX nodes_due ON nodes (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX nodes_by_price ON nodes (token, price_floor, id) WHERE is_open = 1;
CREATE INDEX nodes_by_idleness ON nodes (token, last_assigned_at, id) WHERE is_open = 1;

-- Heartbeats: narrow, because every node writes here all the time.
CREATE TABLE node_heard (
    node BLOB PRIMARY KEY REFERENCES nodes (id),
    heard_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened to each job, without gaps.
CREATE TABLE events (
    job BLOB NOT NULL REFERENCES jobs (id),
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (job, version)
) STRICT, WITHOUT ROWID;

-- Results that wait for a verdict: the verifier's outbox.
CREATE TABLE verifications (
    job BLOB NOT NULL REFERENCES jobs (id),
    attempt INTEGER NOT NULL,
    receipt_hash BLOB NOT NULL,
    leased_until INTEGER NOT NULL,
    PRIMARY KEY (job, attempt, receipt_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX verifications_by_lease ON verifications (leased_until);

CREATE TABLE specs (
    hash BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    stored_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- Who has signed in. The token itself is nowhere, only its sha-256.
CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    address BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Login nonces that were used, kept until they expire by themselves.
CREATE TABLE used_nonces (
    nonce TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_nonces_by_expiry ON used_nonces (expires_at);

-- What a request under an idempotency key was answered with.
CREATE TABLE replies (
    account BLOB NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    reply TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX replies_by_expiry ON replies (expires_at);

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
