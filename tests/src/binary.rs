//! The commands of this workspace as it built them.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::process::Command;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// `graticule`, beside this test in the target directory.
pub fn graticule() -> PathBuf {
    built("graticule")
}

/// `graticule-sim`, beside it.
pub fn graticule_sim() -> PathBuf {
    built("graticule-sim")
}

fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("a target directory");
    let binary = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "{} is missing: run `cargo build --workspace --bins` first, or all tests with `cargo test --workspace`",
        binary.display()
    );
    binary
}

/// Runs the command to its end.
pub async fn run(arguments: impl IntoIterator<Item = impl Into<String>>) -> Ran {
    let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
    let mut command = Command::new(graticule());
    command.args(&arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(RUN_LIMIT, command.output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("`graticule {}` did not end within {RUN_LIMIT:?}", arguments.join(" ")))
        .expect("the binary can be run");
    Ran {
        arguments,
        status: output.status,
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
    }
}

impl Ran {
    /// Itself, if it ended with success.
    pub fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    /// Itself, if it ended with this code.
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "`graticule {}`\nstdout: {}\nstderr: {}",
            self.arguments.join(" "),
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("`graticule {}` printed no such JSON: {error}\n{}", self.arguments.join(" "), self.stdout)
        })
    }
}

const RUN_LIMIT: Duration = Duration::from_secs(20);
