//! Lines of the access log, as whoever reads them does.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::Reason;
use crate::outcome::Role;

const OUTCOME: Outcome = Outcome {
    role: Role::Edge,
    status: Some(503),
    reason: Some(Reason::NoCompliantRegion),
    attempts: 2,
    bytes_up: 10,
    bytes_down: 1_234_567,
    complete: false,
    total: Duration::from_micros(1_234_567),
};

fn personal(path: &str) -> Personal<'_> {
    Personal {
        client: Some("203.0.113.77".parse().unwrap()),
        addresses: AddressMask::Network,
        method: "GET",
        host: "acme.example",
        path,
        request_id: Some("r-1"),
        trace_id: None,
    }
}

fn line(personal: Option<Personal<'_>>) -> String {
    let entry = Entry {
        ended_us: 1_500_000,
        node: "eu-1",
        outcome: &OUTCOME,
        protocol: Protocol::Http2,
        tenant: Some("acme"),
        regions: [Some("us"), Some("eu")],
        decision: "relay",
        backend: Some(Asked { pool: "api", address: "[2001:db8::7]:8080".parse().unwrap(), attempts: 2 }),
        accepted: Some(Duration::from_millis(3)),
        first_byte: None,
        personal,
    };
    let mut out = String::new();
    entry.write(&mut Timestamps::default(), &mut out);
    out
}

#[test]
fn a_line_has_everything_in_its_place() {
    let expected = concat!(
        r#"{"time":"1970-01-01T00:00:01.500Z","node":"eu-1","role":"edge","protocol":"HTTP/2","tenant":"acme","#,
        r#""regions":["us","eu"],"decision":"relay","reason":"no-compliant-region","status":503,"attempts":2,"#,
        r#""pool":"api","backend":"[2001:db8::7]:8080","backend_attempts":2,"bytes_up":10,"#,
        r#""bytes_down":1234567,"complete":false,"duration_ms":1234.567,"accepted_ms":3.000,"#,
        r#""first_byte_ms":null,"client":"203.0.113.0/24","method":"GET","host":"acme.example","path":"/a","#,
        r#""request_id":"r-1","trace_id":null}"#,
        "\n"
    );
    assert_eq!(line(Some(personal("/a"))), expected);
}

#[test]
fn without_what_is_personal_a_line_tells_nobody_and_nothing() {
    let line = line(None);
    for key in ["client", "method", "host", "path", "request_id", "trace_id"] {
        assert!(!line.contains(&format!("\"{key}\"")), "{key} in {line}");
    }
    assert!(line.ends_with("\"first_byte_ms\":null}\n"), "{line}");
}

#[test]
fn a_tenant_that_wants_no_addresses_has_none() {
    let silent = Personal { addresses: AddressMask::Nothing, ..personal("/") };
    assert!(!line(Some(silent)).contains("client"));
}

/// What of a line another program reads.
#[derive(Deserialize)]
struct Read {
    path: String,
    duration_ms: f64,
}

proptest! {
    #[test]
    fn whatever_a_client_sends_stays_one_string_of_one_line(path in any::<String>()) {
        let line = line(Some(personal(&path)));
        prop_assert_eq!(line.matches('\n').count(), 1);
        // Another library's reader is the judge.
        let read: Read = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(read.path, path);
        prop_assert!((read.duration_ms - 1_234.567).abs() < 1e-9);
    }
}

#[test]
fn addresses_are_written_as_everywhere_else() {
    for address in ["0.0.0.0:0", "9.10.99.100:80", "255.255.255.255:65535", "[::1]:1", "[fe80::1%7]:443"] {
        let address = address.parse().unwrap();
        let mut out = String::new();
        json::Object::new(&mut out).address(key!("backend"), address);
        assert!(out.contains(&format!(r#""backend":"{address}""#)), "{out}");
    }
}
