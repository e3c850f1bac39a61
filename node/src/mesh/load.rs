//! How busy this node is: measured here, told to peers with every probe.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_node_core::mesh::Load;
use tokio::time::{MissedTickBehavior, interval};

use super::Tracking;
use crate::shared::Shared;
use crate::world::World;

/// Measures max(CPU, requests in flight / limit) and hands it to `tracking`, until the future is dropped.
///
/// `cores` is what this process can use: its workers, or the machine's cores if those are fewer.
pub async fn measure(
    world: World,
    shared: Arc<Shared>,
    tracking: Rc<Tracking>,
    cores: f64,
    in_flight_max: u32,
) {
    let mut ticks = interval(LOAD_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut load = Load::default();
    let (mut then, mut cpu_then) = (world.clock.now(), world.clock.cpu_time());
    loop {
        ticks.tick().await;
        let (now, cpu) = (world.clock.now(), world.clock.cpu_time());
        let elapsed = now.since(then).as_secs_f64().max(f64::EPSILON);
        let busy = cpu.saturating_sub(cpu_then).as_secs_f64() / elapsed / cores.max(1.0);
        load.observe(
            busy as f32,
            shared.in_flight.total().try_into().unwrap_or(u32::MAX),
            in_flight_max,
            now,
        );
        tracking.set_load(load.value());
        (then, cpu_then) = (now, cpu);
    }
}

/// Between two measurements.
const LOAD_INTERVAL: Duration = Duration::from_millis(100);
