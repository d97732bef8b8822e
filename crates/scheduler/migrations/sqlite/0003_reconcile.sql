-- Reconciliation goes through jobs by what the contract holds for them, and through those that wait for their spec.
CREATE INDEX jobs_by_escrow ON jobs (escrow, id);
CREATE INDEX jobs_without_spec ON jobs (id) WHERE runtime IS NULL AND state = 'queued';

-- Nothing is signed while a row is open. A person closes it.
CREATE TABLE payout_stops (
    id INTEGER PRIMARY KEY,
    stopped_at INTEGER NOT NULL,
    -- The block at which contract, events and database differed.
    block INTEGER NOT NULL,
    reason TEXT NOT NULL,
    resumed_at INTEGER,
    resumed_because TEXT,
    -- Resumed although the differences were still there: they are accepted, and stop nothing again.
    forced INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX payout_stops_open ON payout_stops ((1)) WHERE resumed_at IS NULL;

CREATE TABLE differences (
    id INTEGER PRIMARY KEY,
    stop INTEGER NOT NULL REFERENCES payout_stops (id),
    kind TEXT NOT NULL,
    -- Empty where it is about no single job.
    job BLOB NOT NULL,
    detail TEXT NOT NULL,
    found_at INTEGER NOT NULL,
    UNIQUE (stop, kind, job, detail)
) STRICT;
CREATE INDEX differences_by_detail ON differences (kind, job, detail);
