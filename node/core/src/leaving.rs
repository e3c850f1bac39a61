//! When does a node that is told to leave stop accepting, and when is it gone?

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::Moment;

/// A node on its way out, or not.
///
/// First it says that it leaves and goes on as before, so that load balancers and peers notice (`delay`); then it takes
/// nothing new and finishes what it has; then it is gone. `deadline` counts from the first word, so it is what has to
/// be below the patience of whoever supervises the process.
#[derive(Debug, Clone)]
pub struct Leaving {
    settings: LeavingSettings,
    stage: Stage,
    /// Whether a signal has asked for the end: then it cannot be taken back.
    signalled: bool,
    outputs: VecDeque<LeavingOutput>,
}

/// How long the parts of leaving take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeavingSettings {
    /// From the first word to the last new connection.
    pub delay: Duration,
    /// From the first word to the end, whatever is still under way.
    pub deadline: Duration,
}

/// What a node is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeavingInput {
    /// An operator wants it to leave.
    Drain,
    /// An operator wants it to stay after all.
    Undrain,
    /// A signal to end has come. A second one ends it at once.
    Signal,
}

/// What the node is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeavingOutput {
    /// Say that it leaves: readiness, probes, gossip.
    Announce,
    /// Say that it stays.
    Retract,
    /// Take nothing new, and end what is idle.
    Close,
    /// End. Nothing follows.
    End(Ending),
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything that it had taken is done.
    Finished,
    /// Its deadline has passed with so much under way.
    Deadline(Occupancy),
    /// It was told twice, with so much under way.
    Interrupted(Occupancy),
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeavingStage {
    /// It stays.
    Staying,
    /// It has said that it leaves, and still accepts.
    Announced,
    /// It takes nothing new.
    Closing,
    /// It is gone, or about to be.
    Ended,
}

/// What a node has under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Clients' connections, and listeners that still accept some.
    pub connections: u64,
    /// Requests, relayed ones included.
    pub requests: u64,
}

/// Why a node cannot stay any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReturn {
    /// It takes nothing new already.
    Closing,
    /// A signal has told its process to end, and whoever sent it will see to that.
    Signalled,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Staying,
    Announced { since: Moment },
    Closing { since: Moment, look_at: Moment },
    Ended,
}

impl Leaving {
    /// A node that stays. A delay as long as the deadline or longer leaves no time to finish anything.
    pub fn new(settings: LeavingSettings) -> Self {
        Self { settings, stage: Stage::Staying, signalled: false, outputs: VecDeque::new() }
    }

    /// Takes what the node is told; an error if it cannot be done any more. `occupancy` is what it has under way.
    pub fn handle_input(
        &mut self,
        input: LeavingInput,
        occupancy: Occupancy,
        now: Moment,
    ) -> Result<LeavingStage, NoReturn> {
        match input {
            LeavingInput::Drain => self.begin(now),
            LeavingInput::Undrain => self.take_back()?,
            LeavingInput::Signal if self.signalled => self.end(Ending::Interrupted(occupancy)),
            LeavingInput::Signal => {
                self.signalled = true;
                self.begin(now);
            }
        }
        Ok(self.stage())
    }

    /// Time has passed; `occupancy` is what the node has under way now.
    pub fn handle_timeout(&mut self, occupancy: Occupancy, now: Moment) {
        if let Stage::Announced { since } = self.stage
            && now >= since + self.settings.delay
        {
            self.stage = Stage::Closing { since, look_at: now + LOOK_INTERVAL };
            self.outputs.push_back(LeavingOutput::Close);
        }
        if let Stage::Closing { since, look_at } = self.stage {
            // Not before a first interval: until then nobody has acted on what was said.
            if now >= look_at && occupancy == Occupancy::default() {
                self.end(Ending::Finished);
            } else if now >= since + self.settings.deadline {
                self.end(Ending::Deadline(occupancy));
            } else if now >= look_at {
                self.stage = Stage::Closing { since, look_at: now + LOOK_INTERVAL };
            }
        }
    }

    /// When [`Leaving::handle_timeout`] is to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Moment> {
        match self.stage {
            Stage::Staying | Stage::Ended => None,
            Stage::Announced { since } => Some(since + self.settings.delay),
            Stage::Closing { since, look_at } => Some(look_at.min(since + self.settings.deadline)),
        }
    }

    /// What is to be done next; to be asked until there is no more.
    pub fn poll_output(&mut self) -> Option<LeavingOutput> {
        self.outputs.pop_front()
    }

    /// How far it has come.
    pub fn stage(&self) -> LeavingStage {
        match self.stage {
            Stage::Staying => LeavingStage::Staying,
            Stage::Announced { .. } => LeavingStage::Announced,
            Stage::Closing { .. } => LeavingStage::Closing,
            Stage::Ended => LeavingStage::Ended,
        }
    }

    fn begin(&mut self, now: Moment) {
        if matches!(self.stage, Stage::Staying) {
            self.stage = Stage::Announced { since: now };
            self.say(LeavingOutput::Announce, LeavingOutput::Retract);
        }
    }

    fn take_back(&mut self) -> Result<(), NoReturn> {
        match self.stage {
            Stage::Staying => Ok(()),
            Stage::Announced { .. } if self.signalled => Err(NoReturn::Signalled),
            Stage::Announced { .. } => {
                self.stage = Stage::Staying;
                self.say(LeavingOutput::Retract, LeavingOutput::Announce);
                Ok(())
            }
            Stage::Closing { .. } | Stage::Ended => Err(NoReturn::Closing),
        }
    }

    /// Whoever changes their mind before anybody has acted has said nothing: so the queue stays as short as it is.
    fn say(&mut self, output: LeavingOutput, opposite: LeavingOutput) {
        if self.outputs.back() == Some(&opposite) {
            self.outputs.pop_back();
        } else {
            self.outputs.push_back(output);
        }
    }

    fn end(&mut self, ending: Ending) {
        if !matches!(self.stage, Stage::Ended) {
            self.stage = Stage::Ended;
            self.outputs.push_back(LeavingOutput::End(ending));
        }
    }
}

impl LeavingStage {
    /// The word for it in the admin API.
    pub fn label(self) -> &'static str {
        match self {
            Self::Staying => "serving",
            Self::Announced => "draining",
            Self::Closing => "closing",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for NoReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closing => {
                "the node takes no new connections any more and ends; start it again when it has"
            }
            Self::Signalled => {
                "a signal told the process to end, and whoever sent it waits for that; start it again when it has"
            }
        })
    }
}

impl std::error::Error for NoReturn {}

/// How often a closing node looks whether it is done.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
