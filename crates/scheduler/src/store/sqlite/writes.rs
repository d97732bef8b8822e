//! Writes of one transaction. What turns decide is loaded and saved in [`decisions`](super::decisions).

use gristmill_market::demand::KnownSpec;
use gristmill_market::effect::Verification;
use gristmill_market::{Changes, Needs, Policy, World};
use gristmill_protocol::Address;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, ReceiptHash};
use gristmill_protocol::time::Timestamp;

use super::columns::{body, int, time};
use super::{SqliteRows, StoreError};
use crate::store::chain::ReplicaId;
use crate::store::{IdempotencyKey, Session, StoredReply, TokenHash, Writes};

impl Writes for SqliteRows<'_> {
    fn load(&self, needs: &Needs, policy: &Policy) -> Result<World, StoreError> {
        self.load_world(needs, policy)
    }

    fn save(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.save_changes(changes)
    }

    fn hear(&mut self, heard: &[(NodeId, Timestamp)]) -> Result<(), StoreError> {
        for (node, at) in heard {
            self.change(
                "INSERT INTO node_heard (node, heard_at) SELECT id, ?2 FROM nodes WHERE id = ?1
                    ON CONFLICT (node) DO UPDATE SET heard_at = max(heard_at, excluded.heard_at)",
                (node.0.as_slice(), time(*at)),
            )?;
        }
        Ok(())
    }

    fn put_spec(
        &mut self,
        known: &KnownSpec,
        by: Address,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO specs (hash, account, stored_at, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let body = body("specs", &known.spec)?;
        self.change(sql, (known.hash.0.as_slice(), by.as_slice(), time(now), body))?;
        Ok(())
    }

    fn store_reply(
        &mut self,
        key: &IdempotencyKey,
        stored: &StoredReply,
    ) -> Result<(), StoreError> {
        let reply = body("replies", &stored.reply)?;
        self.change(
            "INSERT OR REPLACE INTO replies (account, key, fingerprint, reply, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            (key.account.as_slice(), &key.key, &stored.fingerprint[..], reply, time(stored.expires_at)),
        )?;
        Ok(())
    }

    fn use_nonce(&mut self, nonce: &str, expires_at: Timestamp) -> Result<bool, StoreError> {
        let sql =
            "INSERT INTO used_nonces (nonce, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        Ok(self.change(sql, (nonce, time(expires_at)))? == 1)
    }

    fn put_session(&mut self, token: &TokenHash, session: &Session) -> Result<(), StoreError> {
        self.change(
            "INSERT OR REPLACE INTO sessions (token_hash, address, expires_at) VALUES (?1, ?2, ?3)",
            (&token.0[..], session.address.as_slice(), time(session.expires_at)),
        )?;
        Ok(())
    }

    fn revoke_session(&mut self, token: &TokenHash) -> Result<(), StoreError> {
        self.change("DELETE FROM sessions WHERE token_hash = ?1", [&token.0[..]])?;
        Ok(())
    }

    fn purge(&mut self, now: Timestamp, limit: usize) -> Result<(), StoreError> {
        let params = (time(now), int(limit as u64));
        for sql in [
            "DELETE FROM sessions WHERE token_hash IN
                (SELECT token_hash FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            "DELETE FROM used_nonces WHERE nonce IN
                (SELECT nonce FROM used_nonces WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            "DELETE FROM replies WHERE (account, key) IN
                (SELECT account, key FROM replies WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            "DELETE FROM enroll_consents WHERE node IN
                (SELECT node FROM enroll_consents WHERE kept_until <= ?1 ORDER BY kept_until LIMIT ?2)",
        ] {
            self.change(sql, params)?;
        }
        Ok(())
    }

    fn setting(&mut self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.change(
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            (name, fresh),
        )?;
        let value =
            self.one("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0))?;
        Ok(value.unwrap_or_else(|| fresh.to_vec()))
    }

    fn mark_ready(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO settings (name, value) VALUES ('ready_at', ?1)";
        self.change(sql, [&now.0.to_be_bytes()[..]])?;
        Ok(())
    }

    fn lease_verifications(
        &mut self,
        replica: ReplicaId,
        now: Timestamp,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<Verification>, StoreError> {
        let free = "SELECT job, attempt, receipt_hash FROM verifications WHERE leased_until <= ?1
            ORDER BY leased_until LIMIT ?2";
        let leased = self.all(free, (time(now), int(limit as u64)), |row| {
            Ok(Verification {
                job: JobId(row.get::<_, [u8; 32]>(0)?.into()),
                attempt: AttemptNumber(row.get(1)?),
                receipt_hash: ReceiptHash(row.get::<_, [u8; 32]>(2)?.into()),
            })
        })?;
        let until = time(now.plus_millis(lease_ms));
        for verification in &leased {
            self.change(
                "UPDATE verifications SET leased_until = ?4, replica = ?5
                 WHERE job = ?1 AND attempt = ?2 AND receipt_hash = ?3",
                (
                    verification.job.0.as_slice(),
                    verification.attempt.0,
                    verification.receipt_hash.0.as_slice(),
                    until,
                    replica.0.as_slice(),
                ),
            )?;
        }
        Ok(leased)
    }

    fn free_verifications(&mut self, replica: ReplicaId) -> Result<(), StoreError> {
        let sql = "UPDATE verifications SET leased_until = 0 WHERE replica = ?1";
        self.change(sql, [replica.0.as_slice()])?;
        Ok(())
    }

    fn close_verification(&mut self, verification: &Verification) -> Result<(), StoreError> {
        self.change(
            "DELETE FROM verifications WHERE job = ?1 AND attempt = ?2 AND receipt_hash = ?3",
            (
                verification.job.0.as_slice(),
                verification.attempt.0,
                verification.receipt_hash.0.as_slice(),
            ),
        )?;
        Ok(())
    }
}
