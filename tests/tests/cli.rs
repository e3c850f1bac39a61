//! What an operator types: exit codes, what is printed where, and what is left untouched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use graticule_node_api::{Node, Why};
use graticule_tests::{EU_CENTRAL, Fleet, Plan, Ran, US_EAST, eventually, graticule, run, story};
use tempfile::TempDir;

const QUICK: Duration = Duration::from_mins(1);

#[test]
fn the_version_says_whose_data_is_inside() {
    story(QUICK, async {
        let ran = run(["--version"]).await.succeeded();
        assert!(ran.stdout.starts_with("graticule "), "{}", ran.stdout);
        for word in ["DB-IP", "https://db-ip.com", "CC BY 4.0"] {
            assert!(ran.stdout.contains(word), "{word} is not in {}", ran.stdout);
        }
    });
}

#[test]
fn what_is_no_command_is_told_apart_from_what_failed() {
    story(QUICK, async {
        for arguments in [&["teleport"][..], &["why"], &["check"], &["node", "--config"], &[]] {
            let ran = run(arguments.iter().copied()).await.ended_with(2);
            assert!(ran.stderr.contains("--help"), "{}", ran.stderr);
            assert!(ran.stdout.is_empty());
        }
        let ran = run(["status", "--admin", "127.0.0.1:1"]).await.ended_with(2);
        assert!(ran.stderr.contains("127.0.0.1:1") && ran.stderr.contains("--admin"), "{}", ran.stderr);
    });
}

#[test]
fn starters_are_right_and_overwrite_nothing() {
    story(QUICK, async {
        let scratch = scratch();
        let directory = path(&scratch, "documents");
        run(["init", &directory]).await.succeeded();
        let ran = run(["check", &directory]).await.succeeded();
        assert!(ran.stdout.contains("3 regions, 3 tenants: no errors") && ran.stderr.is_empty(), "{ran:?}");
        run(["check", "--written-only", &format!("{directory}/node.toml")]).await.succeeded();

        let fleet = Path::new(&directory).join("fleet.toml");
        fs::write(&fleet, "mine").unwrap();
        let ran = run(["init", &directory]).await.ended_with(2);
        assert!(ran.stderr.contains("fleet.toml") && ran.stderr.contains("exists"), "{}", ran.stderr);
        assert_eq!(fs::read_to_string(fleet).unwrap(), "mine");
    });
}

#[test]
fn output_that_got_lost_is_a_failure_and_a_reader_that_went_away_is_none() {
    story(QUICK, async {
        let scratch = scratch();
        let directory = path(&scratch, "documents");
        run(["init", &directory]).await.succeeded();
        let check = |stdout: Stdio| {
            let mut command = Command::new(graticule());
            command.args(["check", "--json", &directory]).stdout(stdout).stderr(Stdio::piped());
            command.spawn().unwrap().wait_with_output().unwrap()
        };
        let full = check(fs::File::options().write(true).open("/dev/full").unwrap().into());
        assert_eq!(full.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&full.stderr).contains("standard output"), "{full:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let alone = check(writer.into());
        assert_eq!((alone.status.code(), alone.stderr.as_slice()), (Some(0), &b""[..]));
    });
}

#[test]
fn check_tells_every_error_with_file_line_and_column() {
    story(QUICK, async {
        let scratch = scratch();
        let directory = path(&scratch, "documents");
        run(["init", &directory]).await.succeeded();
        let broken = [
            breaks(&directory, "fleet.toml", "country = \"SG\"", "country = \"Singapore\"", "\"Singapore\""),
            breaks(
                &directory,
                "tenants/fallback.toml",
                "expose_region = true",
                "expose_regions = true",
                "expose",
            ),
            breaks(
                &directory,
                "tenants/eu-only.toml",
                "eu-only.localhost",
                "anywhere.example",
                "\"anywhere.example\"",
            ),
        ];

        let ran = run(["check", &directory]).await.ended_with(1);
        for (file, line, column) in &broken {
            let place = format!("{file}:{line}:{column}: error: ");
            assert!(ran.stderr.contains(&place), "{place} is not in\n{}", ran.stderr);
        }
        let conflict = ran.stderr.lines().find(|line| line.contains("anywhere.example")).unwrap_or_default();
        assert!(
            conflict.contains("`eu-only`") && conflict.contains("`anywhere`"),
            "both tenants are named: {conflict}"
        );
        assert!(ran.stderr.contains("did you mean `expose_region`?"), "{}", ran.stderr);

        let ran = run(["check", "--json", &directory]).await.ended_with(1);
        let found: Vec<serde_json::Value> = ran.json();
        for (file, line, column) in &broken {
            let is_it = |one: &&serde_json::Value| {
                one["file"] == file.as_str() && one["line"] == *line && one["column"] == *column
            };
            assert!(
                found.iter().any(|one| is_it(&one) && one["severity"] == "error"),
                "{file}:{line} in {found:?}"
            );
        }
    });
}

#[test]
fn check_reads_a_nodes_configuration_too() {
    story(QUICK, async {
        let scratch = scratch();
        let directory = path(&scratch, "documents");
        run(["init", &directory]).await.succeeded();
        let (file, line, column) = breaks(&directory, "node.toml", "headers_max", "header_max", "header_max");
        let ran = run(["check", &file]).await.ended_with(1);
        assert!(ran.stderr.contains(&format!("{file}:{line}:{column}: error: ")), "{}", ran.stderr);
        assert!(ran.stderr.contains("did you mean `headers_max`?"), "{}", ran.stderr);
    });
}

#[test]
fn check_tells_which_files_of_a_configuration_are_missing_and_where_it_names_them() {
    story(QUICK, async {
        let scratch = scratch();
        let directory = path(&scratch, "documents");
        run(["init", &directory]).await.succeeded();
        let file = format!("{directory}/node.toml");
        let text = fs::read_to_string(&file).unwrap();
        let line = 1 + text.lines().position(|line| line.starts_with("certificate = ")).unwrap();
        let ran = run(["check", &file]).await.ended_with(1);
        assert!(ran.stderr.contains(&format!("{file}:{line}:15: error: ")), "{}", ran.stderr);
        assert!(ran.stderr.contains("help: this is what `mesh.certificate` says"), "{}", ran.stderr);
        let ran = run(["check", "--json", &file]).await.ended_with(1);
        let found: Vec<serde_json::Value> = ran.json();
        assert!(found.iter().any(|one| one["line"] == line && one["severity"] == "error"), "{found:?}");
    });
}

#[test]
fn check_looks_at_the_files_that_a_configuration_names() {
    story(QUICK, async {
        let fleet = Fleet::prepare(plan()).await;
        let configuration = fleet.scratch("eu-central-1/node.toml");
        let check = || run(["check", configuration.to_str().unwrap()]);
        check().await.succeeded();
        let text = fs::read_to_string(&configuration).unwrap();
        let certificate = text.lines().find_map(|line| line.strip_prefix("certificate = ")).unwrap();
        let certificate = certificate.trim_matches('"').to_owned();
        fs::write(&configuration, format!("{text}\n[geo]\ndatabases = [\"missing.mmdb\"]\n")).unwrap();
        fs::write(fleet.documents().join("fleet.toml"), "version = 1\nmesh = ").unwrap();
        fs::write(&certificate, "rubbish").unwrap();
        let ran = check().await.ended_with(1);
        for found in ["fleet.toml:2:", certificate.as_str(), "missing.mmdb"] {
            assert!(ran.stderr.contains(found), "{found} in {}", ran.stderr);
        }
        assert_eq!(
            ran.stderr.matches("error: ").count(),
            3,
            "one mistake is one, in a document too: {}",
            ran.stderr
        );
        run(["check", "--written-only", configuration.to_str().unwrap()]).await.succeeded();
    });
}

#[test]
fn a_token_is_shown_once_and_only_its_hash_is_for_nodes() {
    story(QUICK, async {
        let ran = run(["token", "--name", "console", "--role", "viewer"]).await.succeeded();
        let token = ran.stderr.split_whitespace().find(|word| word.starts_with("graticule_")).unwrap();
        assert!(!ran.stdout.contains(token), "{}", ran.stdout);
        let table: toml::Table = ran.stdout.parse().unwrap();
        assert_eq!(table["admin"]["tokens"][0]["role"].as_str(), Some("viewer"));
        let mut fleet = Fleet::prepare(plan()).await;
        let node = &mut fleet.nodes[0];
        node.configure_also(&ran.stdout);
        node.start();
        eventually("it runs", QUICK, async || node.is_ready().await.then_some(()).ok_or("it does not")).await;
        let admin = node.admin.to_string();
        let refused = run(["status", "--admin", &admin]).await.ended_with(2);
        assert!(refused.stderr.contains("GRATICULE_TOKEN"), "{}", refused.stderr);
        run(["status", "--admin", &admin, "--token", token]).await.succeeded();
        let refused = run(["drain", "--admin", &admin, "--token", token]).await.ended_with(2);
        assert!(refused.stderr.contains("viewer"), "{}", refused.stderr);
    });
}

#[test]
fn certificates_are_made_and_none_is_overwritten_unasked() {
    story(QUICK, async {
        let scratch = scratch();
        let (authority, out) = (path(&scratch, "ca"), path(&scratch, "out"));
        run(["ca", "init", &authority, "--mesh", "atlas"]).await.succeeded();
        let key = Path::new(&authority).join("ca.key");
        assert_eq!(
            fs::metadata(&key).unwrap().permissions().mode() & 0o077,
            0,
            "the key is for its owner alone"
        );
        let before = fs::read(&key).unwrap();
        run(["ca", "init", &authority, "--mesh", "atlas"]).await.ended_with(2);
        assert_eq!(fs::read(&key).unwrap(), before);

        let issue = ["ca", "issue", "--ca", &authority, "--region", "eu", "--node", "eu-1", "--out", &out];
        run(issue).await.succeeded();
        let certificate = || fs::read_to_string(Path::new(&out).join("eu-1.pem")).unwrap();
        let first = certificate();
        assert!(first.starts_with("-----BEGIN CERTIFICATE-----"));
        let key = Path::new(&out).join("eu-1.key");
        assert_eq!(
            fs::metadata(&key).unwrap().permissions().mode() & 0o077,
            0,
            "the key is for its owner alone"
        );
        assert!(!Path::new(&out).join("ca.key").exists(), "the authority's key stays where it is");

        let ran = run(issue).await.ended_with(2);
        assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
        assert_eq!(certificate(), first);
        run(issue.into_iter().chain(["--force", "--days", "3"])).await.succeeded();
        assert_ne!(certificate(), first);
    });
}

#[test]
fn a_node_that_cannot_start_says_why() {
    story(QUICK, async {
        let fleet = Fleet::prepare(plan()).await;
        let configuration = fleet.scratch("eu-central-1/node.toml");
        let arguments = ["node", "--config", configuration.to_str().unwrap()];
        let fails = async |words: &[&str]| {
            let ran: Ran = run(arguments).await;
            assert!(!ran.status.success());
            assert!(
                words.iter().all(|word| ran.stderr.contains(word)),
                "{words:?} are not in {}",
                ran.stderr
            );
        };
        let text = fs::read_to_string(&configuration).unwrap();
        fs::write(&configuration, text.replace("name = \"eu-central-1\"", "name = \"eu-central-7\""))
            .unwrap();
        fails(&["`eu-central-7`", "`eu-central-1`", "certificate"]).await;
        fs::write(&configuration, text.replace("[admin]", "[admins]")).unwrap();
        fails(&["node.toml:", "unknown key `admins`", "did you mean `admin`?"]).await;
        fs::write(&configuration, &text).unwrap();
        fs::write(fleet.documents().join("fleet.toml"), "version = 1\nmesh = ").unwrap();
        fails(&["fleet.toml:2:", "graticule check"]).await;
    });
}

#[test]
fn status_and_why_show_the_fleet_as_a_node_sees_it() {
    story(QUICK, async {
        let fleet = plan().start().await;
        let admin = fleet.node("us-east-1").admin.to_string();
        let ran = run(["status", "--admin", &admin]).await.succeeded();
        for word in ["eu-central", "us-east *", "eu-central-1", "this node", "usable"] {
            assert!(ran.stdout.contains(word), "{word} is not in\n{}", ran.stdout);
        }
        let status: serde_json::Value = run(["status", "--json", "--admin", &admin]).await.succeeded().json();
        let nodes: Vec<Node> = serde_json::from_value(status["nodes"].clone()).unwrap();
        let alive: Vec<_> = nodes.iter().filter(|node| node.alive).map(|node| node.name.as_str()).collect();
        assert_eq!(alive, ["eu-central-1", "us-east-1"]);

        let ran =
            run(["why", "--admin", &admin, "--tenant", "eu-only", "--ip", "18.9.22.69"]).await.succeeded();
        assert!(
            ran.stdout.contains("relayed to eu-central") && ran.stdout.contains("forbidden"),
            "{}",
            ran.stdout
        );
        // Another edge is asked through the mesh.
        let ran =
            run(["why", "--json", "--admin", &admin, "--tenant", "eu-only", "--edge", "eu-central-1"]).await;
        let why: Why = ran.succeeded().json();
        assert_eq!((why.edge.as_str(), why.decision.as_str()), ("eu-central-1", "local"));

        let ran = run(["why", "--admin", &admin, "--tenant", "nobody"]).await.ended_with(2);
        assert!(ran.stderr.contains("nobody"), "{}", ran.stderr);
        let ran = run(["why", "--admin", &admin, "--tenant", "eu-only", "--edge", "eu-central-9"])
            .await
            .ended_with(2);
        assert!(ran.stderr.contains("eu-central-9"), "{}", ran.stderr);
    });
}

fn plan() -> Plan {
    Plan::new([EU_CENTRAL, US_EAST])
        .tenant("eu-only", "[[match]]\nhost = \"eu-only.example\"\n[residency]\nallow = [\"set:EU\"]")
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn path(scratch: &TempDir, name: &str) -> String {
    scratch.path().join(name).to_str().expect("a path in UTF-8").to_owned()
}

/// Replaces `old` by `new` in a file; where `at` stands afterwards: file, line and column.
fn breaks(directory: &str, file: &str, old: &str, new: &str, at: &str) -> (String, usize, usize) {
    let path = Path::new(directory).join(file);
    let text = fs::read_to_string(&path).expect("a starter");
    assert_eq!(text.matches(old).count(), 1, "{old} stands once in {file}");
    let text = text.replace(old, new);
    fs::write(&path, &text).expect("the broken document is written");
    let place = text.find(at).expect("what is broken is there");
    let line_begin = text[..place].rfind('\n').map_or(0, |end| end + 1);
    let line = text[..place].matches('\n').count() + 1;
    (path.to_str().expect("a path in UTF-8").to_owned(), line, place - line_begin + 1)
}
