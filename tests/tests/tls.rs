//! TLS from clients: certificates by the name that is asked for, HTTP/2 by agreement, and who may be asked for there.

use std::fs;
use std::time::Duration;

use graticule_tests::{
    Answer, Ask, Broken, Connection, EU_CENTRAL, Fleet, Plan, Tls, US_EAST, ask, eventually, run,
    self_signed, story,
};
use http::StatusCode;
use rustls::version::{TLS12, TLS13};

#[test]
fn clients_agree_on_a_version_and_a_protocol() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        for version in [&TLS12, &TLS13] {
            for (alpn, via) in [(&["h2", "http/1.1"][..], "2"), (&["http/1.1"], "1.1"), (&[], "1.1")] {
                let id = format!("{version:?}-{}", alpn.len());
                let file = fleet.certificates().join("one.example.pem");
                let tls = Tls { alpn, version, ..Tls::to("one.example", &file) };
                let mut connection = Connection::open_tls(fleet.tls_edge("us-east"), &tls).await.unwrap();
                let answer = connection.ask(&Ask::get("one.example", "/x").named(&id)).await.unwrap();
                assert_eq!((answer.status, answer.region()), (StatusCode::OK, Some("eu-central")), "{id}");
                let (_, received) = fleet.seen(&id).remove(0);
                assert!(
                    received.headers["via"].to_str().unwrap().starts_with(&format!("{via} us-east-1")),
                    "{id}"
                );
                assert_eq!(received.headers["x-forwarded-proto"], "https", "{id}");
            }
        }
    });
}

#[test]
fn http_2_is_not_spoken_where_both_have_not_agreed_on_it() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        for (alpn, answers) in [(&["h2"][..], true), (&["http/1.1"], false), (&[], false)] {
            let file = fleet.certificates().join("one.example.pem");
            let tls = Tls { alpn, ..Tls::to("one.example", &file) };
            let edge = fleet.tls_edge("us-east");
            let mut connection = Connection::open_tls_with_http2(edge, &tls).await.unwrap();
            let answer = connection.ask(&Ask::get("one.example", "/")).await;
            assert_eq!(answer.is_ok(), answers, "{alpn:?}");
        }
    });
}

#[test]
fn each_name_has_its_certificate_and_no_other_name_has_one() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        for (host, file) in
            [("one.example", "one.example"), ("a.two.example", "two.example"), ("two.example", "two.example")]
        {
            assert_eq!(over_tls(&fleet, (host, file), host).await.unwrap().status, StatusCode::OK, "{host}");
        }
        for (host, file) in [
            ("one.example", "two.example"),
            ("a.b.two.example", "two.example"),
            ("three.example", "one.example"),
        ] {
            assert!(over_tls(&fleet, (host, file), host).await.is_err(), "{host}");
        }
    });
}

#[test]
fn a_connection_for_one_tenant_carries_no_request_of_another() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        let answer = over_tls(&fleet, ("one.example", "one.example"), "two.example").await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.refusal().as_deref()), (421, Some("misdirected")));
        // Two hosts of one tenant may share a connection.
        let answer = over_tls(&fleet, ("two.example", "two.example"), "b.two.example").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    });
}

#[test]
fn clients_in_cleartext_are_sent_to_tls_where_the_tenant_asks() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        let edge = fleet.edge("us-east");
        let answer = ask(edge, &Ask::get("two.example", "/a%20b?c=d")).await;
        assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
        let port = fleet.tls_edge("us-east").port();
        assert_eq!(answer.header("location"), Some(&*format!("https://two.example:{port}/a%20b?c=d")));
        assert_eq!(ask(edge, &Ask::get("one.example", "/")).await.status, StatusCode::OK);
        // The load balancer is trusted in every test.
        let behind = Ask::get("two.example", "/").header("x-forwarded-proto", "https");
        assert_eq!(ask(edge, &behind).await.status, StatusCode::OK);
    });
}

#[test]
fn changed_certificates_are_taken_and_broken_ones_are_not() {
    story(Duration::from_mins(1), async {
        let fleet = fleet().await;
        let directory = fleet.certificates();
        let node = fleet.node("us-east-1");
        let to_one = async || over_tls(&fleet, ("one.example", "one.example"), "one.example").await.map(drop);

        let good = fs::read(directory.join("one.example.pem")).unwrap();
        fs::write(directory.join("one.example.pem"), "no certificate").unwrap();
        eventually("the node says what is wrong", LIMIT, async || {
            let log = node.log();
            let said = log
                .lines()
                .any(|line| line.contains("one.example.pem") && line.contains("holds no certificate"));
            if said { Ok(()) } else { Err(log) }
        })
        .await;
        fs::write(directory.join("kept.pem"), &good).unwrap();
        let kept = over_tls(&fleet, ("one.example", "kept"), "one.example").await;
        assert_eq!(kept.unwrap().status, StatusCode::OK, "the old one stays");
        fs::remove_file(directory.join("kept.pem")).unwrap();

        self_signed(&directory, "one.example", &["one.example"]);
        eventually("the new one is shown", LIMIT, to_one).await;
        self_signed(&directory, "three.example", &["three.example"]);
        eventually("a further one is shown", LIMIT, async || {
            over_tls(&fleet, ("three.example", "three.example"), "one.example").await.map(drop)
        })
        .await;
    });
}

#[test]
fn a_check_finds_certificates_that_a_tenant_shares_though_it_receives_alone() {
    story(Duration::from_mins(1), async {
        let alone =
            "[[match]]\nhost = \"one.example\"\n[residency]\nallow = [\"set:EU\"]\nreceive = \"allowed\"";
        let other = "[[match]]\nhost = \"two.example\"\n[residency]\nallow = [\"set:EU\"]";
        let plan = Plan::new([EU_CENTRAL]).tenant("alone", alone).tenant("other", other);
        let shared = Fleet::prepare(plan.clone().certificate(&["one.example", "two.example"])).await;
        let configuration =
            |fleet: &Fleet| fleet.scratch("eu-central-1").join("node.toml").display().to_string();
        let ran = run(["check".to_owned(), configuration(&shared)]).await.ended_with(1);
        let expected = "one.example.pem is also for `two.example` of tenant `other`: tenant `alone` has";
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        let apart = Fleet::prepare(plan.certificate(&["one.example"]).certificate(&["two.example"])).await;
        run(["check".to_owned(), configuration(&apart)]).await.succeeded();
    });
}

async fn fleet() -> Fleet {
    let rules = |hosts: &str, more: &str| {
        format!("{more}[[match]]\nhosts = [{hosts}]\n[residency]\nallow = [\"set:EU\"]")
    };
    Plan::new([EU_CENTRAL, US_EAST])
        .tenant("one", &rules("\"one.example\"", ""))
        .tenant("two", &rules("\"two.example\", \"*.two.example\"", "redirect_http = true\n"))
        .certificate(&["one.example"])
        .certificate(&["two.example", "*.two.example"])
        .start()
        .await
}

/// Asks `us-east` for `host`, over TLS that asks for another host and believes one certificate.
async fn over_tls(fleet: &Fleet, (named, file): (&'static str, &str), host: &str) -> Result<Answer, Broken> {
    let believes = fleet.certificates().join(format!("{file}.pem"));
    let tls = Tls::to(named, &believes);
    Connection::open_tls(fleet.tls_edge("us-east"), &tls).await?.ask(&Ask::get(host, "/")).await
}

const LIMIT: Duration = Duration::from_secs(10);
