-- The jobs of one node, and those of one submitter in one state.
CREATE INDEX attempts_by_node ON attempts (node, job);
CREATE INDEX jobs_by_submitter_and_state ON jobs (submitter, state, created_at DESC, id DESC);
-- Jobs that had ended before their rows said when: their history does.
UPDATE jobs SET body = json_set(body, '$.ended_at', (
        SELECT json_extract(e.body, '$.at_ms') FROM events e
        WHERE e.job = jobs.id AND json_extract(e.body, '$.event') = jobs.state
        ORDER BY e.version DESC LIMIT 1))
    WHERE state IN ('settled', 'refunded', 'cancelled');
