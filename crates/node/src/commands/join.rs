//! `join`: one command from nothing to work. It makes what is missing, asks the provider's wallet to enroll the node, and
//! goes on as `run`. What is done already is not done again, so it can be stopped and started at any point.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use gristmill_protocol::Address;
use gristmill_protocol::api::{Consent, Info};
use gristmill_protocol::client::Client;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::signing::Message;
use gristmill_protocol::spec::RuntimeKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::init;
use crate::chain::{Chain, ChainError};
use crate::config::{Config, PASSWORD_VARIABLE};
use crate::key::{NodeKey, password_from_environment, password_path, read_password};
use crate::systemd;

/// How long a consent is valid: a wallet may come days later, when this machine is off.
const CONSENT_SECONDS: u64 = 7 * 86_400;
/// The consent is sent again after this long, because a scheduler may have lost it.
const SEND_AGAIN: Duration = Duration::from_secs(600);
/// Between two tries to reach the scheduler.
const RETRY: Duration = Duration::from_secs(10);

#[derive(Args)]
#[command(after_help = "Examples:
  gristmill-node join --scheduler https://scheduler.example.org --provider 0xYourWallet
  gristmill-node join --scheduler https://scheduler.example.org --provider 0xYourWallet \\
    --rpc https://rpc.example.org --dir /var/lib/gristmill --password-file /etc/gristmill/password --yes")]
pub(super) struct JoinArgs {
    /// Where the scheduler answers.
    #[arg(long)]
    pub(super) scheduler: String,
    /// Your wallet: it is paid for what this node does. Its key is never needed here.
    #[arg(long)]
    pub(super) provider: Address,
    /// The folder of the node's key, configuration and state, made where it is missing. Where absent, that of --config.
    #[arg(long)]
    pub(super) dir: Option<PathBuf>,
    /// What this node runs, for a new configuration: wasm, docker or both.
    #[arg(long, value_delimiter = ',', default_value = "wasm", value_parser = runtime)]
    pub(super) runtimes: Vec<RuntimeKind>,
    /// An RPC endpoint that you trust. Where absent, the one that the scheduler names.
    #[arg(long)]
    rpc: Option<String>,
    /// A file whose first line is the password of the node's key.
    #[arg(long)]
    pub(super) password_file: Option<PathBuf>,
    /// Trust what the scheduler says of itself without being asked.
    #[arg(long, short)]
    yes: bool,
}

fn runtime(text: &str) -> Result<RuntimeKind, String> {
    [RuntimeKind::Wasm, RuntimeKind::Docker]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| "write wasm, docker, or wasm,docker".into())
}

/// What to do after the command has waited for a wallet.
pub(super) enum Joined {
    Enrolled(Box<Config>, NodeKey),
    /// Told to stop before a wallet came.
    Stopped,
}

pub(super) async fn join(config: &Path, args: &JoinArgs) -> Result<Joined> {
    ensure!(!args.provider.is_zero(), "--provider is the zero address; name your wallet");
    let path = match &args.dir {
        Some(dir) => path_in(dir)?,
        None => config.to_owned(),
    };
    let (config, key) =
        if path.exists() { go_on(&path, args)? } else { begin(&path, args).await? };
    let chain = Chain::new(&config.chain.rpc_url, config.domain(), key.clone())?;
    chain.check().await.with_context(|| format!("check `chain` in {}", path.display()))?;
    describe(&config, &key);
    if wait_for_wallet(&config, &key, &chain, args.provider).await? {
        Ok(Joined::Enrolled(Box::new(config), key))
    } else {
        println!("Stopped. The same command goes on where it was.");
        Ok(Joined::Stopped)
    }
}

/// Makes what is missing in `dir`, and does not wait for the wallet.
pub(super) async fn prepare(dir: &Path, args: &JoinArgs) -> Result<Config> {
    ensure!(!args.provider.is_zero(), "--provider is the zero address; name your wallet");
    let path = path_in(dir)?;
    let (config, _key) =
        if path.exists() { go_on(&path, args)? } else { begin(&path, args).await? };
    Ok(config)
}

fn path_in(dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    Ok(dir.join("node.toml"))
}

/// What an earlier call has made.
fn go_on(path: &Path, args: &JoinArgs) -> Result<(Config, NodeKey)> {
    let config = Config::read(path)?;
    let same =
        |ours: &str, theirs: &str| ours.trim_end_matches('/') == theirs.trim_end_matches('/');
    ensure!(
        same(&config.scheduler.url, &args.scheduler),
        "the configuration {} is for the scheduler {}; change it there, or join with another --dir",
        path.display(),
        config.scheduler.url
    );
    if let Some(rpc) = &args.rpc {
        ensure!(
            same(&config.chain.rpc_url, rpc),
            "the configuration {} has the RPC endpoint {}; change chain.rpc_url there",
            path.display(),
            config.chain.rpc_url
        );
    }
    let key = open_or_make_key(&config.key.keystore, args.password_file.as_deref())?;
    Ok((config, key))
}

/// Makes configuration and key. Nothing is written before the provider has agreed and the chain was found.
async fn begin(path: &Path, args: &JoinArgs) -> Result<(Config, NodeKey)> {
    let client = Client::new(&args.scheduler)?;
    let info = client.info().await.context("ask the scheduler who it is")?;
    let rpc = match &args.rpc {
        Some(rpc) => rpc.clone(),
        None => rpc_of(&client, &info).await?,
    };
    println!("The scheduler at {} says:", client.base());
    println!("  it signs as   {}", info.scheduler);
    println!("  its arbiter   {}", info.arbiter);
    println!("  contract      {} on chain {}", info.contract, info.chain_id);
    println!("  RPC endpoint  {rpc}{}", if args.rpc.is_some() { ", as you named it" } else { "" });
    if args.rpc.is_none() {
        println!(
            "About money this node believes its RPC endpoint alone, and this one was named by the scheduler. One of your \
             own is safer: --rpc URL."
        );
    }
    println!("Jobs of this scheduler and disputes before this arbiter will be accepted.");
    confirm(args.yes)?;
    let deployment = Deployment { chain_id: info.chain_id, contract: info.contract, block: 0 };
    let text = init::filled(
        client.base(),
        &rpc,
        &deployment,
        info.scheduler,
        Some(info.arbiter),
        &args.runtimes,
    );
    let base = path.parent().unwrap_or(Path::new("."));
    let config = Config::parse(&text, &path.display().to_string(), base)?;
    let key = open_or_make_key(&config.key.keystore, args.password_file.as_deref())?;
    let chain = Chain::new(&rpc, config.domain(), key.clone())?;
    chain.check().await.context("check what the scheduler said with the RPC endpoint")?;
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    println!("Wrote {}.", path.display());
    Ok((config, key))
}

/// The endpoint that the scheduler names for its users.
async fn rpc_of(client: &Client, info: &Info) -> Result<String> {
    let config = client.web_config().await.context(
        "ask the scheduler for an RPC endpoint; name one yourself with --rpc https://rpc.example.org",
    )?;
    ensure!(
        config.chain.id == info.chain_id && config.contract == info.contract,
        "the scheduler contradicts itself: contract {} of chain {}, or {} of chain {}",
        info.contract,
        info.chain_id,
        config.contract,
        config.chain.id
    );
    let first = config.rpc_urls.into_iter().next();
    first
        .context("the scheduler names no RPC endpoint; name one with --rpc https://rpc.example.org")
}

fn confirm(yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    ensure!(
        stdin.is_terminal(),
        "there is nobody to ask; --yes trusts this scheduler, arbiter and contract"
    );
    print!("Go on? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    let agreed = matches!(answer.trim(), "y" | "Y" | "yes");
    ensure!(agreed, "nothing was written");
    Ok(())
}

fn open_or_make_key(keystore: &Path, password_file: Option<&Path>) -> Result<NodeKey> {
    let is_new = !keystore.exists();
    let password = password(keystore, is_new, password_file)?;
    if is_new {
        let key = NodeKey::create(keystore, &password)?;
        println!("Made the node's key: {}.", keystore.display());
        return Ok(key);
    }
    Ok(NodeKey::open(keystore, &password)?)
}

/// The password from wherever it is; where there is none and nobody to ask, a random one beside the key.
fn password(keystore: &Path, is_new: bool, file: Option<&Path>) -> Result<String> {
    if let Some(password) = password_from_environment() {
        return Ok(password);
    }
    if let Some(file) = file {
        return Ok(read_password(file)?);
    }
    let beside = password_path(keystore);
    if beside.exists() {
        return Ok(read_password(&beside)?);
    }
    let terminal = console::Term::stderr();
    if std::io::stdin().is_terminal() && terminal.is_term() {
        let ask = |question: &str| -> Result<String> {
            terminal.write_str(question)?;
            Ok(terminal.read_secure_line()?)
        };
        let password = ask("Password of the node's key: ")?;
        ensure!(!password.is_empty(), "the password is empty; nothing was written");
        if is_new && ask("The same again: ")? != password {
            bail!("the two passwords differ; nothing was written");
        }
        return Ok(password);
    }
    ensure!(
        is_new,
        "set {PASSWORD_VARIABLE}, or name a --password-file: the key {} has a password",
        keystore.display()
    );
    let password = NodeKey::random_password();
    write_password(&beside, &password)?;
    println!(
        "Nobody gave a password, so a random one lies in {}, for this user only. Whoever reads it and the key can sign \
         as this node, and never takes what it has earned.",
        beside.display()
    );
    Ok(password)
}

fn write_password(path: &Path, password: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let write = || {
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(password.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("write the password to {}", path.display()))
}

/// What this node is and gives, in the words of its configuration.
fn describe(config: &Config, key: &NodeKey) {
    let offer = config.offer();
    let runtimes: Vec<&str> = offer.runtimes.iter().map(|runtime| runtime.as_str()).collect();
    println!("This node is {}. It offers:", key.id());
    println!("  runtimes      {}", runtimes.join(", "));
    println!("  processors    {}", f64::from(offer.cpu_millis) / 1000.0);
    println!("  memory        {} MiB", offer.memory_bytes >> 20);
    println!("  disk          {} MiB", offer.disk_bytes >> 20);
    if offer.gpus.is_empty() {
        println!("  GPUs          none; they are not looked for: write them to [[offer.gpus]]");
    }
    for gpu in &offer.gpus {
        println!("  GPU           {}, {} MiB", gpu.model, gpu.vram_bytes >> 20);
    }
    println!("  price         at least {} of the token's smallest unit a job", offer.price_floor);
}

/// Leaves the consent at the scheduler until the wallet has enrolled the node and approved a scheduler that this node
/// trusts, as the chain says. `false` where it was told to stop.
async fn wait_for_wallet(
    config: &Config,
    key: &NodeKey,
    chain: &Chain,
    provider: Address,
) -> Result<bool> {
    let client = Client::new(&config.scheduler.url)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut send_at = Instant::now();
    let mut said = None;
    systemd::ready("waiting for the wallet");
    loop {
        systemd::alive();
        let step = async {
            let stage = match stage(config, key, chain, provider).await {
                Err(error) if is_passing(&error) => {
                    tracing::warn!("{error:#}; trying again");
                    return Ok(None);
                }
                stage => stage?,
            };
            if stage == Stage::Unknown && Instant::now() >= send_at {
                send_at =
                    Instant::now() + send_consent(config, key, chain, &client, provider).await?;
            }
            anyhow::Ok(Some(stage))
        };
        let stage = tokio::select! {
            stage = step => stage?,
            _ = terminate.recv() => return Ok(false),
            _ = interrupt.recv() => return Ok(false),
        };
        if stage.is_some() && said != stage {
            said = stage;
            match stage {
                Some(Stage::Unknown) => {
                    println!(
                        "Enroll it with the wallet {provider}. Open this page, and compare the node's address:"
                    );
                    println!("  {}/provide/?node={}", client.base(), key.id());
                    println!("Waiting for the wallet. (Ctrl-C stops; the same command goes on.)");
                }
                Some(Stage::Enrolled) => println!(
                    "Enrolled. Now the wallet must approve the scheduler: on the same page, or with `gristmill provider \
                     approve {}`.",
                    trusted(config)
                ),
                Some(Stage::Approved) => {
                    println!("Enrolled with {provider}, and the scheduler is approved.");
                    println!(
                        "Send a little of the chain's coin to {} for gas: without it the node cannot renew, publish or \
                         claim by itself.",
                        key.id()
                    );
                    return Ok(true);
                }
                None => {}
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(config.chain.poll_ms)) => {}
            _ = terminate.recv() => return Ok(false),
            _ = interrupt.recv() => return Ok(false),
        }
    }
}

/// How far the wallet has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Unknown,
    Enrolled,
    Approved,
}

async fn stage(config: &Config, key: &NodeKey, chain: &Chain, provider: Address) -> Result<Stage> {
    let Some(enrollment) = chain.enrollment(key.id()).await? else { return Ok(Stage::Unknown) };
    let another = "a node belongs to one wallet for good: join with another --dir for a new key";
    if enrollment.provider != provider {
        bail!(
            "the wallet {} has enrolled this node, and not {provider}; {another}",
            enrollment.provider
        );
    }
    if enrollment.revoked {
        bail!("the wallet {provider} has revoked this node; {another}");
    }
    for scheduler in &config.trust.schedulers {
        if chain.approval(provider, *scheduler, config.offer.token).await?.is_approved {
            return Ok(Stage::Approved);
        }
    }
    Ok(Stage::Enrolled)
}

fn trusted(config: &Config) -> String {
    let schedulers: Vec<String> = config.trust.schedulers.iter().map(Address::to_string).collect();
    schedulers.join(" or ")
}

fn is_passing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<ChainError>(), Some(ChainError::Unreachable(_)))
}

/// Signs and sends the consent; when to do it again.
async fn send_consent(
    config: &Config,
    key: &NodeKey,
    chain: &Chain,
    client: &Client,
    provider: Address,
) -> Result<Duration> {
    let now = match chain.now().await {
        Err(error @ ChainError::Unreachable(_)) => {
            tracing::warn!(%error, "the chain does not answer; trying again");
            return Ok(RETRY);
        }
        now => now?,
    };
    let (node, expires) = (key.id(), now.saturating_add(CONSENT_SECONDS));
    let signature = key.sign(&config.domain(), &Message::Enroll { node, provider, expires });
    let consent = Consent { node, provider, expires, signature, offer: config.offer() };
    match client.put_consent(&consent).await {
        Ok(()) => Ok(SEND_AGAIN),
        Err(error) if error.is_retryable() => {
            tracing::warn!(%error, "the scheduler did not take the node's consent; trying again");
            Ok(RETRY)
        }
        Err(error) => Err(error).context(
            "leave the node's consent at the scheduler; without it, enroll the node by a file: `gristmill-node enroll-message`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_password_that_nobody_gave_is_random_private_and_found_again() {
        if password_from_environment().is_some() || std::io::stdin().is_terminal() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let keystore = dir.path().join("node-key.json");
        let made = open_or_make_key(&keystore, None).unwrap();
        let beside = password_path(&keystore);
        let mode = std::fs::metadata(&beside).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(read_password(&beside).unwrap().len() >= 32);
        assert_eq!(open_or_make_key(&keystore, None).unwrap().id(), made.id());

        // Without the file nobody knows it any more, and no second one is made up.
        std::fs::remove_file(&beside).unwrap();
        let error = open_or_make_key(&keystore, None).unwrap_err().to_string();
        assert!(error.contains("--password-file"), "{error}");
        assert!(!beside.exists());
    }

    #[test]
    fn a_password_file_is_taken_without_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let (keystore, file) = (dir.path().join("node-key.json"), dir.path().join("password"));
        std::fs::write(&file, "correct horse\n").unwrap();
        if password_from_environment().is_none() {
            let made = open_or_make_key(&keystore, Some(&file)).unwrap();
            assert_eq!(NodeKey::open(&keystore, "correct horse").unwrap().id(), made.id());
            assert!(!password_path(&keystore).exists(), "it lies where its owner has put it");
        }
        std::fs::write(&file, "\n").unwrap();
        assert!(read_password(&file).is_err(), "an empty password protects nothing");
        assert!(read_password(&dir.path().join("none")).is_err());
    }
}
