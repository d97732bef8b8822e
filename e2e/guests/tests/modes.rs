//! The modes that are safe outside of a cage, and that the others refuse to start there.

use std::process::{Command, Output};

fn hostile(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hostile"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn prints_so_many_lines_and_no_more() {
    let output = hostile(&["lines", "3"]);
    assert!(output.status.success());
    assert_eq!(stdout(&output), "line 1\nline 2\nline 3\n");
    assert_eq!(stdout(&hostile(&["lines", "0"])), "");
    assert_eq!(stdout(&hostile(&["lines", "200000"])).lines().last(), Some("line 200000"));
}

#[test]
fn ends_with_the_code_that_was_asked_for() {
    for code in [0, 1, 42, 255] {
        assert_eq!(hostile(&["exit", &code.to_string()]).status.code(), Some(code));
    }
}

#[test]
fn sleeps_aloud() {
    assert_eq!(stdout(&hostile(&["sleep", "1"])), "slept 1 of 1 s\n");
    assert_eq!(stdout(&hostile(&["ignore-term", "0"])), "ignores SIGTERM\n");
}

#[test]
fn refuses_what_it_does_not_know() {
    for arguments in
        [&[][..], &["forks"], &["lines"], &["lines", "-1"], &["exit", "256"], &["loop", "1"]]
    {
        let output = hostile(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("Usage: hostile MODE"),
            "{arguments:?}"
        );
    }
}

#[test]
fn attacks_nothing_but_a_cage() {
    for mode in ["fork", "memory", "disk"] {
        let output = hostile(&[mode]);
        assert_eq!(output.status.code(), Some(4), "{mode}");
        assert_eq!(stdout(&output), "", "{mode} did something first");
    }
}
