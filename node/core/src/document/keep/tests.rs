//! What goes on while documents are broken.

use proptest::prelude::*;

use super::*;
use crate::document::load;
use crate::document::testing::{FLEET, fleet_source, loaded, shown, tenant, tenant_known_by};
use crate::policy::Policy;

const EU: &str = "allow = [\"set:EU\"]";
const ANYWHERE: &str = "allow = [\"any\"]";
const BROKEN: &str = "allow = [\"EU\"]";

fn reload(previous: &Loaded, tenants: &[Source]) -> Reloaded {
    load_keeping(Some(&previous.documents), &fleet_source(), tenants)
}

fn ids<'a>(ids: impl IntoIterator<Item = &'a TenantId>) -> Vec<&'a str> {
    ids.into_iter().map(TenantId::as_str).collect()
}

fn served(policy: &Policy) -> Vec<&str> {
    ids(policy.tenants.iter().map(|tenant| &tenant.id))
}

/// How many regions a tenant may be served in.
fn reach(reloaded: &Reloaded, id: &str) -> usize {
    let policy = &reloaded.loaded.as_ref().unwrap().policy;
    let index = policy.tenant_by_id(&id.parse().unwrap()).unwrap();
    policy.tenant(index).unwrap().residency.reach().len()
}

#[test]
fn right_documents_load_as_they_do_otherwise() {
    let tenants = [tenant("a", ANYWHERE), tenant("b", ANYWHERE)];
    let reloaded = load_keeping(None, &fleet_source(), &tenants);
    assert_eq!(reloaded.diagnostics, []);
    assert!(reloaded.kept.is_empty() && reloaded.absent.is_empty());
    let expected = load(&fleet_source(), &tenants).unwrap().policy.digest;
    assert_eq!(reloaded.loaded.unwrap().policy.digest, expected);
}

#[test]
fn a_broken_document_keeps_the_last_good_one_of_that_tenant_alone() {
    let before = loaded(&[tenant("a", EU), tenant("b", EU)]);
    let after = reload(&before, &[tenant("a", BROKEN), tenant("b", ANYWHERE)]);
    assert_eq!(ids(&after.kept), ["a"]);
    assert_eq!((reach(&after, "a"), reach(&after, "b")), (2, 5));
    assert!(shown(&after.diagnostics).starts_with("tenants/a.toml:6:10: error: `EU` is no place"));
    // The last good form survives any number of reloads.
    let again = reload(after.loaded.as_ref().unwrap(), &[tenant("a", BROKEN), tenant("b", EU)]);
    assert_eq!((reach(&again, "a"), reach(&again, "b")), (2, 2));
}

#[test]
fn a_broken_document_without_a_good_one_before_it_is_not_served() {
    let after = load_keeping(None, &fleet_source(), &[tenant("a", BROKEN), tenant("b", EU)]);
    assert_eq!(ids(&after.absent), ["a"]);
    assert_eq!(served(&after.loaded.unwrap().policy), ["b"]);
}

#[test]
fn a_document_that_is_gone_takes_its_tenant_with_it() {
    let before = loaded(&[tenant("a", EU), tenant("b", EU)]);
    let after = reload(&before, &[tenant("b", EU)]);
    assert!(after.kept.is_empty());
    assert_eq!(served(&after.loaded.unwrap().policy), ["b"]);
}

#[test]
fn a_document_that_cannot_be_read_at_all_is_known_by_its_file() {
    let before = loaded(&[tenant("a", EU), tenant("b", EU)]);
    let unreadable = Source::new("tenants/a.toml", b"\xff".to_vec());
    let after = reload(&before, &[unreadable]);
    assert_eq!(ids(&after.kept), ["a"]);
    assert_eq!(served(&after.loaded.unwrap().policy), ["a"]);
}

#[test]
fn a_document_that_does_not_say_whose_it_is_belongs_to_whom_its_file_belonged_before() {
    let in_file = |text: Vec<u8>| Source::new("tenants/Customer 7.toml", text);
    let before = loaded(&[in_file(tenant("a", EU).text), tenant("b", EU), tenant("c", EU)]);
    let unreadable = Source::unreadable("tenants/Customer 7.toml", "permission denied");
    for broken in [in_file(b"version = ".to_vec()), in_file(b"\xff".to_vec()), unreadable] {
        let after = reload(&before, &[broken, tenant("b", ANYWHERE)]);
        assert_eq!((ids(&after.kept), ids(&after.absent)), (vec!["a"], vec![]));
        assert_eq!(served(&after.loaded.as_ref().unwrap().policy), ["a", "b"], "and nobody else is kept");
        // Its last good form remembers its file through any number of reloads.
        let again = reload(after.loaded.as_ref().unwrap(), &[in_file(b"".to_vec()), tenant("b", EU)]);
        assert_eq!(served(&again.loaded.unwrap().policy), ["a", "b"]);
    }
}

#[test]
fn a_file_that_is_named_after_a_tenant_and_was_another_s_keeps_the_other() {
    let before = loaded(&[Source::new("tenants/b.toml", tenant("a", EU).text)]);
    let after = reload(&before, &[Source::new("tenants/b.toml", "version = ")]);
    assert_eq!((ids(&after.kept), ids(&after.absent)), (vec!["a"], vec![]));
}

#[test]
fn a_document_that_cannot_be_read_says_why() {
    let after = load_keeping(None, &fleet_source(), &[Source::unreadable("tenants/a.toml", "is a pipe")]);
    assert_eq!(ids(&after.absent), ["a"]);
    assert_eq!(shown(&after.diagnostics), "tenants/a.toml: error: cannot be read: is a pipe");
}

fn version(source: Source, version: u32) -> Source {
    let text = String::from_utf8(source.text).unwrap();
    Source::new(source.name, text.replace("version = 1\n", &format!("version = {version}\n")))
}

#[test]
fn a_version_that_falls_keeps_the_higher_one_of_that_tenant_alone() {
    let before = loaded(&[version(tenant("a", EU), 7), tenant("b", EU)]);
    let after = reload(&before, &[version(tenant("a", ANYWHERE), 6), version(tenant("b", ANYWHERE), 2)]);
    assert_eq!(ids(&after.kept), ["a"]);
    assert_eq!((reach(&after, "a"), reach(&after, "b")), (2, 5));
    assert_eq!(
        shown(&after.diagnostics),
        "tenants/a.toml:1:11: error: version 6 of tenant `a` is lower than version 7, which is in force\n  \
         help: versions only rise: write `version = 8`"
    );
    let risen = reload(after.loaded.as_ref().unwrap(), &[version(tenant("a", ANYWHERE), 8)]);
    assert_eq!((reach(&risen, "a"), risen.diagnostics), (5, vec![]));
}

#[test]
fn other_contents_under_the_same_version_take_force_with_a_warning() {
    let before = loaded(&[version(tenant("a", EU), 7)]);
    let after = reload(&before, &[version(tenant("a", ANYWHERE), 7)]);
    assert_eq!((ids(&after.kept), reach(&after, "a")), (vec![], 5));
    assert_eq!(
        shown(&after.diagnostics),
        "tenants/a.toml:1:11: warning: other contents under version 7 of tenant `a`, which is in force\n  \
         help: nodes with the one and with the other cannot be told apart by version: write `version = 8`"
    );
    assert_eq!(reload(after.loaded.as_ref().unwrap(), &[version(tenant("a", ANYWHERE), 7)]).diagnostics, []);
}

#[test]
fn a_fleet_version_that_falls_changes_nothing() {
    let before = loaded(&[tenant("a", EU)]);
    let older = Source::new("fleet.toml", FLEET.replace("version = 3", "version = 2"));
    let after = load_keeping(Some(&before.documents), &older, &[tenant("a", ANYWHERE)]);
    assert!(after.loaded.is_none());
    assert_eq!(ids(&after.kept), ["a"]);
    assert_eq!(
        shown(&after.diagnostics),
        "fleet.toml:2:11: error: version 2 of the fleet document is lower than version 3, which is in force\n  \
         help: versions only rise: write `version = 4`"
    );
}

#[test]
fn a_document_that_could_be_anybody_s_keeps_everybody() {
    let before = loaded(&[tenant("a", EU), tenant("b", EU)]);
    let unreadable = Source::new("tenants/Some File.toml", b"\xff".to_vec());
    let after = reload(&before, &[unreadable, tenant("b", ANYWHERE)]);
    assert_eq!(ids(&after.kept), ["a"]);
    assert_eq!(reach(&after, "b"), 5);
}

#[test]
fn a_broken_fleet_document_changes_nothing() {
    let before = loaded(&[tenant("a", EU)]);
    let broken = Source::new("fleet.toml", FLEET.replace("version = 3", ""));
    let after = load_keeping(Some(&before.documents), &broken, &[tenant("a", BROKEN)]);
    assert!(after.loaded.is_none());
    assert_eq!(ids(&after.kept), ["a"]);
    let found = shown(&after.diagnostics);
    assert!(found.contains("fleet.toml:1:1: error: missing key `version`"), "{found}");
    assert!(found.contains("tenants/a.toml:6:10: error"), "{found}");
}

#[test]
fn of_two_in_conflict_the_one_that_changed_goes_back() {
    let before = loaded(&[tenant("a", EU), tenant("b", EU)]);
    let after = reload(&before, &[tenant_known_by("a", "host = \"b.example\"", ANYWHERE), tenant("b", EU)]);
    assert_eq!(ids(&after.kept), ["a"]);
    assert_eq!((reach(&after, "a"), reach(&after, "b")), (2, 2));
    assert!(
        shown(&after.diagnostics)
            .contains("tenant `b` claims host `b.example`, which tenant `a` claims already")
    );
}

#[test]
fn a_newcomer_in_conflict_is_not_served() {
    let before = loaded(&[tenant("b", EU)]);
    let after = reload(&before, &[tenant_known_by("a", "host = \"b.example\"", EU), tenant("b", EU)]);
    assert_eq!(ids(&after.absent), ["a"]);
    assert_eq!(served(&after.loaded.unwrap().policy), ["b"]);
}

#[test]
fn a_host_can_move_from_one_tenant_to_another() {
    let before = loaded(&[tenant("a", EU), tenant("b", EU)]);
    let swapped =
        [tenant_known_by("a", "host = \"b.example\"", EU), tenant_known_by("b", "host = \"a.example\"", EU)];
    let after = reload(&before, &swapped);
    assert!(after.kept.is_empty(), "{}", shown(&after.diagnostics));
}

#[test]
fn going_back_may_bring_others_to_go_back() {
    let known_by = |id, hosts: &str| tenant_known_by(id, &format!("hosts = [{hosts}]"), EU);
    let before = loaded(&[known_by("a", "\"x\""), known_by("b", "\"y\""), known_by("c", "\"z\"")]);
    // c takes y from b, b takes x from a, and a's new document is broken: a keeps x, so b keeps y, so c keeps z.
    let after = reload(&before, &[tenant("a", BROKEN), known_by("b", "\"x\""), known_by("c", "\"y\"")]);
    assert_eq!(ids(&after.kept), ["a", "b", "c"]);
    let claims = after.loaded.unwrap().policy.claims;
    let found = ["x", "y", "z"].map(|host| claims.recognise(host, "/", &http::HeaderMap::new()).unwrap().0);
    assert_eq!(found, [0, 1, 2]);
}

#[test]
fn a_long_chain_of_going_back_ends_with_everybody_back() {
    let known_by =
        |at: usize, host: usize| tenant_known_by(&format!("t{at:03}"), &format!("host = \"h{host}\""), EU);
    let before = loaded(&(0..60).map(|at| known_by(at, at)).collect::<Vec<_>>());
    let mut moved: Vec<Source> = (1..60).map(|at| known_by(at, at - 1)).collect();
    moved.push(tenant("t000", BROKEN));
    let after = reload(&before, &moved);
    assert_eq!(after.kept.len(), 60);
    assert_eq!(after.loaded.unwrap().policy.digest, before.policy.digest);
}

#[test]
fn of_two_documents_for_one_tenant_none_is_taken() {
    let before = loaded(&[tenant("a", EU)]);
    let mut second = tenant("a", ANYWHERE);
    second.name = "tenants/z.toml".to_owned();
    let after = reload(&before, &[tenant("a", ANYWHERE), second]);
    assert_eq!(ids(&after.kept), ["a"]);
    assert_eq!(reach(&after, "a"), 2);
    assert!(shown(&after.diagnostics).contains("a second document for the tenant `a`"));
}

#[test]
fn a_later_fleet_tightens_what_it_does_not_know() {
    let before = loaded(&[tenant("a", "allow = [\"any\"]\ndeny = [\"set:NEAR\"]"), tenant("b", EU)]);
    let fleet = Source::new("fleet.toml", FLEET.replace("NEAR =", "FAR ="));
    let tenants = [tenant("a", "allow = [\"any\"]\ndeny = [\"set:NEAR\"]"), tenant("b", EU)];
    let after = load_keeping(Some(&before.documents), &fleet, &tenants);
    assert_eq!(ids(&after.kept), ["a"]);
    assert_eq!((reach(&after, "a"), reach(&after, "b")), (0, 2));
    assert!(shown(&after.diagnostics).contains("warning: the last good document of tenant `a` does not fit"));
}

#[test]
fn a_later_fleet_s_regions_are_found_by_name() {
    let before = loaded(&[tenant("a", EU)]);
    let fleet = Source::new(
        "fleet.toml",
        FLEET.replace("[regions]", "[regions]\nat = { country = \"AT\", latitude = 48, longitude = 16 }"),
    );
    let after = load_keeping(Some(&before.documents), &fleet, &[tenant("a", BROKEN)]);
    let policy = after.loaded.unwrap().policy;
    let tenant = &policy.tenants[0];
    let names: Vec<&str> =
        tenant.residency.reach().iter().map(|at| policy.fleet.region(at).unwrap().name.as_str()).collect();
    assert_eq!(names, ["de", "fr"]);
    assert!(tenant.pool(policy.fleet.region_by_name(&"de".parse().unwrap()).unwrap()).is_some());
}

/// What the document of one of four tenants may say; `None` if there is none.
fn any_document() -> impl Strategy<Value = Option<(usize, &'static str)>> {
    let rules = prop::sample::select(vec![EU, ANYWHERE, BROKEN]);
    prop::option::weighted(0.8, (0..5usize, rules))
}

fn documents(said: &[Option<(usize, &'static str)>]) -> Vec<Source> {
    let source = |(at, said): (usize, &Option<(usize, &str)>)| {
        said.map(|(host, rules)| {
            tenant_known_by(["a", "b", "c", "d"][at], &format!("host = \"h{host}\""), rules)
        })
    };
    said.iter().enumerate().filter_map(source).collect()
}

proptest! {
    /// Reload after reload, with broken documents and conflicts: everybody with a document is accounted for, what is
    /// right together takes force as a fresh start would take it, and what is broken stays as it was.
    #[test]
    fn reloads_account_for_every_tenant(
        rounds in prop::collection::vec(prop::collection::vec(any_document(), 4), 1..6),
    ) {
        let mut in_force: Option<Loaded> = None;
        for said in &rounds {
            let sources = documents(said);
            let after = load_keeping(in_force.as_ref().map(|loaded| &loaded.documents), &fleet_source(), &sources);
            let loaded = after.loaded.unwrap();

            let mut accounted: Vec<&str> = served(&loaded.policy);
            accounted.extend(ids(&after.absent));
            accounted.sort_unstable();
            let written = ["a", "b", "c", "d"].into_iter().zip(said).filter(|(_, said)| said.is_some());
            prop_assert_eq!(accounted, written.map(|(id, _)| id).collect::<Vec<_>>());

            match load(&fleet_source(), &sources) {
                Ok(fresh) => {
                    prop_assert_eq!(loaded.policy.digest, fresh.policy.digest);
                    prop_assert!(after.kept.is_empty() && after.absent.is_empty());
                }
                Err(_) => prop_assert!(!after.kept.is_empty() || !after.absent.is_empty()),
            }
            for id in &after.kept {
                let digest = |documents: &Documents| {
                    documents.tenants.iter().find(|document| document.id() == id).map(|found| found.digest())
                };
                let before = in_force.as_ref().and_then(|before| digest(&before.documents));
                prop_assert!(before.is_some());
                prop_assert_eq!(digest(&loaded.documents), before);
            }
            in_force = Some(loaded);
        }
    }
}
