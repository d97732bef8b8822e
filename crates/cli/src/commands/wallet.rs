//! `gristmill wallet`: keys on this machine.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use alloy::primitives::Address;
use clap::{Args, Subcommand};
use gristmill_protocol::money::NATIVE_DECIMALS;
use serde_json::json;

use crate::app::App;
use crate::chain::{coin, decimal};
use crate::failure::{Exit, Failure, Result};
use crate::output::Tone;
use crate::wallet::{self, Wallet};

/// A private key or a mnemonic is far shorter.
const SECRET_BYTES_MAX: u64 = 4096;

#[derive(Subcommand, Debug)]
pub(crate) enum WalletCommand {
    /// Make a new wallet, encrypted with a password
    #[command(
        after_help = "Examples:\n  gristmill wallet new\n  gristmill wallet new --name provider\n  GRISTMILL_KEYSTORE_PASSWORD=… gristmill wallet new --json"
    )]
    New(NewArgs),
    /// Import a private key or a mnemonic from stdin
    #[command(
        after_help = "Examples:\n  gristmill wallet import < key.txt\n  gristmill wallet import --index 1 --name provider < mnemonic.txt"
    )]
    Import(ImportArgs),
    /// Print the wallet's address
    #[command(
        after_help = "Examples:\n  gristmill wallet address\n  gristmill wallet address --keystore provider.json --json"
    )]
    Address,
    /// Print the wallet's coins, and what it has in the market
    #[command(
        after_help = "Examples:\n  gristmill wallet balance\n  gristmill wallet balance --token 0x…"
    )]
    Balance(BalanceArgs),
    /// List the wallets on this machine
    #[command(after_help = "Examples:\n  gristmill wallet list")]
    List,
}

#[derive(Args, Debug)]
pub(crate) struct NewArgs {
    /// What to call it
    #[arg(long, default_value = "default")]
    name: String,
    /// Write it there instead
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    place: NewArgs,
    /// Which account of a mnemonic (m/44'/60'/0'/0/INDEX)
    #[arg(long, default_value_t = 0)]
    index: u32,
}

#[derive(Args, Debug)]
pub(crate) struct BalanceArgs {
    /// An ERC-20 token instead of the coin
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
    /// Another address than the wallet's
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
}

pub(crate) async fn run(app: &App, command: WalletCommand) -> Result<()> {
    match command {
        WalletCommand::New(args) => {
            let path = place(app, &args)?;
            let password = wallet::new_password()?;
            report(app, &wallet::store(&path, &wallet::random_key(), &password)?)?;
            app.out.hint("without the file or its password the money of this wallet is lost: keep a copy of both");
            Ok(())
        }
        WalletCommand::Import(args) => {
            let path = place(app, &args.place)?;
            let key = wallet::read_key(&secret_from_stdin()?, args.index)?;
            let password = wallet::new_password()?;
            report(app, &wallet::store(&path, &key, &password)?)
        }
        WalletCommand::Address => {
            let address = app.address().await?;
            if app.out.is_json() {
                app.out.value(&json!({ "address": address }))
            } else {
                app.out.line(address)
            }
        }
        WalletCommand::Balance(args) => balance(app, &args).await,
        WalletCommand::List => list(app),
    }
}

fn place(app: &App, args: &NewArgs) -> Result<PathBuf> {
    match &args.out {
        Some(path) => Ok(path.clone()),
        None => wallet::path_of(&app.settings.wallets_dir(), &args.name),
    }
}

fn report(app: &App, wallet: &Wallet) -> Result<()> {
    let address = wallet.address()?;
    if app.out.is_json() {
        return app.out.value(&json!({ "address": address, "path": wallet.path() }));
    }
    app.out.pairs(&[
        ("address", app.out.paint(Tone::Strong, address)),
        ("file", wallet.path().display().to_string()),
    ])
}

/// On a terminal the secret is not shown, and a mnemonic is one line.
fn secret_from_stdin() -> Result<String> {
    if std::io::stdin().is_terminal() {
        return wallet::prompt("Private key or mnemonic: ");
    }
    let mut secret = String::new();
    std::io::stdin()
        .take(SECRET_BYTES_MAX)
        .read_to_string(&mut secret)
        .map_err(|error| Failure::usage(format!("cannot read the key from stdin: {error}")))?;
    Ok(secret)
}

async fn balance(app: &App, args: &BalanceArgs) -> Result<()> {
    let chain = app.chain().await?;
    let address = match args.address {
        Some(address) => address,
        None => app.address().await?,
    };
    let token = args.token.unwrap_or_default();
    let decimals = chain.decimals(token).await?;
    let balance = chain.balance(address, token).await?;
    let held = chain.held(address, token).await?;
    if app.out.is_json() {
        return app.out.value(&json!({
            "address": address,
            "token": token,
            "decimals": decimals,
            "balance_wei": balance.to_string(),
            "market_wei": held.to_string(),
        }));
    }
    let unit = if token.is_zero() { coin(chain.deployment().chain_id) } else { "tokens" };
    debug_assert!(!token.is_zero() || decimals == NATIVE_DECIMALS);
    app.out.pairs(&[
        ("address", address.to_string()),
        ("balance", app.out.paint(Tone::Strong, format!("{} {unit}", decimal(balance, decimals)))),
        ("in the market", format!("{} {unit}", decimal(held, decimals))),
    ])?;
    if !held.is_zero() {
        app.out.hint("take it out of the market with `gristmill withdraw`");
    }
    Ok(())
}

fn list(app: &App) -> Result<()> {
    let directory = app.settings.wallets_dir();
    let wallets = wallet::list(&directory)?;
    let chosen = &app.settings.keystore.value;
    if app.out.is_json() {
        let rows: Vec<_> = wallets
            .iter()
            .map(|(name, wallet)| {
                json!({ "name": name, "address": wallet.known_address(), "path": wallet.path(), "chosen": wallet.path() == chosen })
            })
            .collect();
        return app.out.value(&rows);
    }
    if wallets.is_empty() {
        return Err(Failure::new(
            Exit::Wallet,
            format!("there are no wallets in `{}`", directory.display()),
        )
        .hint("make one with `gristmill wallet new`"));
    }
    let rows: Vec<Vec<String>> = wallets
        .iter()
        .map(|(name, wallet)| {
            let address = wallet
                .known_address()
                .map_or_else(|| "needs its password".to_owned(), |address| address.to_string());
            let mark = if wallet.path() == chosen { "*" } else { "" };
            vec![name.clone(), address, mark.to_owned()]
        })
        .collect();
    app.out.table(&["name", "address", "chosen"], &[], &rows)
}
