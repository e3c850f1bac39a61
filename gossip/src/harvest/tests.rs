//! The view is what chitchat holds, less what is unreadable or refuted, and never without this node.

use std::collections::HashSet;

use chitchat::{DeletionStatus, VersionedValue};
use graticule_gossip_core::MeshAddress;
use tokio::sync::watch;

use super::*;
use crate::config::{Timing, chitchat_config};

fn announcement(node: &str, last: u8) -> Announcement {
    Announcement {
        node: node.parse().unwrap(),
        region: "eu-central".parse().unwrap(),
        generation: Generation(1),
        mesh: MeshAddress { base: ([203, 0, 113, last], 4400).into(), workers: 1 },
        software: "0.1.0".to_owned(),
        fleet_version: 1,
        policy_digest: String::new(),
        draining: false,
    }
}

/// What node n1 holds, and what it believes of that.
struct Holder {
    chitchat: Chitchat,
    own: Announcement,
    speakers: Speakers,
    held: View,
    doubts_itself: bool,
    heard: Heard,
    silence_max: Duration,
}

impl Holder {
    fn new() -> Self {
        let own = announcement("n1", 1);
        let (_seeds, seeds) = watch::channel(HashSet::new());
        let config = chitchat_config(&"test-mesh".parse().unwrap(), &own, &[], &Timing::default());
        let chitchat = Chitchat::with_chitchat_id_and_seeds(config, seeds, Vec::new());
        Self {
            chitchat,
            own,
            speakers: Speakers::default(),
            held: View::default(),
            doubts_itself: false,
            heard: Heard::default(),
            silence_max: Duration::ZERO,
        }
    }

    fn hears(mut self, announcement: &Announcement) -> Self {
        let values = announcement.to_values();
        let id =
            ChitchatId::new(announcement.node.as_str(), announcement.generation.0, announcement.mesh.base);
        self.hear(&id, values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
        self
    }

    fn hear(&mut self, id: &ChitchatId, values: Vec<(String, String)>) {
        let versioned = values.into_iter().zip(1..).map(|((key, value), version)| {
            (key, VersionedValue { value, version, status: DeletionStatus::Set })
        });
        self.chitchat.reset_node_state_if_update(id, versioned, 9, 0);
    }

    fn harvest(&self) -> Harvest {
        let now = Instant::now();
        let Self { own, speakers, held, heard, .. } = self;
        let (doubts_itself, silence_max) = (self.doubts_itself, self.silence_max);
        harvest(&self.chitchat, &Witness { own, speakers, held, doubts_itself, heard, silence_max, now })
    }

    fn members(&self) -> Vec<(String, bool)> {
        let members = self.harvest().view.members;
        members.iter().map(|(name, member)| (name.to_string(), member.alive)).collect()
    }
}

fn member(node: &str, alive: bool) -> (String, bool) {
    (node.to_owned(), alive)
}

#[tokio::test(start_paused = true)]
async fn a_node_is_in_its_own_view_as_it_is_whatever_others_say_of_it() {
    let mut liar = announcement("n1", 1);
    liar.draining = true;
    let holder = Holder::new().hears(&liar).hears(&announcement("n1", 5));
    let view = holder.harvest().view;
    assert_eq!(view.members.len(), 1);
    assert_eq!(view.live().collect::<Vec<_>>(), [&holder.own]);
}

#[tokio::test(start_paused = true)]
async fn who_has_shown_no_heartbeat_is_not_alive() {
    let holder = Holder::new().hears(&announcement("n2", 2));
    assert_eq!(holder.members(), [member("n1", true), member("n2", false)]);
    assert_eq!(holder.harvest().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn who_doubts_itself_declares_nobody_dead_and_forgets_nobody() {
    let mut holder = Holder::new().hears(&announcement("n2", 2)).hears(&announcement("n3", 3));
    let mut builder = ViewBuilder::default();
    for (node, last, alive) in [("n2", 2, true), ("n3", 3, false), ("n4", 4, true)] {
        builder.add_member(Member { announcement: announcement(node, last), alive });
    }
    holder.held = builder.build();
    assert_eq!(holder.members(), [member("n1", true), member("n2", false), member("n3", false)]);
    holder.doubts_itself = true;
    let kept = [member("n1", true), member("n2", true), member("n3", false), member("n4", true)];
    assert_eq!(holder.members(), kept);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_dead_before_a_silence_that_is_long_at_the_pace_of_the_fleet() {
    let mut holder = Holder::new().hears(&announcement("n2", 2)).hears(&announcement("n3", 3));
    let mut builder = ViewBuilder::default();
    for (node, last, alive) in [("n2", 2, true), ("n3", 3, false)] {
        builder.add_member(Member { announcement: announcement(node, last), alive });
    }
    holder.held = builder.build();
    holder.silence_max = Duration::from_secs(8);
    holder.heard.note(&holder.chitchat, Instant::now());
    let alive = [member("n1", true), member("n2", true), member("n3", false)];
    assert_eq!(holder.members(), alive);
    tokio::time::advance(Duration::from_millis(7_999)).await;
    holder.heard.note(&holder.chitchat, Instant::now());
    assert_eq!(holder.members(), alive, "no heartbeat since, and still too soon");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(holder.members(), [member("n1", true), member("n2", false), member("n3", false)]);
}

#[tokio::test(start_paused = true)]
async fn doubt_does_not_revive_a_newer_start() {
    let mut restarted = announcement("n2", 2);
    restarted.generation = Generation(2);
    let mut holder = Holder::new().hears(&restarted);
    holder.doubts_itself = true;
    let mut builder = ViewBuilder::default();
    builder.add_member(Member { announcement: announcement("n2", 2), alive: true });
    holder.held = builder.build();
    assert_eq!(holder.members(), [member("n1", true), member("n2", false)]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_another_certificate_speaks_from_is_refused() {
    let mut holder = Holder::new().hears(&announcement("zoe", 9));
    holder.speakers.hear(announcement("zoe", 9).mesh.base, &"mallory".parse().unwrap(), Instant::now());
    let harvest = holder.harvest();
    assert_eq!((harvest.view.members.len(), harvest.rejected), (1, 1));
    assert!(harvest.example.unwrap().contains("another certificate speaks from its address"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_left_out_and_said() {
    let mut holder = Holder::new().hears(&announcement("n2", 2));
    let values =
        |mesh: &str| vec![("region".to_owned(), "eu".to_owned()), ("mesh".to_owned(), mesh.to_owned())];
    let id = |node: &str| ChitchatId::new(node, 1, ([203, 0, 113, 7], 4400).into());
    holder.hear(&id("n7"), values("0.0.0.0:4400 1"));
    holder.hear(&id(&"evil\n".repeat(1_000)), values("203.0.113.7:4400 1"));
    let harvest = holder.harvest();
    assert_eq!((harvest.view.members.len(), harvest.rejected), (2, 2));
    assert!(harvest.example.unwrap().len() < 300, "a hostile name does not fill the log");
}

#[tokio::test(start_paused = true)]
async fn who_announces_another_address_than_it_gossips_from_is_left_out() {
    let mut holder = Holder::new();
    let values = announcement("n2", 2).to_values();
    let elsewhere = ChitchatId::new("n2", 1, ([203, 0, 113, 77], 4400).into());
    holder.hear(&elsewhere, values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    assert_eq!(holder.harvest().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn of_whom_nothing_is_known_yet_nothing_is_said() {
    let mut holder = Holder::new();
    holder.hear(&ChitchatId::new("n2", 1, ([203, 0, 113, 2], 4400).into()), Vec::new());
    let harvest = holder.harvest();
    assert_eq!((harvest.view.members.len(), harvest.rejected, harvest.example), (1, 0, None));
}
