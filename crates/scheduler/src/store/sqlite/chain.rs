//! The chain's tables in SQLite.

use gristmill_market::effect::Intent;
use gristmill_market::escrow::ChainPosition;
use gristmill_protocol::api::{IntentState, TransactionView};
use gristmill_protocol::ids::{JobId, NodeId, TxHash};
use gristmill_protocol::time::Timestamp;
use gristmill_protocol::{Address, B256};
use rusqlite::{OptionalExtension, Row, params};

use super::SqliteRows;
use crate::store::StoreError;
use crate::store::chain::{
    BlockRef, Broadcast, ChainReads, ChainWrites, Enrollment, Inclusion, IntentId, IntentRow,
    NewTx, SignerClaim, SignerLease, TxId, TxRow, TxState,
};

/// SQLite's integers are signed. Only times that mean "never" are larger, and they stay so.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Every column that is read so was written by [`int`].
fn uint(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<B256> {
    row.get::<_, [u8; 32]>(column).map(B256::from)
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Address> {
    row.get::<_, [u8; 20]>(column).map(Address::from)
}

fn block_ref(row: &Row<'_>) -> rusqlite::Result<BlockRef> {
    Ok(BlockRef { number: uint(row, 0)?, hash: hash(row, 1)? })
}

fn read_json(table: &'static str, text: &str) -> Result<Intent, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt { table, problem: error.to_string() })
}

fn tx_state(text: &str) -> Result<TxState, StoreError> {
    TxState::ALL.iter().copied().find(|state| state.as_str() == text).ok_or_else(|| {
        StoreError::Corrupt { table: "chain_txs", problem: format!("`{text}` is not a state") }
    })
}

const INTENT_COLUMNS: &str = "id, body, tries, failure";

impl SqliteRows<'_> {
    fn intents(
        &self,
        sql: &str,
        arguments: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<IntentRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(arguments)?;
        let mut intents = Vec::new();
        while let Some(row) = rows.next()? {
            intents.push(IntentRow {
                id: IntentId(uint(row, 0)?),
                intent: read_json(
                    "chain_intents",
                    row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?,
                )?,
                tries: row.get(2)?,
                failure: row.get(3)?,
            });
        }
        Ok(intents)
    }

    /// What a transaction was signed for, in the order in which it was planned.
    fn intents_of(&self, tx: TxId) -> Result<Vec<IntentId>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id FROM chain_intents WHERE tx = ?1 ORDER BY id")?;
        let rows = statement.query_map([int(tx.0)], |row| Ok(IntentId(uint(row, 0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn broadcasts(&self, tx: TxId) -> Result<Vec<Broadcast>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT hash, raw, max_fee_wei, priority_fee_wei, at_block, filler
             FROM chain_broadcasts WHERE tx = ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([int(tx.0)], |row| {
            Ok(Broadcast {
                hash: TxHash(hash(row, 0)?),
                raw: row.get(1)?,
                max_fee_wei: uint(row, 2)?,
                priority_fee_wei: uint(row, 3)?,
                at_block: uint(row, 4)?,
                filler: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn execute(&self, sql: &str, arguments: &[&dyn rusqlite::ToSql]) -> Result<usize, StoreError> {
        Ok(self.connection.prepare_cached(sql)?.execute(arguments)?)
    }
}

impl ChainReads for SqliteRows<'_> {
    fn enrollment(&self, node: NodeId) -> Result<Option<Enrollment>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT provider, revoked FROM chain_nodes WHERE node = ?1")?;
        let found = statement
            .query_row([node.0.as_slice()], |row| {
                Ok(Enrollment { provider: address(row, 0)?, revoked: row.get(1)? })
            })
            .optional()?;
        Ok(found)
    }

    fn nodes_of(&self, provider: Address, limit: usize) -> Result<Vec<NodeId>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT node FROM chain_nodes WHERE provider = ?1 AND revoked = 0 ORDER BY node LIMIT ?2",
        )?;
        let rows = statement.query_map(params![provider.as_slice(), count(limit)], |row| {
            address(row, 0).map(NodeId)
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn is_approved(&self, provider: Address) -> Result<bool, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT approved FROM chain_approvals WHERE provider = ?1")?;
        let found = statement.query_row([provider.as_slice()], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or(false))
    }

    fn transactions_of(&self, job: JobId) -> Result<Vec<TransactionView>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT intents.body, intents.failure IS NOT NULL, txs.state, txs.gas_used,
                    coalesce(txs.mined_hash, (SELECT hash FROM chain_broadcasts
                                              WHERE tx = txs.id ORDER BY id DESC LIMIT 1))
             FROM chain_intents AS intents LEFT JOIN chain_txs AS txs ON txs.id = intents.tx
             WHERE intents.job = ?1 ORDER BY intents.id",
        )?;
        let mut rows = statement.query([job.0.as_slice()])?;
        let mut views = Vec::new();
        while let Some(row) = rows.next()? {
            let intent = read_json(
                "chain_intents",
                row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?,
            )?;
            let failed: bool = row.get(1)?;
            let state: Option<String> = row.get(2)?;
            views.push(TransactionView {
                kind: intent.kind(),
                state: match state {
                    _ if failed => IntentState::Blocked,
                    Some(state) => tx_state(&state)?.intent_state(),
                    None => IntentState::Planned,
                },
                hash: row.get::<_, Option<[u8; 32]>>(4)?.map(|hash| TxHash(hash.into())),
                gas_used: row.get::<_, Option<i64>>(3)?.and_then(|gas| u64::try_from(gas).ok()),
            });
        }
        Ok(views)
    }

    fn planned_intents(&self, now: Timestamp, limit: usize) -> Result<Vec<IntentRow>, StoreError> {
        self.intents(
            &format!(
                "SELECT {INTENT_COLUMNS} FROM chain_intents
                 WHERE tx IS NULL AND failure IS NULL AND try_at <= ?1 ORDER BY id LIMIT ?2"
            ),
            params![int(now.0), count(limit)],
        )
    }

    fn next_intent_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT try_at FROM chain_intents WHERE tx IS NULL AND failure IS NULL ORDER BY try_at LIMIT 1",
        )?;
        Ok(statement.query_row([], |row| uint(row, 0).map(Timestamp)).optional()?)
    }

    fn intent(&self, id: IntentId) -> Result<Option<IntentRow>, StoreError> {
        let sql = format!("SELECT {INTENT_COLUMNS} FROM chain_intents WHERE id = ?1");
        Ok(self.intents(&sql, params![int(id.0)])?.pop())
    }

    fn unreported_intents(&self, limit: usize) -> Result<Vec<IntentRow>, StoreError> {
        self.intents(
            &format!(
                "SELECT {INTENT_COLUMNS} FROM chain_intents
                 WHERE failure IS NOT NULL AND reported = 0 ORDER BY id LIMIT ?1"
            ),
            params![count(limit)],
        )
    }

    fn open_txs(&self, signer: Address, limit: usize) -> Result<Vec<TxRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, nonce, state, gas_limit, mined_number, mined_block, mined_hash, gas_used, success
             FROM chain_txs WHERE signer = ?1 AND state IN ('signed', 'sent', 'mined') ORDER BY nonce LIMIT ?2",
        )?;
        let mut rows = statement.query(params![signer.as_slice(), count(limit)])?;
        let mut txs = Vec::new();
        while let Some(row) = rows.next()? {
            let id = TxId(uint(row, 0)?);
            let state = tx_state(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?;
            let inclusion = if state == TxState::Mined {
                Some(Inclusion {
                    block: BlockRef { number: uint(row, 4)?, hash: hash(row, 5)? },
                    hash: TxHash(hash(row, 6)?),
                    gas_used: uint(row, 7)?,
                    success: row.get(8)?,
                })
            } else {
                None
            };
            txs.push(TxRow {
                id,
                nonce: uint(row, 1)?,
                intents: self.intents_of(id)?,
                state,
                gas_limit: uint(row, 3)?,
                inclusion,
                broadcasts: self.broadcasts(id)?,
            });
        }
        Ok(txs)
    }

    fn chain_cursor(&self) -> Result<Option<BlockRef>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT number, hash FROM chain_cursor")?;
        Ok(statement.query_row([], block_ref).optional()?)
    }

    fn chain_window(&self) -> Result<Vec<BlockRef>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT number, hash FROM chain_blocks ORDER BY number")?;
        let rows = statement.query_map([], block_ref)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl ChainWrites for SqliteRows<'_> {
    fn insert_intent(&mut self, intent: &Intent) -> Result<(), StoreError> {
        let body = serde_json::to_string(intent).map_err(|error| StoreError::Corrupt {
            table: "chain_intents",
            problem: error.to_string(),
        })?;
        self.execute(
            "INSERT INTO chain_intents (kind, subject, job, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, subject) DO NOTHING",
            params![intent.kind().as_str(), intent.subject(), intent.job.0.as_slice(), body],
        )?;
        Ok(())
    }

    fn postpone_intent(&mut self, id: IntentId, at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE chain_intents SET tries = tries + 1, try_at = ?2 WHERE id = ?1 AND tx IS NULL",
            params![int(id.0), int(at.0)],
        )?;
        Ok(())
    }

    fn fail_intent(&mut self, id: IntentId, reason: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE chain_intents SET failure = ?2 WHERE id = ?1 AND failure IS NULL",
            params![int(id.0), reason],
        )?;
        Ok(())
    }

    fn report_intent(&mut self, id: IntentId) -> Result<(), StoreError> {
        self.execute("UPDATE chain_intents SET reported = 1 WHERE id = ?1", params![int(id.0)])?;
        Ok(())
    }

    fn lease_signer(&mut self, claim: &SignerClaim) -> Result<Option<SignerLease>, StoreError> {
        // A lease that has run out is anybody's; a running one is its replica's, under a new fence after a restart.
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO chain_signers (address, replica, next_nonce, fence, leased_until) VALUES (?1, ?2, ?3, 1, ?4)
             ON CONFLICT (address) DO UPDATE SET
                 next_nonce = max(next_nonce, excluded.next_nonce),
                 leased_until = excluded.leased_until,
                 fence = fence + (replica <> excluded.replica OR fence IS NOT ?5),
                 replica = excluded.replica
             WHERE replica = excluded.replica OR leased_until <= ?6
             RETURNING fence, next_nonce",
        )?;
        let lease = statement
            .query_row(
                params![
                    claim.signer.as_slice(),
                    claim.replica.0.as_slice(),
                    int(claim.chain_nonce),
                    int(claim.until.0),
                    claim.fence.map(int),
                    int(claim.now.0),
                ],
                |row| Ok(SignerLease { fence: uint(row, 0)?, next_nonce: uint(row, 1)? }),
            )
            .optional()?;
        Ok(lease)
    }

    fn take_nonce(&mut self, signer: Address, fence: u64) -> Result<Option<u64>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE chain_signers SET next_nonce = next_nonce + 1 WHERE address = ?1 AND fence = ?2
             RETURNING next_nonce - 1",
        )?;
        Ok(statement
            .query_row(params![signer.as_slice(), int(fence)], |row| uint(row, 0))
            .optional()?)
    }

    fn holds_signer(&mut self, signer: Address, fence: u64) -> Result<bool, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM chain_signers WHERE address = ?1 AND fence = ?2")?;
        Ok(statement.exists(params![signer.as_slice(), int(fence)])?)
    }

    fn insert_tx(&mut self, tx: &NewTx) -> Result<TxId, StoreError> {
        self.execute(
            "INSERT INTO chain_txs (signer, nonce, state, gas_limit) VALUES (?1, ?2, 'signed', ?3)",
            params![tx.signer.as_slice(), int(tx.nonce), int(tx.gas_limit)],
        )?;
        let id = TxId(u64::try_from(self.connection.last_insert_rowid()).unwrap_or(0));
        self.insert_broadcast(id, &tx.broadcast)?;
        for intent in &tx.intents {
            self.execute(
                "UPDATE chain_intents SET tx = ?2 WHERE id = ?1",
                params![int(intent.0), int(id.0)],
            )?;
        }
        Ok(id)
    }

    fn insert_broadcast(&mut self, tx: TxId, broadcast: &Broadcast) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO chain_broadcasts (hash, tx, raw, max_fee_wei, priority_fee_wei, at_block, filler)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                broadcast.hash.0.as_slice(),
                int(tx.0),
                broadcast.raw,
                int(broadcast.max_fee_wei),
                int(broadcast.priority_fee_wei),
                int(broadcast.at_block),
                broadcast.filler
            ],
        )?;
        Ok(())
    }

    fn mark_sent(&mut self, tx: TxId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE chain_txs SET state = 'sent' WHERE id = ?1 AND state = 'signed'",
            params![int(tx.0)],
        )?;
        Ok(())
    }

    fn mark_mined(&mut self, tx: TxId, inclusion: &Inclusion) -> Result<(), StoreError> {
        self.execute(
            "UPDATE chain_txs SET state = 'mined', mined_number = ?2, mined_block = ?3, mined_hash = ?4,
                                  gas_used = ?5, success = ?6
             WHERE id = ?1 AND state IN ('signed', 'sent', 'mined')",
            params![
                int(tx.0),
                int(inclusion.block.number),
                inclusion.block.hash.as_slice(),
                inclusion.hash.0.as_slice(),
                int(inclusion.gas_used),
                inclusion.success
            ],
        )?;
        Ok(())
    }

    fn unmark_mined(&mut self, tx: TxId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE chain_txs SET state = 'sent', mined_number = NULL, mined_block = NULL, mined_hash = NULL,
                                  gas_used = NULL, success = NULL
             WHERE id = ?1 AND state = 'mined'",
            params![int(tx.0)],
        )?;
        Ok(())
    }

    fn mark_final(&mut self, tx: TxId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE chain_txs SET state = 'final' WHERE id = ?1 AND state = 'mined'",
            params![int(tx.0)],
        )?;
        Ok(())
    }

    fn mark_lost(&mut self, tx: TxId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE chain_txs SET state = 'lost' WHERE id = ?1 AND state IN ('signed', 'sent')",
            params![int(tx.0)],
        )?;
        self.execute(
            "UPDATE chain_intents SET tx = NULL WHERE tx = ?1
             AND EXISTS (SELECT 1 FROM chain_txs WHERE id = ?1 AND state = 'lost')",
            params![int(tx.0)],
        )?;
        Ok(())
    }

    fn roll_back(&mut self, common: Option<u64>) -> Result<u64, StoreError> {
        // Without a common block nothing that was seen stays.
        let after = common.map_or(-1, int);
        self.execute("DELETE FROM chain_blocks WHERE number > ?1", params![after])?;
        let turned = self.execute(
            "UPDATE chain_txs SET state = 'sent', mined_number = NULL, mined_block = NULL, mined_hash = NULL,
                                  gas_used = NULL, success = NULL
             WHERE state = 'mined' AND mined_number > ?1",
            params![after],
        )?;
        Ok(turned as u64)
    }

    fn extend_window(&mut self, blocks: &[BlockRef], keep: usize) -> Result<(), StoreError> {
        for block in blocks {
            self.execute(
                "INSERT INTO chain_blocks (number, hash) VALUES (?1, ?2)
                 ON CONFLICT (number) DO UPDATE SET hash = excluded.hash",
                params![int(block.number), block.hash.as_slice()],
            )?;
        }
        self.execute(
            "DELETE FROM chain_blocks WHERE number <= (SELECT max(number) FROM chain_blocks) - ?1",
            params![count(keep)],
        )?;
        Ok(())
    }

    fn move_cursor(&mut self, from: Option<BlockRef>, to: BlockRef) -> Result<bool, StoreError> {
        if self.chain_cursor()? != from {
            return Ok(false);
        }
        self.execute(
            "INSERT INTO chain_cursor (id, number, hash) VALUES (1, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET number = excluded.number, hash = excluded.hash",
            params![int(to.number), to.hash.as_slice()],
        )?;
        Ok(true)
    }

    fn put_enrollment(&mut self, node: NodeId, provider: Address) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO chain_nodes (node, provider) VALUES (?1, ?2) ON CONFLICT (node) DO NOTHING",
            params![node.0.as_slice(), provider.as_slice()],
        )?;
        self.execute("DELETE FROM enroll_consents WHERE node = ?1", params![node.0.as_slice()])?;
        Ok(())
    }

    fn revoke_enrollment(&mut self, node: NodeId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE chain_nodes SET revoked = 1 WHERE node = ?1",
            params![node.0.as_slice()],
        )?;
        Ok(())
    }

    fn put_approval(
        &mut self,
        provider: Address,
        approved: bool,
        at: ChainPosition,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO chain_approvals (provider, approved, at_block, at_log) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (provider) DO UPDATE SET
                 approved = excluded.approved, at_block = excluded.at_block, at_log = excluded.at_log
             WHERE (excluded.at_block, excluded.at_log) > (at_block, at_log)",
            params![provider.as_slice(), approved, int(at.block), at.log_index],
        )?;
        Ok(())
    }
}
