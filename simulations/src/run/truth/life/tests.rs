//! Does a process bear what several faults do to it at once, and how much time did it have.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_node_that_two_faults_hold_down_comes_back_with_the_end_of_the_second() {
    let mut life = Life::default();
    assert!(life.hold(1, SECOND) && !life.hold(2, SECOND) && !life.runs());
    assert_eq!(life.release(1), None);
    let number = life.release(2).unwrap();
    assert!(life.is_wanted(number) && !life.runs(), "nobody has started it yet");
    life.start();
    assert!(life.runs() && life.is_well());
    assert_eq!(life.release(2), None, "it is not held");
}

#[test]
fn who_was_to_start_a_node_leaves_it_to_who_is_after_a_second_death() {
    let mut life = Life::default();
    life.hold(1, SECOND);
    let first = life.release(1).unwrap();
    assert!(life.hold(2, SECOND), "an attempt to start it ends");
    assert!(!life.is_wanted(first));
    let second = life.release(2).unwrap();
    assert!(!life.is_wanted(first) && life.is_wanted(second));
}

#[test]
fn a_node_that_is_stalled_twice_goes_on_when_both_are_over() {
    let mut life = Life::default();
    assert_eq!((life.stall(1, SECOND), life.stall(2, 2 * SECOND)), (Some(true), Some(false)));
    assert!(!life.unstall(2, 3 * SECOND) && life.stands_still() && !life.is_well());
    assert!(life.unstall(1, 4 * SECOND) && life.is_well());
    assert!(!life.unstall(1, 4 * SECOND), "it goes on already");
}

#[test]
fn a_process_that_dies_stands_still_and_leaves_no_longer() {
    let mut life = Life::default();
    life.stall(1, SECOND);
    life.leave(2, SECOND);
    life.hold(3, 2 * SECOND);
    assert_eq!(life.stall(4, 2 * SECOND), None, "there is no process");
    assert!(!life.leave(4, 2 * SECOND));
    life.release(3).unwrap();
    life.start();
    assert!(life.is_well());
    assert!(!life.unstall(1, 9 * SECOND) && !life.leaves_for(2) && !life.leave_for_good(2, 9 * SECOND));
}

#[test]
fn a_node_that_two_faults_told_to_leave_stays_away_until_both_are_over() {
    let mut life = Life::default();
    assert!(life.leave(1, SECOND) && life.leave(2, 2 * SECOND));
    assert_eq!(life.draining_since(), Some(SECOND), "the second tells it nothing new");
    assert!(life.leave_for_good(2, 7 * SECOND) && !life.leave_for_good(1, 7 * SECOND));
    assert!(!life.runs() && !life.leaves_for(1));
    assert_eq!(life.release(1), None);
    assert!(life.release(2).is_some());
}

#[test]
fn a_node_that_two_faults_told_to_leave_stays_once_none_wants_it_to() {
    let mut life = Life::default();
    life.leave(1, SECOND);
    life.leave(2, SECOND);
    assert!(life.leaves_for_others(1));
    life.keep(1);
    assert!(!life.is_well() && life.leaves_for(2) && !life.leaves_for_others(2));
    life.keep(2);
    assert!(life.is_well());
}

#[test]
fn who_leaves_and_stood_still_can_be_known_to_leave_since_then() {
    let mut life = Life::default();
    life.leave(1, SECOND);
    life.stall(2, 2 * SECOND);
    life.unstall(2, 6 * SECOND);
    assert_eq!(life.draining_since(), Some(6 * SECOND));
}

#[test]
fn what_a_node_stood_still_was_no_time_for_it() {
    let mut life = Life::default();
    let had = |life: &Life, seconds, at| life.had(seconds * SECOND, at * SECOND).as_secs();
    assert_eq!(had(&life, 5, 20), 15);
    life.stall(1, 5 * SECOND);
    assert_eq!([had(&life, 5, 5), had(&life, 2, 15)], [0, 3], "it still stands still");
    life.unstall(1, 15 * SECOND);
    life.stall(1, 17 * SECOND);
    life.unstall(1, 18 * SECOND);
    assert_eq!([had(&life, 2, 20), had(&life, 3, 20), had(&life, 5, 20), had(&life, 5, 30)], [18, 16, 4, 25]);
}

#[test]
fn a_wrong_clock_makes_more_or_less_of_time() {
    let mut life = Life::default();
    life.drift(-500_000, 10 * SECOND);
    life.drift(1_000_000, 20 * SECOND);
    life.drift(0, 30 * SECOND);
    let own = |from, to| life.own_time(from * SECOND, to * SECOND).as_secs();
    assert_eq!([own(0, 10), own(8, 12), own(10, 20), own(20, 30), own(0, 40)], [10, 3, 5, 20, 45]);
}
