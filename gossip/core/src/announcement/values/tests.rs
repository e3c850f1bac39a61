//! Announcements survive being written and read; anything else is refused, whoever wrote it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn announcement() -> impl Strategy<Value = Announcement> {
    let name = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
    let address = prop_oneof![
        (1u32..0xE000_0000).prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        (1u128..(0xFF << 120)).prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
    ];
    let mesh = (address, 1u16..=u16::MAX - 256, 1u16..=256)
        .prop_map(|(ip, port, workers)| MeshAddress { base: SocketAddr::new(ip, port), workers });
    let texts = ("[!-~]{0,32}", "[0-9a-f]{0,64}");
    (name, name, any::<u64>(), mesh, texts, any::<u64>(), any::<bool>()).prop_map(
        |(node, region, generation, mesh, (software, policy_digest), fleet_version, draining)| Announcement {
            node: node.parse().unwrap(),
            region: region.parse().unwrap(),
            generation: Generation(generation),
            mesh,
            software,
            fleet_version,
            policy_digest,
            draining,
        },
    )
}

fn read(values: &BTreeMap<String, String>) -> Result<Announcement, AnnouncementError> {
    let node = "n1".parse().unwrap();
    Announcement::from_values(node, Generation(7), |key| values.get(key).map(String::as_str))
}

fn example() -> BTreeMap<String, String> {
    [
        ("region", "eu-central"),
        ("mesh", "203.0.113.7:4400 2"),
        ("software", "0.1.0"),
        ("documents", "17 9f86d081"),
        ("draining", "no"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

proptest! {
    #[test]
    fn what_is_written_is_read(written in announcement()) {
        let values = written.to_values();
        prop_assert!(values.len() <= VALUES_MAX);
        prop_assert!(values.iter().all(|(_, value)| value.len() <= VALUE_BYTES_MAX));
        let lookup = |key: &str| values.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str());
        let read = Announcement::from_values(written.node.clone(), written.generation, lookup);
        prop_assert_eq!(read, Ok(written));
    }

    #[test]
    fn an_announcement_with_illegal_texts_can_still_be_read(
        mut written in announcement(), software in ".{0,100}", policy_digest in ".{0,100}",
    ) {
        written.software = software;
        written.policy_digest = policy_digest;
        let values = written.to_values();
        let lookup = |key: &str| values.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str());
        prop_assert!(Announcement::from_values(written.node, written.generation, lookup).is_ok());
    }

    /// Whatever is accepted says again exactly what was accepted: there is one spelling of everything.
    #[test]
    fn hostile_values_are_refused_or_mean_exactly_themselves(
        key in prop::sample::select(vec![REGION, MESH, SOFTWARE, DOCUMENTS, DRAINING]),
        value in prop_oneof![
            ".{0,80}",
            "[0-9.:\\[\\]a-f ]{0,40}",
            "[+0]?[0-9]{0,21} ?[0-9a-fA-F]{0,70}",
            (0u8..=255, 0u32..=70_000, 0u32..=300).prop_map(|(a, port, w)| format!("{a}.0.0.1:{port} {w}")),
        ],
    ) {
        let mut values = example();
        values.insert(key.to_owned(), value);
        match read(&values) {
            Ok(read) => {
                let again: BTreeMap<_, _> =
                    read.to_values().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                prop_assert_eq!(again, values);
            }
            Err(error) => prop_assert_eq!(error, AnnouncementError::Malformed(key)),
        }
    }
}

#[test]
fn the_example_is_read_and_unknown_keys_are_ignored() {
    let mut values = example();
    values.insert("from-the-future".to_owned(), "x".repeat(100_000));
    let read = read(&values).unwrap();
    assert_eq!(read.region.as_str(), "eu-central");
    assert_eq!(read.mesh, MeshAddress { base: "203.0.113.7:4400".parse().unwrap(), workers: 2 });
    assert_eq!((read.fleet_version, read.policy_digest.as_str()), (17, "9f86d081"));
    assert!(!read.draining);
}

#[test]
fn a_missing_value_is_named() {
    for key in [REGION, MESH, SOFTWARE, DOCUMENTS, DRAINING] {
        let mut values = example();
        values.remove(key);
        assert_eq!(read(&values), Err(AnnouncementError::Missing(key)));
    }
}

#[test]
fn addresses_that_nobody_can_dial_are_refused() {
    let hostile = [
        "0.0.0.0:4400 1",
        "[::]:4400 1",
        "224.0.0.1:4400 1",
        "[ff02::1]:4400 1",
        "203.0.113.7:0 1",
        "203.0.113.7:65535 1",
        "203.0.113.7:4400 0",
        "203.0.113.7:4400 257",
        "203.0.113.7:4400 +2",
        "203.0.113.7:4400 02",
        "203.0.113.7:4400  2",
        "203.0.113.7:4400",
        "example.com:4400 1",
    ];
    for mesh in hostile {
        let mut values = example();
        values.insert("mesh".to_owned(), mesh.to_owned());
        assert_eq!(read(&values), Err(AnnouncementError::Malformed("mesh")), "{mesh}");
    }
}

#[test]
fn a_value_over_the_limit_is_refused_before_it_is_parsed() {
    let mut values = example();
    values.insert("software".to_owned(), "9".repeat(VALUE_BYTES_MAX + 1));
    assert_eq!(read(&values), Err(AnnouncementError::Malformed("software")));
}

#[test]
fn workers_listen_on_the_ports_after_the_base() {
    let mesh = MeshAddress::dialable("203.0.113.7:4400".parse().unwrap(), 2).unwrap();
    assert_eq!(mesh.worker(0), Some("203.0.113.7:4401".parse().unwrap()));
    assert_eq!(mesh.worker(1), Some("203.0.113.7:4402".parse().unwrap()));
    assert_eq!(mesh.worker(2), None);
}

#[test]
fn errors_say_which_value_is_wrong() {
    assert_eq!(AnnouncementError::Missing("mesh").to_string(), "the announcement lacks `mesh`");
    let malformed = AnnouncementError::Malformed("region").to_string();
    assert_eq!(malformed, "the announcement's `region` is not of its form");
}
