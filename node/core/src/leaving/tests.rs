//! How leaving goes, in time that only the tests pass.

use proptest::prelude::*;

use super::*;

const DELAY: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(25);
const NOTHING: Occupancy = Occupancy { connections: 0, requests: 0 };
const BUSY: Occupancy = Occupancy { connections: 2, requests: 1 };

fn at(millis: u64) -> Moment {
    Moment::from_millis(1_000_000 + millis)
}

fn node() -> Leaving {
    Leaving::new(LeavingSettings { delay: DELAY, deadline: DEADLINE })
}

/// A node that was told to drain at zero.
fn draining() -> Leaving {
    let mut node = node();
    assert_eq!(node.handle_input(LeavingInput::Drain, BUSY, at(0)), Ok(LeavingStage::Announced));
    assert_eq!(outputs(&mut node), [LeavingOutput::Announce]);
    node
}

fn outputs(node: &mut Leaving) -> Vec<LeavingOutput> {
    std::iter::from_fn(|| node.poll_output()).collect()
}

/// Lets time pass up to `until`, calling when the node wants to be called; what it did, and when.
fn pass(
    node: &mut Leaving,
    until: Moment,
    occupancy: impl Fn(Moment) -> Occupancy,
) -> Vec<(Moment, LeavingOutput)> {
    let mut done = Vec::new();
    while let Some(timeout) = node.poll_timeout().filter(|timeout| *timeout <= until) {
        node.handle_timeout(occupancy(timeout), timeout);
        done.extend(outputs(node).into_iter().map(|output| (timeout, output)));
    }
    done
}

#[test]
fn a_node_that_nobody_tells_anything_stays() {
    let mut node = node();
    assert_eq!((node.poll_timeout(), node.stage()), (None, LeavingStage::Staying));
    node.handle_timeout(NOTHING, at(1_000_000));
    assert_eq!((outputs(&mut node), node.stage()), (vec![], LeavingStage::Staying));
}

#[test]
fn it_announces_at_once_closes_after_the_delay_and_ends_when_all_is_done() {
    let mut node = draining();
    node.handle_timeout(NOTHING, at(4_999));
    assert_eq!(
        (outputs(&mut node), node.stage()),
        (vec![], LeavingStage::Announced),
        "idle, and still accepts"
    );
    let done_at = at(7_003);
    let done = pass(&mut node, at(100_000), |now| if now >= done_at { NOTHING } else { BUSY });
    assert_eq!(done[0], (at(5_000), LeavingOutput::Close));
    let (ended_at, ending) = done[1];
    assert_eq!((done.len(), ending), (2, LeavingOutput::End(Ending::Finished)));
    assert!(ended_at >= done_at && ended_at.since(done_at) <= LOOK_INTERVAL, "{ended_at:?}");
    assert_eq!((node.stage(), node.poll_timeout()), (LeavingStage::Ended, None));
}

#[test]
fn a_node_without_requests_ends_only_after_it_has_closed() {
    let mut node = draining();
    node.handle_timeout(NOTHING, at(5_000));
    assert_eq!(outputs(&mut node), [LeavingOutput::Close], "what was accepted meanwhile is not counted yet");
    node.handle_timeout(NOTHING, at(5_009));
    assert_eq!(outputs(&mut node), []);
    node.handle_timeout(NOTHING, at(5_010));
    assert_eq!(outputs(&mut node), [LeavingOutput::End(Ending::Finished)]);
}

#[test]
fn what_does_not_end_is_cut_off_at_the_deadline_and_counted() {
    let mut node = draining();
    let done = pass(&mut node, at(100_000), |_| BUSY);
    let cut = LeavingOutput::End(Ending::Deadline(BUSY));
    assert_eq!(done, [(at(5_000), LeavingOutput::Close), (at(25_000), cut)]);
}

#[test]
fn a_drain_can_be_taken_back_while_the_delay_runs() {
    let mut node = draining();
    assert_eq!(node.handle_input(LeavingInput::Undrain, BUSY, at(4_999)), Ok(LeavingStage::Staying));
    assert_eq!((outputs(&mut node), node.poll_timeout()), (vec![LeavingOutput::Retract], None));
    // Another drain has the whole delay again.
    assert_eq!(node.handle_input(LeavingInput::Drain, BUSY, at(6_000)), Ok(LeavingStage::Announced));
    assert_eq!(node.poll_timeout(), Some(at(11_000)));
}

#[test]
fn once_it_has_closed_there_is_no_way_back() {
    let mut node = draining();
    node.handle_timeout(BUSY, at(5_000));
    let refused = node.handle_input(LeavingInput::Undrain, BUSY, at(5_001));
    assert_eq!(refused, Err(NoReturn::Closing));
    pass(&mut node, at(6_000), |_| NOTHING);
    assert_eq!(node.stage(), LeavingStage::Ended);
    assert_eq!(node.handle_input(LeavingInput::Undrain, NOTHING, at(6_001)), Err(NoReturn::Closing));
}

#[test]
fn what_a_signal_began_is_not_taken_back() {
    let mut node = node();
    assert_eq!(node.handle_input(LeavingInput::Signal, BUSY, at(0)), Ok(LeavingStage::Announced));
    assert_eq!(node.handle_input(LeavingInput::Undrain, BUSY, at(1)), Err(NoReturn::Signalled));
    assert_eq!(outputs(&mut node), [LeavingOutput::Announce]);
}

#[test]
fn a_first_signal_while_draining_changes_nothing_but_the_way_back() {
    let mut node = draining();
    assert_eq!(node.handle_input(LeavingInput::Signal, BUSY, at(1_000)), Ok(LeavingStage::Announced));
    assert_eq!((outputs(&mut node), node.poll_timeout()), (vec![], Some(at(5_000))));
    assert_eq!(node.handle_input(LeavingInput::Undrain, BUSY, at(1_001)), Err(NoReturn::Signalled));
}

#[test]
fn a_second_signal_ends_at_once_in_every_stage() {
    for passed in [0, 6_000] {
        let mut node = node();
        node.handle_input(LeavingInput::Signal, BUSY, at(0)).unwrap();
        pass(&mut node, at(passed), |_| BUSY);
        outputs(&mut node);
        assert_eq!(node.handle_input(LeavingInput::Signal, BUSY, at(passed)), Ok(LeavingStage::Ended));
        assert_eq!(outputs(&mut node), [LeavingOutput::End(Ending::Interrupted(BUSY))]);
        node.handle_input(LeavingInput::Signal, BUSY, at(passed)).unwrap();
        assert_eq!(outputs(&mut node), [], "it ends once");
    }
}

#[test]
fn without_a_delay_it_closes_at_once() {
    let mut node = Leaving::new(LeavingSettings { delay: Duration::ZERO, deadline: DEADLINE });
    node.handle_input(LeavingInput::Drain, BUSY, at(0)).unwrap();
    assert_eq!(node.poll_timeout(), Some(at(0)));
    node.handle_timeout(BUSY, at(0));
    assert_eq!(outputs(&mut node), [LeavingOutput::Announce, LeavingOutput::Close]);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Told(LeavingInput),
    Passed(u16),
    Occupied(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::sample::select(vec![LeavingInput::Drain, LeavingInput::Undrain, LeavingInput::Signal])
            .prop_map(Step::Told),
        (0u16..6_000).prop_map(Step::Passed),
        any::<bool>().prop_map(Step::Occupied),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_story_is_in_order_and_in_time(steps in prop::collection::vec(step(), 0..40)) {
        let mut node = node();
        let (mut now, mut occupancy, mut began) = (at(0), BUSY, None);
        let mut told = Vec::new();
        for step in steps {
            match step {
                Step::Told(input) => drop(node.handle_input(input, occupancy, now)),
                Step::Occupied(busy) => occupancy = if busy { BUSY } else { NOTHING },
                Step::Passed(millis) => {
                    let until = now + Duration::from_millis(millis.into());
                    told.extend(pass(&mut node, until, |_| occupancy).into_iter().map(|(_, output)| output));
                    now = until;
                }
            }
            told.extend(outputs(&mut node));
            began = if node.stage() == LeavingStage::Staying { None } else { began.or(Some(now)) };
            let overdue = began.is_some_and(|began| now >= began + DEADLINE);
            prop_assert!(!overdue || node.stage() == LeavingStage::Ended);
        }
        // Announce and Retract in turn, then at most one Close, then at most one End.
        let rank = |output: &LeavingOutput| match output {
            LeavingOutput::Announce | LeavingOutput::Retract => 0,
            LeavingOutput::Close => 1,
            LeavingOutput::End(_) => 2,
        };
        prop_assert!(told.is_sorted_by_key(rank), "{told:?}");
        prop_assert!(told.iter().filter(|output| rank(output) > 0).count() <= 2);
        let said = told.iter().filter(|output| rank(output) == 0);
        for (at, output) in said.enumerate() {
            let expected = if at % 2 == 0 { LeavingOutput::Announce } else { LeavingOutput::Retract };
            prop_assert_eq!(*output, expected);
        }
        let finished = told.contains(&LeavingOutput::End(Ending::Finished));
        prop_assert!(!finished || told.contains(&LeavingOutput::Close), "{told:?}");
    }
}
