//! Three of the production nodes in one paused runtime: what they do is told as stories, in virtual time.

use std::fmt;
use std::time::Duration;

use graticule_geo::Coordinates;
use graticule_sim::Simulation;
use graticule_sim::fleet::{Answer, Fleet, FleetPlan, RegionPlan, TenantPlan};
use tokio::time::sleep;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

const EU: &str = "eu-central-1";
const US: &str = "us-east-1";
const AP: &str = "ap-southeast-1";
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn plan() -> FleetPlan {
    let region = |name: &str, country: &str, latitude, longitude| RegionPlan {
        name: name.to_owned(),
        country: country.to_owned(),
        coordinates: Coordinates::new(latitude, longitude).unwrap(),
    };
    let tenant = |id: &str, residency: &str, pools: &[&str]| TenantPlan {
        id: id.to_owned(),
        residency: residency.to_owned(),
        pools: pools.iter().map(|&region| region.to_owned()).collect(),
    };
    let everywhere = ["eu-central", "us-east", "ap-southeast"];
    FleetPlan {
        regions: vec![
            region("eu-central", "DE", 50.11, 8.68),
            region("us-east", "US", 39.04, -77.49),
            region("ap-southeast", "SG", 1.29, 103.85),
        ],
        nodes_per_region: 1,
        tenants: vec![
            tenant("berlin", "allow = [\"set:EU\"]", &everywhere),
            tenant(
                "zurich",
                "allow = [\"set:EU\"]\nfallback = [[\"country:CH\", \"country:GB\"]]",
                &everywhere,
            ),
            tenant("globe", "allow = [\"any\"]", &everywhere),
        ],
    }
}

/// Runs a story of this fleet, from the moment when all nodes have met.
fn story<T: Send + 'static>(seed: u64, tell: impl AsyncFnOnce(Simulation, Fleet) -> T + Send + 'static) -> T {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_timer(VirtualTime).with_test_writer();
    // Another story may have done so already.
    let _ = log.try_init();
    Simulation::run(seed, |simulation| async move {
        let fleet = Fleet::start(&simulation, &plan()).await.unwrap();
        let met = fleet.until_whole(10 * SECOND).await.unwrap();
        eprintln!("met after {met:?}");
        tell(simulation, fleet).await
    })
    .unwrap()
}

struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        // Every simulation begins within a moment of the first line that its thread logs.
        thread_local!(static ORIGIN: tokio::time::Instant = tokio::time::Instant::now());
        write!(w, "{:>10.3}", ORIGIN.with(tokio::time::Instant::elapsed).as_secs_f64())
    }
}

#[test]
fn every_request_is_served_at_the_nearest_place_that_its_tenant_allows() {
    story(1, async |_, fleet| {
        for edge in [EU, US, AP] {
            for tenant in ["berlin", "zurich", "globe"] {
                let answer = fleet.get(edge, &format!("{tenant}.example"), "/").await.unwrap();
                let why = fleet.why(edge, tenant).await.unwrap();
                eprintln!("{edge} {tenant} {} {:?} {}", answer.status, answer.took, answer.text());
                eprintln!("   {why:?}");
            }
        }
        for receipt in fleet.received() {
            eprintln!("{receipt:?}");
        }
    });
}
