-- Who verifies a result, so that a replica that starts again goes on at once with what it had under way.
ALTER TABLE verifications ADD COLUMN replica BLOB;
