-- What nodes are ordered by where a job wants the best reputation, in thousandths. A node without a past has 500.
ALTER TABLE nodes ADD COLUMN reputation INTEGER NOT NULL DEFAULT 500;
CREATE INDEX nodes_by_reputation ON nodes (token, reputation DESC, id) WHERE is_open = 1;
