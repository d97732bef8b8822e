//! The machine itself: its state folder, and room for the job that the offer promises.

use std::path::Path;

use super::Findings;
use crate::config::Config;
use crate::state_dir::StateDir;

/// What one job may leave beside its own room: the log, blocks of the output, the journal.
const SPARE_BYTES: u64 = 1 << 30;

pub(super) fn examine(findings: &mut Findings, config: &Config) {
    let state = match StateDir::open(&config.state_dir) {
        Ok(state) => state,
        Err(error) => {
            return findings.fail("state", error, "choose a state_dir that can be written");
        }
    };
    findings.ok("state", state.root().display().to_string());
    match room(state.root()) {
        Ok(room) => judge_room(findings, room, config.offer.disk_bytes),
        Err(error) => findings.fail("disk", error, "choose a state_dir on a disk that answers"),
    }
}

/// Bytes and files that may still be written.
struct Room {
    bytes: u64,
    files: u64,
}

fn room(path: &Path) -> std::io::Result<Room> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Room { bytes: stat.f_bavail.saturating_mul(stat.f_frsize), files: stat.f_favail })
}

fn judge_room(findings: &mut Findings, room: Room, offered_bytes: u64) {
    let free = format!("{} GiB free", room.bytes >> 30);
    // The inputs and the output of a job take what was offered; the output's blocks take it once more.
    let wanted = offered_bytes.saturating_mul(2).saturating_add(SPARE_BYTES);
    // File systems that make files as they are needed say that they have none.
    if room.files > 0 && room.files < crate::runtime::OUTPUT_ENTRIES_MAX {
        return findings.fail(
            "disk",
            format!("{free}, and room for {} files only", room.files),
            "delete what has many small files, or choose a state_dir on another disk",
        );
    }
    if room.bytes < offered_bytes {
        let fix = format!(
            "free {} GiB, or offer less: offer.disk_bytes",
            (offered_bytes - room.bytes).div_ceil(1 << 30)
        );
        return findings.fail("disk", format!("{free}, less than one job may use"), fix);
    }
    if room.bytes < wanted {
        return findings.warn(
            "disk",
            format!(
                "{free}: enough for one job, and not for the blocks of a large output beside it"
            ),
            format!(
                "free {} GiB, or offer less: offer.disk_bytes",
                (wanted - room.bytes).div_ceil(1 << 30)
            ),
        );
    }
    findings.ok("disk", free);
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_disk_that_cannot_hold_what_is_offered_is_told_before_a_job_finds_out() {
        const GIB: u64 = 1 << 30;
        for (bytes, files, offered, expected) in [
            (100 * GIB, 1_000_000, 10 * GIB, Verdict::Ok),
            (100 * GIB, 0, 10 * GIB, Verdict::Ok),
            (21 * GIB, 1_000_000, 10 * GIB, Verdict::Ok),
            (21 * GIB - 1, 1_000_000, 10 * GIB, Verdict::Warn),
            (10 * GIB, 1_000_000, 10 * GIB, Verdict::Warn),
            (10 * GIB - 1, 1_000_000, 10 * GIB, Verdict::Fail),
            (0, 1_000_000, 10 * GIB, Verdict::Fail),
            (100 * GIB, 99_999, 10 * GIB, Verdict::Fail),
            (100 * GIB, 1_000_000, u64::MAX, Verdict::Fail),
        ] {
            let mut findings = Findings::default();
            judge_room(&mut findings, Room { bytes, files }, offered);
            let [finding] = findings.0.as_slice() else { panic!("one line for the disk") };
            assert_eq!(
                finding.verdict, expected,
                "{bytes} bytes, {files} files, {offered} offered"
            );
            assert_eq!(finding.fix.is_none(), expected == Verdict::Ok);
        }
    }

    #[test]
    fn a_real_folder_has_room() {
        assert!(room(&std::env::temp_dir()).unwrap().bytes > 0);
        assert!(room(Path::new("/nowhere/at/all")).is_err());
    }
}
