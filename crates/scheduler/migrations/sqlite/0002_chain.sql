-- What must happen on chain, planned in the commit of the change that wants it.
CREATE TABLE chain_intents (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    job BLOB NOT NULL,
    body TEXT NOT NULL,
    -- The transaction that carries it; NULL while it waits for a nonce.
    tx INTEGER REFERENCES chain_txs (id),
    tries INTEGER NOT NULL DEFAULT 0,
    try_at INTEGER NOT NULL DEFAULT 0,
    -- Why it can never be mined.
    failure TEXT,
    reported INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, subject)
) STRICT;
CREATE INDEX chain_intents_by_job ON chain_intents (job, id);
CREATE INDEX chain_intents_planned ON chain_intents (try_at, id) WHERE tx IS NULL AND failure IS NULL;
CREATE INDEX chain_intents_by_tx ON chain_intents (tx, id) WHERE tx IS NOT NULL;
CREATE INDEX chain_intents_unreported ON chain_intents (id) WHERE failure IS NOT NULL AND reported = 0;

CREATE TABLE chain_signers (
    address BLOB PRIMARY KEY,
    -- Who sends for it, under which fence, and until when nobody else may.
    replica BLOB NOT NULL,
    next_nonce INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    leased_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A nonce that was taken, for good.
CREATE TABLE chain_txs (
    id INTEGER PRIMARY KEY,
    signer BLOB NOT NULL,
    nonce INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('signed', 'sent', 'mined', 'final', 'lost')),
    gas_limit INTEGER NOT NULL,
    mined_number INTEGER,
    mined_block BLOB,
    mined_hash BLOB,
    gas_used INTEGER,
    success INTEGER,
    CHECK ((state IN ('mined', 'final')) = (mined_hash IS NOT NULL)),
    UNIQUE (signer, nonce)
) STRICT;
CREATE INDEX chain_txs_open ON chain_txs (signer, nonce) WHERE state IN ('signed', 'sent', 'mined');

-- Every signed version of a transaction, stored before it is sent.
CREATE TABLE chain_broadcasts (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    tx INTEGER NOT NULL REFERENCES chain_txs (id),
    raw BLOB NOT NULL,
    max_fee_wei INTEGER NOT NULL,
    priority_fee_wei INTEGER NOT NULL,
    at_block INTEGER NOT NULL,
    filler INTEGER NOT NULL
) STRICT;
CREATE INDEX chain_broadcasts_by_tx ON chain_broadcasts (tx, id);

-- The last block whose events have all become commands; one row.
CREATE TABLE chain_cursor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;

-- The newest blocks that were seen, to recognise a reorganization.
CREATE TABLE chain_blocks (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL
) STRICT;

-- What final events say of nodes and of the providers' approvals of this scheduler.
CREATE TABLE chain_nodes (
    node BLOB PRIMARY KEY,
    provider BLOB NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX chain_nodes_by_provider ON chain_nodes (provider, node) WHERE revoked = 0;

CREATE TABLE chain_approvals (
    provider BLOB NOT NULL,
    approved INTEGER NOT NULL,
    at_block INTEGER NOT NULL,
    at_log INTEGER NOT NULL,
    PRIMARY KEY (provider)
) STRICT, WITHOUT ROWID;
