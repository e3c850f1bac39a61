//! What commands print, and which settings of the environment count.

use graticule_node_api::{Candidate, Why};

use super::*;

/// Does what a command line says.
fn graticule(arguments: &[&str]) -> Result<(), Failure> {
    let arguments = std::iter::once("graticule").chain(arguments.iter().copied());
    dispatch(Arguments::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).command)
}

fn failed(result: Result<(), Failure>) -> String {
    match result {
        Err(Failure::Failed(text)) => text,
        other => panic!("it must fail: {other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent_and_names_whose_data_is_inside() {
    Arguments::command().debug_assert();
    assert!(Arguments::command().render_version().contains(graticule_geo::ATTRIBUTION));
    assert!(Arguments::try_parse_from(["graticule"]).is_err());
    assert!(Arguments::try_parse_from(["graticule", "why"]).is_err(), "a tenant is needed");
    assert!(Arguments::try_parse_from(["graticule", "why", "--tenant", "a", "--ip", "x"]).is_err());
}

#[test]
fn what_init_writes_passes_the_check_and_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let new = directory.path().join("new");
    let (path, node) = (new.to_str().unwrap(), new.join("node.toml"));
    graticule(&["init", path]).unwrap();
    graticule(&["check", path]).unwrap();
    graticule(&["check", "--json", path]).unwrap();
    graticule(&["check", "--written-only", node.to_str().unwrap()]).unwrap();
    let without_certificates = graticule(&["check", node.to_str().unwrap()]);
    assert!(matches!(without_certificates, Err(Failure::Found)), "a node would not start with it");
    std::fs::remove_file(new.join("fleet.toml")).unwrap();
    let text = failed(graticule(&["init", path]));
    assert!(text.contains("exists; nothing was written"), "{text}");
    assert!(!new.join("fleet.toml").exists());
}

#[test]
fn check_ends_with_findings_for_what_is_wrong_and_fails_for_what_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    assert!(matches!(graticule(&["check", path]), Err(Failure::Found)), "there is no fleet document");
    graticule(&["init", path]).unwrap();
    std::fs::write(directory.path().join("tenants/eu-only.toml"), "version = ").unwrap();
    assert!(matches!(graticule(&["check", path]), Err(Failure::Found)));
    assert!(matches!(graticule(&["check", "--json", path]), Err(Failure::Found)));
    let node = directory.path().join("node.toml");
    std::fs::write(&node, "name = 3").unwrap();
    assert!(matches!(graticule(&["check", node.to_str().unwrap()]), Err(Failure::Found)));
    let text = failed(graticule(&["check", "/nowhere/at/all"]));
    assert!(text.contains("cannot read /nowhere/at/all"), "{text}");
}

#[test]
fn check_takes_each_file_for_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    graticule(&["init", directory.path().to_str().unwrap()]).unwrap();
    for name in ["fleet.toml", "tenants/anywhere.toml", "node.toml"] {
        graticule(&["check", "--written-only", &path(name)])
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    std::fs::write(
        path("fleet.toml"),
        "version = 1\nmesh = \"a\"\n[regions.x]\ncountry = \"DE\"\nlatitude = 1\nlongitude = 1",
    )
    .unwrap();
    let tenant = graticule(&["check", &path("tenants/anywhere.toml")]);
    assert!(matches!(tenant, Err(Failure::Found)), "the fleet has none of its regions");
    std::fs::remove_file(path("fleet.toml")).unwrap();
    graticule(&["check", &path("tenants/anywhere.toml")]).expect("in itself it is right");
}

#[test]
fn no_file_is_read_without_end() {
    assert_eq!(source(Path::new("/dev/zero")).unwrap().text.len(), Source::BYTES_MAX + 1);
    for arguments in [["check", "/dev/zero"], ["node", "--config=/dev/zero"]] {
        assert!(matches!(graticule(&arguments), Err(Failure::Found)), "{arguments:?}");
    }
}

#[test]
fn certificates_are_issued_by_an_authority_that_exists() {
    let directory = tempfile::tempdir().unwrap();
    let (ca, out) = (directory.path().join("ca"), directory.path().join("out"));
    let (ca, out) = (ca.to_str().unwrap(), out.to_str().unwrap());
    let issue = ["ca", "issue", "--ca", ca, "--region", "eu", "--node", "node-1", "--out", out];
    assert!(failed(graticule(&issue)).contains("ca.pem"));
    graticule(&["ca", "init", ca, "--mesh", "atlas"]).unwrap();
    graticule(&issue).unwrap();
    for file in ["node-1.pem", "node-1.key", "ca.pem"] {
        assert!(std::path::Path::new(out).join(file).exists(), "{file}");
    }
    failed(graticule(&issue));
    graticule(&[&issue[..], &["--force"]].concat()).unwrap();
    assert!(Arguments::try_parse_from(["graticule", "ca", "init", ca, "--mesh", "At las"]).is_err());
}

#[test]
fn a_node_that_does_not_answer_is_named_with_what_to_do() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for arguments in [vec!["status"], vec!["why", "--tenant", "acme"]] {
        let text = failed(graticule(&[&arguments[..], &["--admin", &free]].concat()));
        assert!(text.contains(&free) && text.contains("is the node running"), "{text}");
    }
}

#[test]
fn a_nodes_configuration_is_read_with_flags_that_make_sense() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.toml");
    let text = failed(graticule(&["node", "--config", file.to_str().unwrap()]));
    assert!(text.contains("cannot read"), "{text}");
    std::fs::write(&file, "").unwrap();
    let text = failed(graticule(&["node", "--config", file.to_str().unwrap(), "--set", "workers"]));
    assert!(text.contains("expected KEY=VALUE"), "{text}");
    let unknown = graticule(&["node", "--config", file.to_str().unwrap(), "--set", "workres=2"]);
    assert!(matches!(unknown, Err(Failure::Found)));
}

#[test]
fn the_environment_is_read_where_it_is_meant() {
    use std::os::unix::ffi::OsStringExt;
    let variables = [
        ("GRATICULE_INGRESS__HTTP".into(), "0.0.0.0:80".into()),
        ("GRATICULE_ADMIN".into(), "127.0.0.1:1".into()),
        ("HOME".into(), OsString::from_vec(vec![0xff])),
    ];
    let expected = vec![("GRATICULE_INGRESS__HTTP".to_owned(), "0.0.0.0:80".to_owned())];
    assert_eq!(overrides(variables.into_iter()).unwrap(), expected);
    let unreadable = [
        ("GRATICULE_NAME".into(), OsString::from_vec(vec![0xff])),
        (OsString::from_vec(b"GRATICULE_N\xff".to_vec()), "a".into()),
    ];
    for variable in unreadable {
        let text = match overrides(std::iter::once(variable)) {
            Err(Failure::Failed(text)) => text,
            other => panic!("a setting must not get lost: {other:?}"),
        };
        assert!(text.contains("the variable GRATICULE_N") && text.contains("not UTF-8"), "{text}");
    }
}

fn why() -> Why {
    let candidate = |region: &str, tier, cost_ms, verdict: &str| Candidate {
        region: region.parse().unwrap(),
        tier,
        cost_ms,
        verdict: verdict.to_owned(),
    };
    Why {
        edge: "edge-1".parse().unwrap(),
        edge_region: "us".parse().unwrap(),
        tenant: "acme".to_owned(),
        path: "/x".to_owned(),
        client_country: "DE".to_owned(),
        decision: "relay".to_owned(),
        region: Some("eu".parse().unwrap()),
        reason: None,
        status: None,
        record_here: false,
        candidates: vec![
            candidate("eu", Some(0), 91.25, "chosen"),
            candidate("us", None, 0.0, "not-permitted"),
        ],
    }
}

#[test]
fn a_relayed_decision_is_explained_with_every_candidate() {
    let expected = "acme /x at edge-1 (us): relayed to eu\n\
                    the client is in DE; edge-1 may not record the request\n\n\
                    REGION  TIER  COST MS  VERDICT\n\
                    eu      1     91.2     chosen\n\
                    us      -     0.0      not-permitted";
    assert_eq!(super::why::explain(&why()), expected);
}

#[test]
fn local_and_refused_decisions_are_told_apart() {
    let local = Why { edge_region: "eu".parse().unwrap(), record_here: true, ..why() };
    let text = super::why::explain(&local);
    assert!(text.contains("served here, in eu") && text.contains("edge-1 may record"), "{text}");
    let refused = Why {
        region: None,
        reason: Some("unknown-location".to_owned()),
        status: Some(403),
        client_country: "unknown".to_owned(),
        ..why()
    };
    let text = super::why::explain(&refused);
    assert!(text.contains("refused: unknown-location (status 403)"), "{text}");
    assert!(text.contains("the client's country is unknown"), "{text}");
    let not_asked = super::why::explain(&Why { client_country: "not-asked".to_owned(), ..why() });
    assert!(not_asked.contains("no rule asks"), "{not_asked}");
}
