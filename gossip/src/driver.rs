//! Keeps chitchat going: says what there is to say, publishes what is heard, starts it again when it falls.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::{Announcement, Generation, MeshName, View};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::config::{Timing, chitchat_config};
use crate::harvest::{Harvest, Witness, harvest};
use crate::heard::Heard;
use crate::lane::Lane;
use crate::pace::Pace;
use crate::patience::Patience;
use crate::session::{Failure, Session, SessionEvent};
use crate::speakers::Speakers;
use crate::tally::Tally;

/// The driver, which lives as long as gossip does.
pub(crate) struct Driver {
    pub(crate) mesh: MeshName,
    /// What this node says, with the generation of the session that says it.
    pub(crate) own: Announcement,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) timing: Timing,
    pub(crate) next_generation: Box<dyn FnMut() -> Generation + Send>,
    pub(crate) lane: Lane,
    pub(crate) pace: Pace,
    pub(crate) speakers: Rc<RefCell<Speakers>>,
    pub(crate) announced: watch::Receiver<Announcement>,
    pub(crate) view: watch::Sender<Arc<View>>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) patience: Patience,
    pub(crate) heard: Heard,
    pub(crate) swept: Instant,
    pub(crate) example: Option<String>,
}

impl Driver {
    /// Starts chitchat once.
    ///
    /// It asks the seeds, and those whom an earlier start has met: seeds may have gone since.
    pub(crate) async fn session(&self) -> anyhow::Result<Session> {
        let view = Arc::clone(&self.view.borrow());
        let met = view.live().map(|announcement| announcement.mesh.base).take(MET_ASKED_MAX);
        let seeds: Vec<_> = self.seeds.iter().copied().chain(met).collect();
        let config = chitchat_config(&self.mesh, &self.own, &seeds, &self.timing);
        Session::start(config, &self.own, &self.lane).await
    }

    /// Runs until `stop` is sent or dropped.
    pub(crate) async fn run(mut self, mut session: Session, mut stop: oneshot::Receiver<()>) {
        let mut pause = RESTART_PAUSE_MIN;
        loop {
            let since = Instant::now();
            let failure = tokio::select! {
                biased;
                _ = &mut stop => return session.stop().await,
                failure = self.attend(&mut session) => failure,
            };
            drop(session);
            if since.elapsed() >= HEALTHY_AFTER {
                pause = RESTART_PAUSE_MIN;
            }
            tracing::error!(
                ?failure,
                ?pause,
                "gossip fell and is started again; the last view stands meanwhile"
            );
            session = tokio::select! {
                biased;
                _ = &mut stop => return,
                session = self.restart(&mut pause) => session,
            };
        }
    }

    /// Serves one session until it has to be given up.
    async fn attend(&mut self, session: &mut Session) -> Failure {
        let mut ticks = interval_at(Instant::now() + self.timing.interval, self.timing.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let served = tokio::select! {
                // Ticks first: after a lag they tell of it, before what chitchat makes of the lag is believed.
                biased;
                due = ticks.tick() => self.turn(session, due).await,
                Ok(()) = self.announced.changed() => self.say(session).await,
                event = session.event() => match event {
                    SessionEvent::Ended(failure) => Err(failure),
                    SessionEvent::Changed => self.publish(session).await,
                },
            };
            if let Err(failure) = served {
                return failure;
            }
        }
    }

    /// What is due every interval.
    async fn turn(&mut self, session: &Session, due: Instant) -> Result<(), Failure> {
        let now = Instant::now();
        self.patience.turn(due, now);
        self.speakers.borrow_mut().begin_interval(now);
        session.check().await?;
        if now.saturating_duration_since(self.swept) < SWEEP_INTERVAL {
            return Ok(());
        }
        self.swept = now;
        self.say(session).await
    }

    /// Says what was last announced. Who speaks, and from where, stays as it was at the start.
    async fn say(&mut self, session: &Session) -> Result<(), Failure> {
        self.take_announcement();
        session.say(&self.own).await?;
        self.publish(session).await
    }

    fn take_announcement(&mut self) {
        let announced = self.announced.borrow_and_update();
        self.own.software.clone_from(&announced.software);
        self.own.policy_digest.clone_from(&announced.policy_digest);
        self.own.fleet_version = announced.fleet_version;
        self.own.draining = announced.draining;
    }

    /// Publishes the view, if it is another one.
    pub(crate) async fn publish(&mut self, session: &Session) -> Result<(), Failure> {
        let now = Instant::now();
        let held = Arc::clone(&self.view.borrow());
        let harvest = session
            .look(|chitchat| {
                self.heard.note(chitchat, now);
                let speakers = &self.speakers.borrow();
                harvest(
                    chitchat,
                    &Witness {
                        own: &self.own,
                        speakers,
                        held: &held,
                        doubts_itself: self.patience.doubts_itself(now),
                        heard: &self.heard,
                        silence_max: self.pace.silence_max(),
                        now,
                    },
                )
            })
            .await?;
        self.report(&harvest);
        if let Some(timing) = self.pace.follow(harvest.view.live().count()) {
            self.patience.expect_silence(timing.silence_max());
        }
        if *held != harvest.view {
            self.view.send_replace(Arc::new(harvest.view));
        }
        Ok(())
    }

    fn report(&mut self, harvest: &Harvest) {
        self.tally.members_rejected.set(harvest.rejected);
        if self.example != harvest.example {
            self.example.clone_from(&harvest.example);
            if let Some(example) = &self.example {
                let rejected = harvest.rejected;
                tracing::warn!(rejected, example, "announcements were left out of the view");
            }
        }
    }

    /// Starts chitchat again, later and later if it keeps falling.
    async fn restart(&mut self, pause: &mut Duration) -> Session {
        loop {
            sleep(*pause).await;
            *pause = (*pause * 2).min(RESTART_PAUSE_MAX);
            self.tally.restarts.one();
            let generation = (self.next_generation)();
            // A counter that fails to rise must not make peers deaf to what is said from now on.
            self.own.generation = generation.max(Generation(self.own.generation.0.saturating_add(1)));
            self.take_announcement();
            self.patience.begin_again(Instant::now());
            match self.session().await {
                Ok(session) => return session,
                Err(error) => tracing::error!(%error, "gossip could not be started"),
            }
        }
    }
}

/// How often what nobody tells of is looked for: dead nodes forgotten, own values tampered with.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// One that answers is enough.
const MET_ASKED_MAX: usize = 16;
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(250);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A session that lasted this long did not fall because of how it was started.
const HEALTHY_AFTER: Duration = Duration::from_mins(1);
