//! What has been spent of [`Limits`]. Spending comes before doing.

use super::{ContentError, Limit, Limits, Result};

#[derive(Debug, Clone)]
pub(super) struct Budget {
    pub(super) limits: Limits,
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) blocks: u64,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limits: *limits, bytes: 0, files: 0, blocks: 0 }
    }

    pub(super) fn spend_bytes(&mut self, count: u64) -> Result<()> {
        spend(&mut self.bytes, count, self.limits.bytes_max, Limit::Bytes(self.limits.bytes_max))
    }

    pub(super) fn spend_files(&mut self, count: u64) -> Result<()> {
        spend(&mut self.files, count, self.limits.files_max, Limit::Files(self.limits.files_max))
    }

    pub(super) fn spend_blocks(&mut self, count: u64) -> Result<()> {
        spend(
            &mut self.blocks,
            count,
            self.limits.blocks_max,
            Limit::Blocks(self.limits.blocks_max),
        )
    }

    pub(super) fn check_depth(&self, depth: usize) -> Result<()> {
        if depth > self.limits.depth_max as usize {
            return Err(ContentError::LimitExceeded(Limit::Depth(self.limits.depth_max)));
        }
        Ok(())
    }

    pub(super) fn check_block(&self, bytes: u64) -> Result<()> {
        if bytes > self.limits.block_bytes_max {
            return Err(ContentError::LimitExceeded(Limit::BlockBytes(
                self.limits.block_bytes_max,
            )));
        }
        Ok(())
    }
}

fn spend(spent: &mut u64, count: u64, max: u64, limit: Limit) -> Result<()> {
    *spent = spent.saturating_add(count);
    if *spent > max { Err(ContentError::LimitExceeded(limit)) } else { Ok(()) }
}
