//! Whether the h2spec suite finds fault with a node's HTTP/2. `.ci/h2spec` runs it.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use graticule_tests::{EU_CENTRAL, Plan, story};
use tokio::process::Command;

#[test]
#[ignore = "needs h2spec: run .ci/h2spec, which installs it"]
fn h2spec_finds_nothing() {
    let h2spec = std::env::var_os("H2SPEC").expect("H2SPEC names the program");
    story(Duration::from_mins(5), async {
        // h2spec speaks to the address that it connects to.
        let rules = "[[match]]\nhost = \"127.0.0.1\"\n[residency]\nallow = [\"any\"]";
        let fleet = Plan::new([EU_CENTRAL]).tenant("suite", rules).certificate(&["localhost"]).start().await;
        // It asks for no name.
        for ending in ["pem", "key"] {
            let (from, to) = (format!("localhost.{ending}"), format!("default.{ending}"));
            std::fs::rename(fleet.certificates().join(from), fleet.certificates().join(to)).expect("a file");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (http, https) = (fleet.edge("eu-central"), fleet.tls_edge("eu-central"));
        suite(&h2spec, &["--port", &http.port().to_string()]).await;
        suite(&h2spec, &["--port", &https.port().to_string(), "--tls", "--insecure"]).await;
    });
}

/// Runs the suite once.
async fn suite(h2spec: &OsStr, more: &[&str]) {
    let mut command = Command::new(h2spec);
    command.args(["--host", "127.0.0.1", "--strict", "--timeout", "5"]).args(more);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("h2spec runs");
    let report = String::from_utf8_lossy(&output.stdout);
    let summary = report.lines().rev().find(|line| line.contains("tests,")).unwrap_or_default();
    eprintln!("{summary}");
    assert!(output.status.success() && summary.contains(" 0 failed"), "{report}");
    // A suite that ran nothing finds nothing.
    let passed = summary.split(", ").find_map(|part| part.strip_suffix(" passed"));
    let passed: u32 = passed.and_then(|count| count.parse().ok()).expect("a count of tests");
    assert!(passed >= TESTS_MIN, "{summary}");
}

/// Of the suite's 146, strict ones included.
const TESTS_MIN: u32 = 140;
