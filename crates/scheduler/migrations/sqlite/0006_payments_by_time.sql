-- What the market has paid, by time and by provider, read from the history itself: nothing is written twice. The partial
-- indexes hold one entry a job, and cost other events nothing.
CREATE INDEX events_settled ON events (json_extract(body, '$.at_ms'))
    WHERE json_extract(body, '$.event') = 'settled';
CREATE INDEX events_settled_by_provider ON events (json_extract(body, '$.provider'), json_extract(body, '$.at_ms'))
    WHERE json_extract(body, '$.event') = 'settled';
CREATE INDEX events_refunded ON events (json_extract(body, '$.at_ms'))
    WHERE json_extract(body, '$.event') = 'refunded';
CREATE INDEX attempts_failed ON attempts (provider, json_extract(body, '$.ended_at'))
    WHERE state IN ('rejected', 'expired', 'failed');
