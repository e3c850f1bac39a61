//! Deadlines that cost nothing until they pass: one coarse clock for the tasks of one runtime.
//!
//! A timer of the runtime costs a registration and its removal, which is too much for what happens with every request and
//! almost never comes to pass. Here setting a deadline writes one number; the clock compares them all ten times a second.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::task;

/// A coarse clock. Clones are the same clock; it runs while there are alarms.
#[derive(Debug, Clone, Default)]
pub struct Ticker(Rc<State>);

#[derive(Debug, Default)]
struct State {
    now: Cell<u32>,
    running: Cell<bool>,
    slots: RefCell<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    deadline: u32,
    due: bool,
    waker: Option<Waker>,
}

/// A span of time as the clock counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks(u32);

/// One task's deadline, which is not set at first.
#[derive(Debug)]
pub struct Alarm {
    clock: Rc<State>,
    at: usize,
}

impl Ticks {
    /// At least this long, and less than two ticks longer.
    pub fn at_least(span: Duration) -> Self {
        let ticks = span.as_millis().div_ceil(TICK.as_millis()) + 1;
        Self(u32::try_from(ticks).unwrap_or(NEVER))
    }
}

impl Ticker {
    /// An alarm for the task that makes it.
    pub fn alarm(&self) -> Alarm {
        if !self.0.running.replace(true) {
            task::spawn_detached("ticker", Rc::clone(&self.0).run());
        }
        let mut slots = self.0.slots.borrow_mut();
        let slot = Slot { deadline: NEVER, due: false, waker: None };
        let at = slots.free.pop().unwrap_or(slots.slots.len());
        match slots.slots.get_mut(at) {
            Some(free) => *free = slot,
            None => slots.slots.push(slot),
        }
        Alarm { clock: Rc::clone(&self.0), at }
    }
}

impl State {
    /// Ticks until there are no alarms left.
    async fn run(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        while self.slots.borrow().is_used() {
            ticks.tick().await;
            self.tick();
        }
        self.running.set(false);
    }

    fn tick(&self) {
        let now = self.now.get().saturating_add(1);
        self.now.set(now);
        for slot in self.slots.borrow_mut().slots.iter_mut().filter(|slot| slot.deadline <= now) {
            (slot.deadline, slot.due) = (NEVER, true);
            // By reference: to drop it here could drop the task, and its alarm with it.
            slot.waker.iter().for_each(Waker::wake_by_ref);
        }
    }
}

impl Slots {
    fn is_used(&self) -> bool {
        self.free.len() < self.slots.len()
    }
}

impl Alarm {
    /// It is due after `span` from now, whatever was set before.
    pub fn set(&self, span: Ticks) {
        self.change(self.clock.now.get().saturating_add(span.0));
    }

    /// It is never due, whatever was set before.
    pub fn clear(&self) {
        self.change(NEVER);
    }

    /// Ends when it is due. Only one task may wait for it at a time.
    pub async fn due(&self) {
        poll_fn(|cx| self.poll_due(cx)).await;
    }

    /// Whether it is due; if not, the task will be woken when it is.
    pub fn poll_due(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slots = self.clock.slots.borrow_mut();
        let slot = &mut slots.slots[self.at];
        if std::mem::take(&mut slot.due) {
            return Poll::Ready(());
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let old = slot.waker.replace(cx.waker().clone());
            drop(slots);
            drop(old);
        }
        Poll::Pending
    }

    /// The seconds that the clock has counted; for rates.
    pub fn second(&self) -> u32 {
        self.clock.now.get() / TICKS_PER_SECOND
    }

    fn change(&self, deadline: u32) {
        let slot = &mut self.clock.slots.borrow_mut().slots[self.at];
        (slot.deadline, slot.due) = (deadline, false);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut slots = self.clock.slots.borrow_mut();
        let waker = slots.slots[self.at].waker.take();
        slots.slots[self.at].deadline = NEVER;
        slots.free.push(self.at);
        drop(slots);
        drop(waker);
    }
}

/// How exactly time is told.
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SECOND: u32 = 10;
const NEVER: u32 = u32::MAX;

#[cfg(test)]
mod tests;
