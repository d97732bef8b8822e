-- Nodes that have consented to a provider and wait for its wallet to enroll them. One row a node.
CREATE TABLE enroll_consents (
    node BLOB PRIMARY KEY,
    provider BLOB NOT NULL,
    seen_at INTEGER NOT NULL,
    kept_until INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enroll_consents_by_provider ON enroll_consents (provider, seen_at DESC, node);
CREATE INDEX enroll_consents_by_expiry ON enroll_consents (kept_until);
