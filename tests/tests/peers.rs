//! Who is let into the mesh, and that both ends say why somebody is not.

use std::fs;
use std::time::Duration;

use graticule_node_api::client;
use graticule_tests::{
    ATLANTIS, Ask, Certificate, EU_CENTRAL, Fleet, Guest, Node, Plan, US_EAST, ask, eventually, run, story,
    wall,
};

#[test]
fn a_node_of_another_mesh_is_refused() {
    story(Duration::from_mins(2), async {
        let mut fleet = plan().start().await;
        let elsewhere = Fleet::prepare(plan().in_mesh("elsewhere")).await;
        let out = fleet.scratch("stranger-certificate");
        let own = elsewhere.authority().issue("us-east", "stranger", &out).await;
        let mut stranger = guest(&fleet, "stranger", &elsewhere, &own);
        stranger.start();
        // Who dials is the first to see a certificate: the stranger trusts nobody here.
        let ours =
            "certificate of spiffe://trial/region/eu-central/node/eu-central-1 refused: no trusted authority";
        both_say(&fleet, &stranger, &[ours]).await;
        nobody_has_heard_of(&fleet, "stranger").await;

        // And nobody here trusts the stranger.
        fleet.node_mut("us-east-1").kill();
        fleet.node("us-east-1").redirect("eu-central-1", stranger.mesh);
        fleet.node_mut("us-east-1").start();
        let theirs =
            "certificate of spiffe://elsewhere/region/us-east/node/stranger refused: no trusted authority";
        says(fleet.node("us-east-1"), &[theirs]).await;
        says(&stranger, &[theirs]).await;
    });
}

#[test]
fn a_node_of_another_mesh_is_refused_also_where_both_trust_one_authority() {
    story(Duration::from_mins(2), async {
        let fleet = plan().start().await;
        let elsewhere = Fleet::prepare(plan().in_mesh("elsewhere")).await;
        // As when two meshes are given one bundle: every node of this fleet trusts both authorities from its next start on.
        let both = joined(&fleet, &elsewhere, "both.pem");
        let node = fleet.node("eu-central-1");
        fs::copy(&both, fleet.scratch("eu-central-1/ca.pem")).unwrap();
        eventually("the new authorities are read", LIMIT, async || {
            if node.log().contains("certificates reloaded") { Ok(()) } else { Err("not reloaded") }
        })
        .await;

        let out = fleet.scratch("stranger-certificate");
        let own = elsewhere.authority().issue("us-east", "stranger", &out).await;
        let mut stranger = guest(&fleet, "stranger", &elsewhere, &Certificate { authorities: both, ..own });
        stranger.start();
        both_say(&fleet, &stranger, &["another mesh than `elsewhere`"]).await;
        nobody_has_heard_of(&fleet, "stranger").await;
    });
}

#[test]
fn a_node_with_another_regions_name_is_refused() {
    story(Duration::from_mins(2), async {
        let mut fleet = plan().start().await;
        let out = fleet.scratch("impostor-certificate");
        // In order in itself, but the name is that of a node of another region.
        let certificate = fleet.authority().issue("us-east", "eu-central-1", &out).await;
        let seeds = [fleet.node("us-east-1").mesh];
        let mut impostor = fleet.guest(&Guest {
            home: "impostor",
            name: "eu-central-1",
            region: "us-east",
            documents: &fleet.documents(),
            certificate: &certificate,
            seeds: &seeds,
        });
        impostor.start();
        let reason = "a node of this name is connected from another region";
        says(fleet.node("us-east-1"), &[reason]).await;
        says(&impostor, &[reason]).await;

        // Also when the node is dialled as the one that was announced.
        fleet.node_mut("us-east-1").kill();
        fleet.node("us-east-1").redirect("eu-central-1", impostor.mesh);
        fleet.node_mut("us-east-1").start();
        says(fleet.node("us-east-1"), &["expected region `eu-central`"]).await;
        says(&impostor, &["expected region `eu-central`"]).await;
        let answer = ask(fleet.edge("us-east"), &Ask::get("eu-only.example", "/")).await;
        assert_eq!(answer.refusal().as_deref(), Some("no-compliant-region"));
    });
}

#[test]
fn a_node_of_a_region_that_the_fleet_does_not_know_is_refused() {
    story(Duration::from_mins(2), async {
        let fleet = plan().start().await;
        let larger = Fleet::prepare(Plan::new([EU_CENTRAL, US_EAST, ATLANTIS])).await;
        let out = fleet.scratch("atlantis-certificate");
        let certificate = fleet.authority().issue("atlantis", "atlantis-1", &out).await;
        let mut stranger = guest(&fleet, "atlantis-1", &larger, &certificate);
        stranger.start();
        both_say(&fleet, &stranger, &["the fleet document has no region of the certificate's name"]).await;
        nobody_has_heard_of(&fleet, "atlantis-1").await;
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    story(Duration::from_mins(2), async {
        let mut fleet = plan().start().await;
        let out = fleet.scratch("late-certificate");
        let end = wall() + Duration::from_secs(8);
        let certificate = fleet.authority().issue_until("us-east", "late", end, &out);
        let mut late = guest(&fleet, "late", &fleet, &certificate);
        late.start();
        eventually("a certificate is good until it ends", LIMIT, async || knows(&fleet, "late").await).await;
        let left = end.duration_since(wall()).unwrap_or_default();
        tokio::time::sleep(left + Duration::from_secs(1)).await;

        // Connections that stand may stay; there is no new one.
        fleet.node_mut("eu-central-1").kill();
        fleet.node_mut("eu-central-1").start();
        both_say(&fleet, &late, &["spiffe://trial/region/us-east/node/late", "it expired at"]).await;

        // And no new start.
        late.kill();
        let configuration = fleet.scratch("late/node.toml");
        let ran = run(["node", "--config", configuration.to_str().unwrap()]).await.ended_with(2);
        assert!(ran.stderr.contains("expired"), "{}", ran.stderr);
    });
}

fn plan() -> Plan {
    Plan::new([EU_CENTRAL, US_EAST])
        .tenant("eu-only", "[[match]]\nhost = \"eu-only.example\"\n[residency]\nallow = [\"set:EU\"]")
}

/// A node with documents of `home` that begins with the fleet's node eu-central-1.
fn guest(fleet: &Fleet, name: &str, home: &Fleet, certificate: &Certificate) -> Node {
    fleet.guest(&Guest {
        home: name,
        name,
        region: "us-east",
        documents: &home.documents(),
        certificate,
        seeds: &[fleet.node("eu-central-1").mesh],
    })
}

/// One file with the authorities of both.
fn joined(fleet: &Fleet, other: &Fleet, name: &str) -> std::path::PathBuf {
    let read = |fleet: &Fleet| fs::read_to_string(fleet.authority().bundle()).expect("a bundle");
    let path = fleet.scratch(name);
    fs::write(&path, format!("{}\n{}", read(fleet), read(other))).expect("the bundle is written");
    path
}

/// Waits until both logs have one line with all of `words`.
async fn both_say(fleet: &Fleet, guest: &Node, words: &[&str]) {
    says(fleet.node("eu-central-1"), words).await;
    says(guest, words).await;
}

async fn says(node: &Node, words: &[&str]) {
    eventually(&format!("{} says {words:?}", node.name), LIMIT, async || {
        let log = node.log();
        let said = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
        if said { Ok(()) } else { Err("not in its log") }
    })
    .await;
}

async fn knows(fleet: &Fleet, name: &str) -> Result<(), String> {
    let nodes = fleet.node("eu-central-1").call(&client::nodes()).await.map_err(|error| error.0)?;
    let found = nodes.iter().any(|node| node.name.as_str() == name && node.alive);
    if found { Ok(()) } else { Err(format!("{name} is not among {nodes:?}")) }
}

async fn nobody_has_heard_of(fleet: &Fleet, name: &str) {
    for node in &fleet.nodes {
        let nodes = node.call(&client::nodes()).await.expect("an answer of its admin API");
        assert!(
            nodes.iter().all(|other| other.name.as_str() != name),
            "{} knows {name}: {nodes:?}",
            node.name
        );
    }
}

const LIMIT: Duration = Duration::from_secs(15);
