//! The command as a whole, without any network: its help, its arguments, its wallets, and what goes to which stream.

#![expect(clippy::unwrap_used, reason = "a test whose command does not start has failed")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const PASSWORD: &str = "correct horse battery";

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(home: &Path, arguments: &[&str], stdin: &str) -> Answer {
    run_with(home, arguments, stdin, PASSWORD)
}

fn run_with(home: &Path, arguments: &[&str], stdin: &str, password: &str) -> Answer {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gristmill"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("GRISTMILL_KEYSTORE_PASSWORD", password)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing closes its end; that is no failure.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Answer {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn help_of_every_command() {
    let home = home();
    let commands: &[&[&str]] = &[
        &[],
        &["wallet"],
        &["wallet", "new"],
        &["wallet", "import"],
        &["wallet", "address"],
        &["wallet", "balance"],
        &["wallet", "list"],
        &["upload"],
        &["submit"],
        &["follow"],
        &["jobs"],
        &["job"],
        &["explain"],
        &["logs"],
        &["events"],
        &["result"],
        &["verify"],
        &["cancel"],
        &["refund"],
        &["claim"],
        &["dispute"],
        &["disputes"],
        &["rule"],
        &["recover"],
        &["deposit"],
        &["withdraw"],
        &["order"],
        &["order", "show"],
        &["order", "revoke"],
        &["nodes"],
        &["node"],
        &["node", "enroll"],
        &["node", "revoke"],
        &["node", "show"],
        &["provider"],
        &["provider", "approve"],
        &["provider", "disapprove"],
        &["provider", "show"],
        &["doctor"],
        &["logout"],
    ];
    for command in commands {
        let answer = run(home.path(), &[command, &["--help"][..]].concat(), "");
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{command:?}");
        let name = if command.is_empty() { "gristmill".to_owned() } else { command.join("_") };
        insta::assert_snapshot!(name, answer.stdout);
    }
}

#[test]
fn arguments_are_checked_before_anything_happens() {
    let home = home();
    for (arguments, words) in [
        (&["frobnicate"][..], "unrecognized subcommand"),
        (&["job", "digits"], "64 hexadecimal digits"),
        (&["submit"], "--bounty"),
        (&["submit", "job.json", "--bounty", "1", "--deadline", "soon"], "1h30m"),
        (&["submit", "job.json", "--bounty", "1", "--memory", "2"], "512MiB"),
        (&["submit", "job.json", "--bounty", "1", "--cpus", "many"], "CPUs"),
        (&["submit", "job.json", "--bounty", "1", "--input", "x"], "NAME=SOURCE"),
        (
            &["submit", "job.json", "--bounty", "1", "--image", "a", "--wasm", "b"],
            "cannot be used with",
        ),
        (&["jobs", "--state", "done"], "settled"),
        (&["recover", "--cancel-open"], "--do"),
        (&["recover", "--withdraw"], "--do"),
        (&["cancel"], "JOB"),
        (&["dispute"], "JOB"),
        (&["rule", "0x2f8e1c3b5d"], "RULING"),
        (&["rule", "0x2f8e1c3b5d", "split"], "reopen"),
        (&["deposit"], "AMOUNT"),
        (&["node", "revoke", "0x12"], "40 hexadecimal digits"),
        (&["upload"], "PATH"),
        (&["wallet", "new", "--password", "x"], "unexpected argument"),
        (&["wallet", "import", "--key", "x"], "unexpected argument"),
    ] {
        let answer = run(home.path(), arguments, "");
        assert_eq!(answer.code, 2, "{arguments:?}");
        assert!(answer.stderr.contains(words), "{arguments:?}: {}", answer.stderr);
        assert_eq!(answer.stdout, "");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_wallet_is_made_imported_listed_and_never_overwritten() {
    let home = home();
    let made = run(home.path(), &["wallet", "new", "--json"], "");
    assert_eq!(made.code, 0, "{}", made.stderr);
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let path = home.path().join(".local/share/gristmill/wallets/default.json");
    assert_eq!(made["path"], path.to_str().unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let address = run(home.path(), &["wallet", "address"], "").stdout;
    assert_eq!(address.trim().to_lowercase(), made["address"].as_str().unwrap().to_lowercase());

    let before = std::fs::read(&path).unwrap();
    let again = run(home.path(), &["wallet", "new"], "");
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("never overwritten"));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let imported = run(home.path(), &["wallet", "import", "--name", "main", "--json"], KEY);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    assert!(imported.stdout.to_lowercase().contains(&ADDRESS.to_lowercase()));
    for secret in [&KEY[2..], PASSWORD] {
        assert!(!imported.stdout.contains(secret) && !imported.stderr.contains(secret));
    }
    let list = run(home.path(), &["wallet", "list"], "").stdout;
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(list.contains(ADDRESS) && list.lines().nth(1).unwrap().ends_with('*'), "{list}");
}

#[test]
fn bad_passwords_and_keys_are_refused() {
    let home = home();
    let short = run_with(home.path(), &["wallet", "new"], "", "short");
    assert_eq!(short.code, 2);
    assert!(short.stderr.contains("at least 8"));
    let garbage = run(home.path(), &["wallet", "import"], "hunter2hunter2");
    assert_eq!(garbage.code, 2);
    assert!(!garbage.stderr.contains("hunter2"), "a secret is never repeated");
    assert_eq!(run(home.path(), &["wallet", "address"], "").code, 8, "there is no wallet yet");
    assert_eq!(run(home.path(), &["wallet", "list"], "").code, 8);
    assert!(!home.path().join(".local").exists(), "nothing was written");
}

#[test]
fn with_json_an_error_is_one_object_on_stderr() {
    let home = home();
    let answer = run(home.path(), &["recover", "--json"], "");
    assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
    let error: serde_json::Value = serde_json::from_str(&answer.stderr).unwrap();
    assert_eq!(error["error"]["code"], "usage");
    assert_eq!(error["error"]["exit"], 2);
    assert!(error["error"]["hint"].as_str().unwrap().contains("GRISTMILL_DEPLOYMENT"));
}

#[test]
fn cids_are_computed_without_a_network() {
    let home = home();
    let file = home.path().join("flour");
    std::fs::write(&file, "flour").unwrap();
    let answer = run(home.path(), &["upload", "--dry-run", file.to_str().unwrap(), "--json"], "");
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let rows: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(rows[0]["cid"], "bafkreihvl6l47ig5l4mmdlah2lbwdmmy6gp5quragl5k4bcrufia6hc7ka");
    assert_eq!((&rows[0]["bytes"], &rows[0]["uploaded"]), (&5.into(), &false.into()));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gristmill"))
        .arg("markdown-help")
        .env("HOME", "/nonexistent")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn settings_come_from_flag_environment_and_file_in_this_order() {
    let home = home();
    let config = home.path().join(".config/gristmill");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(
        config.join("config.toml"),
        "scheduler = \"http://from-file.invalid\"\nkeystore = \"mine.json\"\n",
    )
    .unwrap();
    let doctor = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gristmill"))
            .args([&["doctor", "--json"], arguments].concat())
            .env_clear()
            .env("HOME", home.path())
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["checks"][0]["detail"].as_str().unwrap().to_owned()
    };
    assert!(doctor(&[], &[]).contains("http://from-file.invalid from config file"));
    let environment = [("GRISTMILL_SCHEDULER", "http://from-environment.invalid")];
    assert!(doctor(&[], &environment).contains("http://from-environment.invalid from flag"));
    assert!(
        doctor(&["--scheduler", "http://from-flag.invalid"], &environment)
            .contains("http://from-flag.invalid from flag")
    );
}
