//! The node's handle on gossip: what it says, what it believes, and when it stops.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use graticule_gossip_core::{Announcement, Member, MeshAddress, View, ViewBuilder};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::carrier::Carrier;
use crate::codec::Codec;
use crate::config::GossipConfig;
use crate::driver::Driver;
use crate::heard::Heard;
use crate::lane::lane;
use crate::pace::{Pace, Rounds};
use crate::patience::Patience;
use crate::pump::Pump;
use crate::speakers::Speakers;
use crate::tally::{Counters, Tally};

/// Gossip as it runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Gossip {
    announced: watch::Sender<Announcement>,
    view: watch::Receiver<Arc<View>>,
    tally: Arc<Tally>,
    stop: oneshot::Sender<()>,
    task: AbortOnDrop,
}

/// Why gossip could not be started.
#[derive(Debug)]
pub enum GossipError {
    /// The announcement's mesh address is none that others could dial.
    NotDialable(MeshAddress),
    /// Chitchat would not start.
    Chitchat(String),
}

impl fmt::Display for GossipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDialable(mesh) => write!(
                f,
                "others cannot dial {} with {} workers: set the address to advertise",
                mesh.base, mesh.workers
            ),
            Self::Chitchat(error) => write!(f, "gossip could not be started: {error}"),
        }
    }
}

impl std::error::Error for GossipError {}

impl Gossip {
    /// Starts to gossip. To be called on a `LocalRuntime` or in a `LocalSet`, where its tasks then run.
    pub async fn start(
        config: GossipConfig,
        codec: Box<dyn Codec>,
        carrier: Carrier,
    ) -> Result<Self, GossipError> {
        let GossipConfig { mesh, announcement: own, seeds, timing, next_generation } = config;
        if MeshAddress::dialable(own.mesh.base, own.mesh.workers).is_none() {
            return Err(GossipError::NotDialable(own.mesh));
        }
        let tally = Arc::new(Tally::default());
        let speakers = Rc::new(RefCell::new(Speakers::default()));
        let pace = Pace::new(&timing);
        let (lane, lane_end) = lane(own.mesh.base, &tally, Rounds::new(&pace, timing.interval));
        let (announced, announcements) = watch::channel(own.clone());
        let (views, view) = watch::channel(Arc::new(view_of_one(&own)));
        let pump = Pump {
            mesh: mesh.clone(),
            codec,
            carrier,
            lane: lane_end,
            speakers: Rc::clone(&speakers),
            tally: Arc::clone(&tally),
        };
        let driver = Driver {
            mesh,
            own,
            seeds,
            patience: Patience::new(timing.interval, timing.silence_max()),
            heard: Heard::default(),
            timing,
            next_generation,
            lane,
            pace,
            speakers,
            announced: announcements,
            view: views,
            tally: Arc::clone(&tally),
            swept: Instant::now(),
            example: None,
        };
        let session = driver.session().await.map_err(|error| GossipError::Chitchat(error.to_string()))?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::task::spawn_local(async move {
            tokio::select! {
                biased;
                () = driver.run(session, stopped) => {}
                () = pump.run() => {}
            }
        });
        Ok(Self { announced, view, tally, stop, task: AbortOnDrop(task) })
    }

    /// What this node believes of the mesh; it changes only when there is something new to believe. At first it knows
    /// only itself.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Says `announcement` from now on. Name, region, generation and address stay those given at the start; what is
    /// said already is not said again.
    pub fn announce(&self, announcement: Announcement) {
        self.announced.send_replace(announcement);
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.tally.counters()
    }

    /// Stops within a second. Peers are not told: they see this node die, or saw it say before that it drains.
    pub async fn stop(self) {
        let Self { stop, mut task, .. } = self;
        let _ = stop.send(());
        let _ = (&mut task.0).await;
    }
}

fn view_of_one(own: &Announcement) -> View {
    let mut builder = ViewBuilder::default();
    builder.add_member(Member { announcement: own.clone(), alive: true });
    builder.build()
}

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
