//! A node's configuration is read whole, or everything that is wrong with it is said.

use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::document::starter;
use crate::headers::ClientAddressHeader;

/// The least that a node needs.
const LEAST: &str = r#"name = "n1"
data = "/var/lib/graticule"
documents = "docs"
[mesh]
listen = "127.0.0.1:7400"
certificate = "node.pem"
key = "node.key"
authorities = "ca.pem"
"#;

fn parse_with(text: &str, overrides: &[(&str, &str)]) -> (Option<NodeConfig>, String) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let overrides: Vec<(String, String)> = overrides.iter().map(owned).collect();
    let (config, found) = NodeConfig::parse(&Source::new("node.toml", text), &overrides);
    (config, found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_fault_of_a_file_is_told_where_the_file_is_named() {
    let text = "name = \"n1\"\ndata = \"d\"\ndocuments = \".\"\n[mesh]\nlisten = \"127.0.0.1:7400\"\n\
         certificate = \"n\"\nkey = \"k\"\nauthorities = \"a\"\n";
    let overrides = [("mesh.key".to_owned(), "other".to_owned())];
    let (config, _) = NodeConfig::parse(&Source::new("node.toml", text), &overrides);
    let places = config.unwrap().places;
    let told = |key| places.error(Some(key), "x".to_owned()).to_string();
    assert_eq!(
        told("mesh.certificate"),
        "node.toml:6:15: error: x\n  help: this is what `mesh.certificate` says"
    );
    assert_eq!(told("mesh.key"), "mesh.key: error: x\n  help: this is what `mesh.key` says");
    assert_eq!(
        told("admin.listen"),
        "node.toml: error: x\n  help: this is what `admin.listen` says",
        "by default"
    );
    assert_eq!(places.error(None, "x".to_owned()).to_string(), "node.toml: error: x");
}

fn read(text: &str) -> NodeConfig {
    let (config, found) = parse_with(text, &[]);
    config.unwrap_or_else(|| panic!("{found}"))
}

fn errors(text: &str, overrides: &[(&str, &str)]) -> String {
    let (config, found) = parse_with(text, overrides);
    assert!(config.is_none(), "{found}");
    found
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = read(LEAST);
    assert_eq!((config.name.as_str(), config.workers), ("n1", None));
    assert_eq!(config.ingress.http, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(config.ingress.client_address.header, ClientAddressHeader::XForwardedFor);
    assert!(config.ingress.client_address.trusted.is_empty());
    let limits = &config.ingress.limits;
    assert_eq!((limits.header_bytes_max, limits.headers_max, limits.connections_max), (32_768, 100, 10_000));
    let timeouts = [limits.sniff_timeout, limits.header_timeout, limits.idle_timeout];
    assert_eq!(timeouts.map(|timeout| timeout.as_secs()), [10, 10, 60]);
    assert_eq!(config.ingress.http2, Http2Limits::default());
    assert_eq!(config.mesh.advertise, "127.0.0.1:7400".parse().unwrap());
    assert_eq!(config.mesh.tunnels_per_region_max, 8);
    assert_eq!(config.admin.listen, "127.0.0.1:9901".parse().unwrap());
    assert!(config.geo.embedded && config.geo.databases.is_empty());
    assert_eq!(config.requests_in_flight_max, 10_000);
    assert_eq!((config.drain.delay.as_secs(), config.drain.deadline.as_secs()), (5, 25));
    assert_eq!((config.log_level, config.log_format), (LogLevel::Info, LogFormat::Text));
}

#[test]
fn the_starter_is_right_and_says_the_defaults() {
    let (_, text) = starter::files().into_iter().find(|(name, _)| *name == starter::NODE).unwrap();
    let (config, found) = parse_with(&text, &[]);
    // The one thing that nobody can know before.
    assert_snapshot!(found, @r"
    node.toml:48:13: warning: `192.0.2.7` is an address for examples, which nobody has
      help: write the address that they reach this node at
    ");
    assert_eq!(parse_with(&text, &[("mesh.advertise", "10.0.0.7:7400")]).1, "");
    let config = config.unwrap();
    let defaults = read(LEAST);
    assert_eq!(config.ingress, defaults.ingress);
    assert_eq!(config.geo, defaults.geo);
    assert_eq!(config.admin.listen, defaults.admin.listen);
    assert_eq!(config.requests_in_flight_max, defaults.requests_in_flight_max);
    assert_eq!(config.mesh.tunnels_per_region_max, defaults.mesh.tunnels_per_region_max);
    assert_eq!(config.drain, defaults.drain);
}

#[test]
fn an_address_for_examples_that_others_are_to_dial_is_worth_a_warning() {
    let text = format!("{LEAST}advertise = \"192.0.2.7:7400\"\n");
    let (config, found) = parse_with(&text, &[]);
    assert_eq!(config.unwrap().mesh.advertise, "192.0.2.7:7400".parse().unwrap());
    assert_snapshot!(found, @r"
    node.toml:9:13: warning: `192.0.2.7` is an address for examples, which nobody has
      help: write the address that they reach this node at
    ");
    let text = format!("{LEAST}advertise = \"[2001:db8::7]:7400\"\n");
    assert!(parse_with(&text, &[]).1.contains("`2001:db8::7` is an address for examples"));
}

#[test]
fn everything_can_be_set() {
    let text = format!(
        r#"workers = 64
{LEAST}seeds = ["a.example:7400", "[::1]:7401"]
advertise = "10.0.0.7:7400"
dial = {{ us-1 = "127.0.0.1:7500" }}
tunnels_per_region_max = 2
[ingress]
http = "[::]:80"
trusted = ["10.0.0.0/8", "::1", "::ffff:192.168.0.0/112"]
client_address = "X-Real-IP"
proxy_protocol = ["10.0.0.0/8"]
limits = {{ proxy_timeout = "2s", idle_timeout = "5m", sniff_timeout = "1s" }}
http2 = {{ streams_max = 7, ping_interval = "5s", resets_per_second_max = 9, stream_window_bytes = 65535 }}
[geo]
databases = ["a.mmdb"]
embedded = false
overrides = {{ "203.0.113.0/24" = "DE", "2001:db8::/32" = "unknown" }}
[drain]
delay = "0s"
deadline = "5m"
[log]
level = "debug"
format = "json"
"#
    );
    let config = read(&text);
    assert_eq!(config.workers, Some(64));
    let seeds: Vec<String> = config.mesh.seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["a.example:7400", "[::1]:7401"]);
    assert_eq!(config.mesh.advertise, "10.0.0.7:7400".parse().unwrap());
    assert_eq!(config.mesh.dial[&"us-1".parse().unwrap()], "127.0.0.1:7500".parse().unwrap());
    assert_eq!(
        config.ingress.client_address.trusted,
        ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap(), "192.168.0.0/16".parse().unwrap()]
    );
    assert_eq!(
        config.ingress.client_address.header,
        ClientAddressHeader::Single("x-real-ip".parse().unwrap())
    );
    assert_eq!(config.ingress.limits.idle_timeout.as_secs(), 300);
    assert_eq!(config.ingress.proxy_protocol, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(config.ingress.limits.proxy_timeout.as_secs(), 2);
    assert_eq!(config.ingress.limits.sniff_timeout.as_secs(), 1);
    let http2 = config.ingress.http2;
    assert_eq!((http2.streams_max, http2.ping_interval.as_secs()), (7, 5));
    assert_eq!((http2.frames.resets_per_second_max, http2.stream_window_bytes), (9, 65_535));
    assert_eq!(http2.error_resets_max, Http2Limits::default().error_resets_max);
    assert_eq!(config.geo.overrides[&"203.0.113.0/24".parse().unwrap()], Some("DE".parse().unwrap()));
    assert_eq!(config.geo.overrides[&"2001:db8::/32".parse().unwrap()], None);
    assert_eq!((config.drain.delay.as_secs(), config.drain.deadline.as_secs()), (0, 300));
    assert_eq!((config.log_level, config.log_format), (LogLevel::Debug, LogFormat::Json));
}

#[test]
fn everything_that_is_wrong_is_said_at_its_place() {
    let text = r#"name = "N1"
data = ""
workers = 65
[ingress]
http = "8080"
trusted = ["10.1.0.0/8", "10.0.0.0/33"]
client_address = "x forwarded"
[ingress.limits]
header_timeout = "0s"
conections_max = 1
[mesh]
listen = "0.0.0.0:7400"
seeds = ["a.example"]
certificate = "node.pem"
key = "node.key"
dial = { x = "127.0.0.1:65500" }
[geo]
overrides = { "203.0.113.1/24" = "DE", "::1" = "de" }
[log]
level = "loud"
"#;
    assert_snapshot!(errors(text, &[]), @r#"
    node.toml:1:1: error: missing key `documents`
      help: add `documents = "."`
    node.toml:1:8: error: `N1` is no name: expected 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit
    node.toml:2:8: error: expected a path
    node.toml:3:11: error: expected an integer from 1 to 64, found 65
    node.toml:5:8: error: expected an address and port such as `0.0.0.0:8080` or `[::]:8080`, found `8080`
    node.toml:6:12: error: expected a network such as `10.0.0.0/8`, found `10.1.0.0/8`
      help: did you mean `10.0.0.0/8`?
    node.toml:6:26: error: expected a network such as `10.0.0.0/8`, found `10.0.0.0/33`
    node.toml:7:18: error: expected `x-forwarded-for`, `forwarded`, `none` or the name of a header, found `x forwarded`
    node.toml:9:18: error: expected a duration from "100ms" to "1h", found "0s"
    node.toml:10:1: error: unknown key `conections_max`
      help: did you mean `connections_max`?
    node.toml:11:1: error: missing key `authorities`
      help: add `authorities = "ca.pem"`
    node.toml:12:10: error: `0.0.0.0:7400` is every address of this machine, and others need one to dial
      help: add `advertise = "192.0.2.7:7400"` with the address that they reach
    node.toml:13:10: error: expected a host and port such as `node.example:7400`
    node.toml:16:14: error: expected a port from 1 to 65471, found 65500
      help: the workers take the ports behind it
    node.toml:18:15: error: expected a network such as `10.0.0.0/8`, found `203.0.113.1/24`
      help: did you mean `203.0.113.0/24`?
    node.toml:18:48: error: `de` is no country code of ISO 3166-1
      help: did you mean `DE`?
    node.toml:20:9: error: expected one of `error`, `warn`, `info`, `debug`, `trace`, found `loud`
    "#);
}

#[test]
fn a_drain_has_time_to_finish_something() {
    let text = format!("{LEAST}[drain]\ndelay = \"25s\"\n");
    assert_snapshot!(errors(&text, &[]), @r"
    node.toml:9:1: error: `delay` leaves no time until `deadline` to finish what is under way
      help: both count from the signal: make `delay` shorter, or `deadline` longer
    ");
    let shortest = read(&format!("{LEAST}[drain]\ndelay = \"24999ms\"\n")).drain;
    assert_eq!(shortest.deadline, shortest.delay + Duration::from_millis(1));
}

#[test]
fn what_is_dangerous_is_a_warning() {
    let (config, found) = parse_with(
        &format!("{LEAST}[ingress]\ntrusted = [\"0.0.0.0/0\"]\n[admin]\nlisten = \"0.0.0.0:9901\"\n"),
        &[],
    );
    assert!(config.is_some());
    assert_snapshot!(found, @r"
    node.toml:10:12: warning: `0.0.0.0/0` trusts everybody's word for the client's address
      help: name the networks of your own load balancers
    node.toml:12:10: warning: the admin API listens on `0.0.0.0:9901`, which others can reach, and asks for no token
      help: add `[[admin.tokens]]` (graticule token writes one), or use 127.0.0.1:9901
    ");
}

#[test]
fn tokens_are_kept_as_hashes_and_close_the_admin_api() {
    let token = |sha256: &str| {
        format!(
            "{LEAST}[admin]\nlisten = \"0.0.0.0:9901\"\n[[admin.tokens]]\nname = \"ci\"\nrole = \"operator\"\n\
             sha256 = \"{sha256}\"\n"
        )
    };
    let (config, found) = parse_with(&token(&"0aF1".repeat(16)), &[]);
    assert_eq!(found, "", "no warning: others need a token");
    let tokens = config.unwrap().admin.tokens;
    assert_eq!((tokens[0].sha256[0], tokens[0].sha256[31]), (0x0a, 0xf1));
    assert_eq!(tokens[0].role, AdminRole::Operator);
    for wrong in ["", "secret", &"0g".repeat(32), &"00".repeat(33)] {
        assert!(errors(&token(wrong), &[]).contains("64 hexadecimal digits"), "{wrong}");
    }
}

#[test]
fn an_access_log_has_a_path_and_standard_output_is_no_file() {
    let log = |path: &str| {
        let config = read(&format!("{LEAST}[access_log]\npath = \"{path}\"\n"));
        config.relative_to(Path::new("/etc/graticule")).access_log.unwrap()
    };
    assert_eq!(log("access.log"), Path::new("/etc/graticule/access.log"));
    assert_eq!(log("/var/log/access.log"), Path::new("/var/log/access.log"));
    assert_eq!(log(NodeConfig::STANDARD_OUTPUT), Path::new("-"));
    assert!(read(LEAST).access_log.is_none());
    assert!(errors(&format!("{LEAST}[access_log]\n"), &[]).contains("missing key `path`"));
}

#[test]
fn a_collector_has_an_address_without_a_path() {
    let otlp = |endpoint: &str| format!("{LEAST}[otlp]\nendpoint = \"{endpoint}\"\n");
    let config = read(&otlp("http://collector.example:4318/")).otlp.unwrap();
    assert_eq!(config.endpoint.to_string(), "collector.example:4318");
    assert!((config.traces_share - 0.01).abs() < 1e-9);
    assert_eq!(config.spans_per_second_max, 1_000);
    let limited = |spans: &str| otlp("http://a:4318") + "spans_per_second_max = " + spans + "\n";
    assert_eq!(read(&limited("0")).otlp.unwrap().spans_per_second_max, 0);
    assert!(errors(&limited("4097"), &[]).contains("from 0 to 4096"));
    for wrong in ["https://a:4318", "a:4318", "http://a", "http://a:4318/v1/traces", ""] {
        assert!(errors(&otlp(wrong), &[]).contains("expected the address of a collector"), "{wrong}");
    }
}

#[test]
fn later_overrides_are_stronger_and_take_the_type_that_is_asked_for() {
    let overrides = [
        ("GRATICULE_NAME", "7"),
        ("GRATICULE_WORKERS", "4"),
        ("GRATICULE_INGRESS__HTTP", "127.0.0.1:1"),
        ("GRATICULE_INGRESS__TRUSTED", "10.0.0.0/8, 192.168.0.0/16"),
        ("GRATICULE_INGRESS__LIMITS__HEADERS_MAX", "50"),
        ("GRATICULE_GEO__EMBEDDED", "false"),
        ("GRATICULE_MESH__SEEDS", ""),
        ("ingress.http", "127.0.0.1:2"),
        ("geo.overrides.203.0.113.0/24", "FR"),
        ("mesh.dial.us-1", "127.0.0.1:7500"),
    ];
    let (config, found) = parse_with(LEAST, &overrides);
    let config = config.unwrap_or_else(|| panic!("{found}"));
    assert_eq!((config.name.as_str(), config.workers), ("7", Some(4)));
    assert_eq!(config.ingress.http, "127.0.0.1:2".parse().unwrap());
    assert_eq!(config.ingress.client_address.trusted.len(), 2);
    assert_eq!(config.ingress.limits.headers_max, 50);
    assert!(!config.geo.embedded && config.mesh.seeds.is_empty());
    assert_eq!(config.geo.overrides[&"203.0.113.0/24".parse().unwrap()], Some("FR".parse().unwrap()));
    assert_eq!(config.mesh.dial.len(), 1);
}

#[test]
fn a_bad_override_is_named() {
    assert_snapshot!(errors(LEAST, &[
        ("GRATICULE_WORKERS", "many"),
        ("GRATICULE_INGRES__HTTP", "127.0.0.1:1"),
        ("ingress.http.port", "1"),
        ("GRATICULE_NAME__FIRST", "x"),
        ("GRATICULE_", "x"),
        ("log", "info"),
    ]), @r#"
    GRATICULE_NAME__FIRST: error: there is no `first` in a string
    GRATICULE_: error: names no setting
      help: write `GRATICULE_INGRESS__HTTP` or `ingress.http`
    GRATICULE_INGRES__HTTP: error: unknown key `ingres`
      help: did you mean `ingress`?
    GRATICULE_WORKERS: error: expected an integer from 1 to 64, found "many"
    ingress.http.port: error: expected a string, found a table
    log: error: expected a table, found a string
    "#);
}

#[test]
fn relative_paths_are_taken_from_the_file_s_directory() {
    let config =
        read(&format!("{LEAST}[geo]\ndatabases = [\"a.mmdb\"]\n")).relative_to(Path::new("/etc/graticule"));
    assert_eq!(config.data, Path::new("/var/lib/graticule"));
    assert_eq!(config.documents, Path::new("/etc/graticule/docs"));
    assert_eq!(config.mesh.certificate, Path::new("/etc/graticule/node.pem"));
    assert_eq!(config.mesh.key, Path::new("/etc/graticule/node.key"));
    assert_eq!(config.mesh.authorities, Path::new("/etc/graticule/ca.pem"));
    assert_eq!(config.geo.databases, [Path::new("/etc/graticule/a.mmdb")]);
}

#[test]
fn seeds_are_names_or_addresses_with_a_port() {
    for right in ["a.example:1", "10.0.0.1:65535", "[2001:db8::1]:7400", "localhost:7400"] {
        assert_eq!(right.parse::<HostAndPort>().unwrap().to_string(), right);
    }
    for wrong in ["a.example", ":1", "a:0", "10.0.0.1:0", "a:65536", "a b:1", "*.a:1", "::1:7400", ""] {
        assert_eq!(wrong.parse::<HostAndPort>(), Err(HostAndPortError), "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_bytes_and_overrides_are_read_or_refused(
        text in prop::collection::vec(any::<u8>(), 0..200),
        name in "(GRATICULE_)?[a-zA-Z_.]{0,30}",
        value in ".{0,30}",
    ) {
        let (config, found) = NodeConfig::parse(&Source::new("x", text), &[(name, value)]);
        prop_assert_eq!(config.is_none(), found.iter().any(Diagnostic::is_error));
    }

    #[test]
    fn any_value_of_any_setting_is_taken_or_refused(
        setting in prop::sample::select(vec![
            "name", "workers", "ingress", "ingress.http", "ingress.trusted", "ingress.client_address",
            "ingress.limits.header_timeout", "mesh.listen", "mesh.seeds", "mesh.dial.x", "geo.embedded",
            "geo.overrides.10.0.0.0/8", "drain.delay", "log.level", "limits.requests_in_flight_max",
        ]),
        value in "([a-z0-9.:/,\\[\\] -]|10\\.0\\.0\\.1:80|5s|true){0,12}",
    ) {
        let (config, found) = parse_with(LEAST, &[(setting, &value)]);
        prop_assert_eq!(config.is_none(), found.contains("error"));
        prop_assert!(config.is_some() || found.starts_with(setting), "{}", found);
    }
}

#[test]
fn the_port_that_clients_are_sent_to_is_a_port() {
    let with = |port: &str| format!("{LEAST}[ingress]\nredirect_port = {port}\n");
    assert_eq!(read(LEAST).ingress.redirect_port, None);
    assert_eq!(read(&with("443")).ingress.redirect_port, Some(443));
    for wrong in ["0", "65536", "\"443\""] {
        assert!(errors(&with(wrong), &[]).starts_with("node.toml:10:17: error: "), "{wrong}");
    }
}
