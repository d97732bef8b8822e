//! `gristmill upload`: files and directories to the scheduler's content store.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::app::App;
use crate::failure::Result;
use crate::output::Tone;
use crate::quantity;
use crate::transfer::Workbench;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill upload train.csv\n  gristmill upload data/ model.wasm --json\n  gristmill upload data/ --dry-run       # only print the CID"
)]
pub(crate) struct UploadArgs {
    /// Files and directories
    #[arg(required = true, num_args = 1.., value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only compute the CIDs; nothing leaves this machine
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(app: &App, args: UploadArgs) -> Result<()> {
    let workbench = Workbench::new()?;
    if !args.dry_run {
        app.session().await?;
    }
    let mut rows = Vec::new();
    for path in &args.paths {
        let added = workbench.add(path).await?;
        if !args.dry_run {
            workbench.upload(app, &added, &path.display().to_string()).await?;
        }
        if app.out.is_json() {
            rows.push(json!({
                "path": path, "cid": added.cid.to_string(), "bytes": added.bytes, "files": added.files, "uploaded": !args.dry_run,
            }));
        } else {
            app.out.line(format!(
                "{}  {}  {}",
                added.cid,
                app.out.paint(Tone::Quiet, quantity::bytes(added.bytes)),
                path.display()
            ))?;
        }
    }
    if app.out.is_json() { app.out.value(&rows) } else { Ok(()) }
}
