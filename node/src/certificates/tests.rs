//! Which pairs are taken, and what becomes of those that are not.

use std::fs;

use super::*;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn pair(&self, stem: &str, names: &[&str]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(self.0.path().join(format!("{stem}.pem")), made.cert.pem()).unwrap();
        fs::write(self.0.path().join(format!("{stem}.key")), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn load(&self) -> (Certificates, Vec<String>) {
        Certificates::load(self.0.path().to_owned(), &World::system()).unwrap()
    }
}

fn shown(certificates: &Certificates, host: Option<&str>) -> Option<Vec<u8>> {
    certificates.0.current.load().find(host).map(|certified| certified.cert[0].to_vec())
}

#[test]
fn each_name_has_its_pair_and_strangers_have_none() {
    let directory = Directory::new();
    let (one, two) =
        (directory.pair("a", &["one.example"]), directory.pair("b", &["Two.example", "*.two.example"]));
    let (certificates, problems) = directory.load();
    assert!(problems.is_empty(), "{problems:?}");
    for (host, expected) in [
        (Some("one.example"), Some(&one)),
        (Some("two.example"), Some(&two)),
        (Some("a.two.example"), Some(&two)),
        (Some("a.b.two.example"), None),
        (Some("*.two.example"), Some(&two)),
        (Some("x.one.example"), None),
        (Some(""), None),
        (None, None),
    ] {
        assert_eq!(shown(&certificates, host).as_ref(), expected, "{host:?}");
    }
}

#[test]
fn the_default_pair_is_for_those_who_ask_for_nobody() {
    let directory = Directory::new();
    let default = directory.pair("default", &["one.example"]);
    let (certificates, _) = directory.load();
    assert_eq!(shown(&certificates, None).as_ref(), Some(&default));
    assert_eq!(shown(&certificates, Some("one.example")).as_ref(), Some(&default));
    assert_eq!(shown(&certificates, Some("two.example")), None);
}

#[test]
fn what_breaks_is_said_once_and_keeps_what_it_had() {
    let directory = Directory::new();
    let one = directory.pair("one", &["one.example"]);
    let (certificates, _) = directory.load();
    assert_eq!(certificates.reload().unwrap(), None, "nothing has changed");

    fs::write(directory.0.path().join("one.key"), "no key").unwrap();
    let problems = certificates.reload().unwrap().unwrap();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("one.key: holds no private key in PEM form"), "{problems:?}");
    assert_eq!(shown(&certificates, Some("one.example")).as_ref(), Some(&one));

    let two = directory.pair("two", &["two.example"]);
    assert_eq!(certificates.reload().unwrap().unwrap(), Vec::<String>::new(), "it was said already");
    assert_eq!(shown(&certificates, Some("two.example")).as_ref(), Some(&two));
    assert_eq!(shown(&certificates, Some("one.example")).as_ref(), Some(&one));

    let renewed = directory.pair("one", &["one.example"]);
    certificates.reload().unwrap();
    assert_eq!(shown(&certificates, Some("one.example")).as_ref(), Some(&renewed));
    fs::remove_file(directory.0.path().join("one.pem")).unwrap();
    fs::remove_file(directory.0.path().join("one.key")).unwrap();
    certificates.reload().unwrap();
    assert_eq!(shown(&certificates, Some("one.example")), None, "it was taken away on purpose");
}

#[test]
fn pairs_that_cannot_be_used_are_left_out_with_the_reason() {
    let directory = Directory::new();
    let path = |name: &str| directory.0.path().join(name);
    let first = directory.pair("first", &["one.example"]);
    directory.pair("second", &["one.example", "two.example"]);
    directory.pair("other", &["three.example"]);
    fs::copy(path("other.key"), path("swapped.key")).unwrap();
    fs::copy(path("first.pem"), path("swapped.pem")).unwrap();
    fs::write(path("alone.pem"), "").unwrap();
    directory.pair("nameless", &[]);
    fs::write(path("notes.txt"), "no matter").unwrap();
    let (certificates, problems) = directory.load();
    for expected in [
        "alone.pem: is empty",
        "swapped.key: is not the key of",
        "nameless.pem: has no DNS name",
        "second.pem: `one.example` is shown with another pair already",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert_eq!(shown(&certificates, Some("one.example")).as_ref(), Some(&first));
    assert!(shown(&certificates, Some("two.example")).is_some());
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    assert!(Certificates::load("/nowhere/at/all".into(), &World::system()).is_err());
}
