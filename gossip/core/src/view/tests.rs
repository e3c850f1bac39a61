//! A view is the same whatever the order in which its parts were heard.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What one start of a node was heard to say.
#[derive(Debug, Clone)]
struct Heard {
    node: String,
    generation: u64,
    port: u16,
    software: &'static str,
    alive: bool,
    readable: bool,
}

impl Heard {
    fn of(node: &str, generation: u64, alive: bool) -> Self {
        Self { node: node.to_owned(), generation, port: 4400, software: "0.1.0", alive, readable: true }
    }

    fn add_to(&self, builder: &mut ViewBuilder) -> Result<(), AnnouncementError> {
        let mesh = format!("203.0.113.7:{} 1", self.port);
        let lookup = |key: &str| match key {
            "region" if !self.readable => Some("Not A Region"),
            "region" => Some(if self.node.as_str() < "n3" { "eu" } else { "us" }),
            "mesh" => Some(mesh.as_str()),
            "software" => Some(self.software),
            "documents" => Some("1"),
            "draining" => Some("no"),
            _ => None,
        };
        builder.add(&self.node, Generation(self.generation), lookup, self.alive)
    }
}

fn heard() -> impl Strategy<Value = Heard> {
    (0u8..6, 1u64..4, 4400u16..4403, any::<bool>(), any::<bool>(), prop::bool::weighted(0.9)).prop_map(
        |(node, generation, port, new, alive, readable)| Heard {
            node: format!("n{node}"),
            generation,
            port,
            software: if new { "0.2.0" } else { "0.1.0" },
            alive,
            readable,
        },
    )
}

fn view_of(nodes_max: usize, heard: &[Heard]) -> (View, bool) {
    let mut builder = ViewBuilder { nodes_max, ..ViewBuilder::default() };
    for one in heard {
        assert_eq!(one.add_to(&mut builder).is_ok(), one.readable);
    }
    let over_limit = builder.is_over_limit();
    (builder.build(), over_limit)
}

fn view(heard: &[Heard]) -> View {
    view_of(NODES_MAX, heard).0
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

proptest! {
    #[test]
    fn order_does_not_matter(
        heard in prop::collection::vec(heard(), 0..24),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..24),
        nodes_max in 1usize..8,
    ) {
        let mut other = heard.clone();
        for (a, b) in swaps.iter().filter(|_| !heard.is_empty()) {
            other.swap(a.index(heard.len()), b.index(heard.len()));
        }
        prop_assert_eq!(view_of(nodes_max, &heard), view_of(nodes_max, &other));
    }

    #[test]
    fn hearing_it_again_changes_nothing(heard in prop::collection::vec(heard(), 0..24)) {
        let twice: Vec<_> = heard.iter().chain(&heard).cloned().collect();
        prop_assert_eq!(view(&heard), view(&twice));
    }

    #[test]
    fn a_member_is_the_highest_live_generation(heard in prop::collection::vec(heard(), 0..24)) {
        let view = view(&heard);
        for member in view.members.values() {
            let name = member.announcement.node.as_str();
            let starts: Vec<_> = heard.iter().filter(|one| one.node == name && one.readable).collect();
            let alive = starts.iter().any(|one| one.alive);
            let newest = starts.iter().filter(|one| one.alive == alive).map(|one| one.generation).max();
            prop_assert_eq!(member.alive, alive);
            prop_assert_eq!(Some(member.announcement.generation.0), newest);
        }
    }

    #[test]
    fn a_view_is_bounded_and_keeps_the_living(heard in prop::collection::vec(heard(), 0..24), max in 1usize..8) {
        let (all, (view, over_limit)) = (view(&heard), view_of(max, &heard));
        prop_assert_eq!(view.members.len(), all.members.len().min(max));
        prop_assert_eq!(view.live().count(), all.live().count().min(max));
        prop_assert_eq!(over_limit, all.members.len() > max);
    }
}

#[test]
fn a_dead_start_with_a_higher_generation_does_not_hide_a_live_one() {
    let view = view(&[Heard::of("n1", u64::MAX, false), Heard::of("n1", 3, true)]);
    let member = view.member(&name("n1")).unwrap();
    assert_eq!((member.announcement.generation, member.alive), (Generation(3), true));
}

#[test]
fn a_restarted_node_is_seen_once_and_new() {
    let view = view(&[Heard::of("n1", 2, true), Heard::of("n1", 1, true)]);
    assert_eq!(view.members.len(), 1);
    assert_eq!(view.live().next().unwrap().generation, Generation(2));
}

#[test]
fn what_cannot_be_read_is_said_and_left_out() {
    let mut builder = ViewBuilder::default();
    let unreadable = Heard { readable: false, ..Heard::of("n1", 2, true) };
    assert_eq!(unreadable.add_to(&mut builder), Err(AnnouncementError::Malformed("region")));
    let nameless = Heard::of("../n1", 1, true);
    assert_eq!(nameless.add_to(&mut builder), Err(AnnouncementError::Malformed("node")));
    Heard::of("n1", 1, false).add_to(&mut builder).unwrap();
    assert_eq!(builder.build().member(&name("n1")).unwrap().announcement.generation, Generation(1));
}

#[test]
fn views_are_asked_by_region_and_by_name() {
    let heard = ["n1", "n2", "n4"].map(|node| Heard::of(node, 1, node != "n2"));
    let view = view(&heard);
    let names = |region: &str| -> Vec<String> {
        view.live_in(&region.parse().unwrap()).map(|one| one.node.to_string()).collect()
    };
    assert_eq!(names("eu"), ["n1"]);
    assert_eq!(names("us"), ["n4"]);
    assert_eq!(view.live().count(), 2);
    let dead = view.address(&name("n2")).unwrap();
    assert_eq!(dead.base, "203.0.113.7:4400".parse().unwrap());
    assert_eq!(view.address(&name("n9")), None);
}

#[test]
fn no_flood_of_names_grows_a_view_over_its_limit() {
    let flood: Vec<_> = (0..NODES_MAX + 500).map(|i| Heard::of(&format!("f{i}"), 1, false)).collect();
    let mut builder = ViewBuilder::default();
    for one in &flood {
        one.add_to(&mut builder).unwrap();
    }
    Heard::of("zzz", 1, true).add_to(&mut builder).unwrap();
    let view = builder.build();
    assert_eq!(view.members.len(), NODES_MAX);
    assert!(view.member(&name("zzz")).is_some());
}

#[test]
fn a_node_that_had_said_it_was_leaving_has_left_and_is_not_dead() {
    let announcement = view(&[Heard::of("n1", 1, true)]).member(&name("n1")).unwrap().announcement.clone();
    let state = |alive, draining| {
        Member { announcement: Announcement { draining, ..announcement.clone() }, alive }.state().label()
    };
    assert_eq!([state(true, false), state(true, true)], ["alive", "draining"]);
    assert_eq!([state(false, true), state(false, false)], ["left", "dead"]);
}
