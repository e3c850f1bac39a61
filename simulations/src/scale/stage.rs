//! A fleet of any size, as a scenario: nodes in regions all over the Earth, a hundred requests a second, and a death.

use std::fmt::Write;
use std::io;

use graticule_node_core::document::Source;

use crate::fleet::RegionPlan;
use crate::scenario::Scenario;

/// How many nodes such a fleet can have.
pub const NODES_MAX: u16 = PLACES.len() as u16 * RegionPlan::NODES_MAX as u16;

/// The scenario of a fleet of so many nodes; an error if it has more than [`NODES_MAX`], or fewer than regions.
pub fn scenario(nodes: u16) -> io::Result<Scenario> {
    let name = format!("scale-{nodes}");
    let (scenario, found) = Scenario::parse(&name, &Source::new(format!("{name}.toml"), text(nodes)));
    scenario.ok_or_else(|| {
        let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
        io::Error::new(io::ErrorKind::InvalidInput, lines.join("\n"))
    })
}

/// The same as text.
pub fn text(nodes: u16) -> String {
    let places = &PLACES[..if nodes <= SMALL_NODES_MAX { SMALL_PLACES } else { PLACES.len() }];
    // A fleet that gossips less often waits longer before it believes in a death.
    let (convergence, duration) = if nodes <= QUICK_NODES_MAX { ("3s", "26s") } else { ("16s", "30s") };
    let mut text = format!(
        "title = \"{nodes} nodes in {} regions, of which one dies\"\nduration = \"{duration}\"\nconvergence = \"{convergence}\"\n",
        places.len()
    );
    let (each, more) = (nodes / places.len() as u16, usize::from(nodes) % places.len());
    for (at, (name, country, latitude, longitude)) in places.iter().enumerate() {
        let nodes = each + u16::from(at < more);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n[regions.{name}]\ncountry = \"{country}\"\nlatitude = {latitude}\nlongitude = {longitude}\nnodes = {nodes}\nbackends = 2\nbackend_latency = \"5ms\"\n"
        );
    }
    text + LOAD
}

const LOAD: &str = r#"
[tenants.union]
pools = ["any"]
residency = { allow = ["set:EU"] }

[tenants.globe]
pools = ["any"]
residency = { allow = ["any"] }

[load.union]
tenant = "union"
edges = ["any"]
per_second = 50
tries_others = true

[load.globe]
tenant = "globe"
edges = ["any"]
per_second = 50
tries_others = true

[[fault]]
kind = "crash"
at = "12s"
nodes = ["eu-west-1"]

[[objective]]
kind = "availability"
least = 1
"#;

/// The first of them are those of the generated faults.
const PLACES: [(&str, &str, f64, f64); 10] = [
    ("eu-central", "DE", 50.11, 8.68),
    ("eu-west", "IE", 53.35, -6.26),
    ("us-east", "US", 39.04, -77.49),
    ("us-west", "US", 45.6, -121.2),
    ("sa-east", "BR", -23.55, -46.63),
    ("af-south", "ZA", -33.92, 18.42),
    ("ap-south", "IN", 19.08, 72.88),
    ("ap-southeast", "SG", 1.35, 103.82),
    ("ap-northeast", "JP", 35.68, 139.69),
    ("eu-north", "SE", 59.33, 18.07),
];
/// Fleets up to this size have [`SMALL_PLACES`] regions.
const SMALL_NODES_MAX: u16 = 9;
const SMALL_PLACES: usize = 3;
/// Up to here gossip speaks every quarter of a second; beyond, up to four times less often.
const QUICK_NODES_MAX: u16 = 50;
