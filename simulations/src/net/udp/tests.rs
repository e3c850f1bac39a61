//! Datagrams over the memory network, one by one.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use quinn::udp::{EcnCodepoint, RecvMeta};
use tokio::time::timeout;

use crate::testing::{at, datagram, pair, receive, udp};
use crate::{Recording, Simulation};

mod quic;

const SECOND: Duration = Duration::from_secs(1);

/// A datagram's contents and sender, or nothing within a second.
async fn heard(socket: &dyn quinn::AsyncUdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    timeout(SECOND, receive(socket)).await.ok().map(|(contents, meta)| (contents, meta.addr))
}

#[test]
fn segments_arrive_as_datagrams_with_their_marks() {
    Simulation::run(1, |simulation| async move {
        let (one, other) = pair(&simulation, 5);
        let (sender, receiver) = (udp(&one, "10.0.0.1:1"), udp(&other, "0.0.0.0:2"));
        let mut transmit = datagram("10.0.0.2:2", b"aaabbbc");
        transmit.segment_size = Some(3);
        transmit.ecn = Some(EcnCodepoint::Ect0);
        sender.try_send(&transmit).unwrap();
        for expected in [&b"aaa"[..], b"bbb", b"c"] {
            let (contents, meta) = receive(&*receiver).await;
            assert_eq!(contents, expected);
            assert_eq!((meta.addr, meta.stride), (at("10.0.0.1:1"), expected.len()));
            assert_eq!((meta.ecn, meta.dst_ip), (Some(EcnCodepoint::Ect0), Some(at("10.0.0.2:2").ip())));
        }
    })
    .unwrap();
}

#[test]
fn a_socket_for_both_families_sees_and_reaches_both() {
    Simulation::run(1, |simulation| async move {
        let (one, other) = pair(&simulation, 5);
        let both = udp(&other, "[::]:2");
        for (local, to, seen) in [
            ("10.0.0.1:1", "10.0.0.2:2", "[::ffff:10.0.0.1]:1"),
            ("[fd00::1]:1", "[fd00::2]:2", "[fd00::1]:1"),
        ] {
            let single = udp(&one, local);
            single.try_send(&datagram(to, b"ping")).unwrap();
            assert_eq!(heard(&*both).await.unwrap().1, at(seen));
            both.try_send(&datagram(seen, b"pong")).unwrap();
            assert_eq!(heard(&*single).await.unwrap().1, at(to));
        }
    })
    .unwrap();
}

#[test]
fn what_cannot_be_delivered_vanishes() {
    Simulation::run(1, |simulation| async move {
        let (one, other) = pair(&simulation, 5);
        let (sender, receiver) = (udp(&one, "10.0.0.1:1"), udp(&other, "10.0.0.2:2"));
        for to in ["10.0.0.2:3", "192.0.2.1:2", "[fd00::2]:2", "127.0.0.1:2"] {
            sender.try_send(&datagram(to, b"lost")).unwrap();
        }
        sender.try_send(&datagram("10.0.0.2:2", &[0; 1_473])).unwrap();
        assert_eq!(heard(&*receiver).await, None);
        sender.try_send(&datagram("10.0.0.2:2", &[0; 1_472])).unwrap();
        assert!(heard(&*receiver).await.is_some(), "as large as Ethernet takes");
        drop(receiver);
        sender.try_send(&datagram("10.0.0.2:2", b"closed")).unwrap();
        assert_eq!(
            heard(&*udp(&other, "10.0.0.2:2")).await.map(|(contents, _)| contents),
            Some(b"closed".into())
        );
    })
    .unwrap();
}

#[test]
fn a_queue_that_nobody_reads_is_bounded() {
    Simulation::run(1, |simulation| async move {
        let (one, other) = pair(&simulation, 5);
        let (sender, receiver) = (udp(&one, "10.0.0.1:1"), udp(&other, "10.0.0.2:2"));
        for _ in 0..3_000 {
            sender.try_send(&datagram("10.0.0.2:2", &[0; 1_024])).unwrap();
        }
        tokio::time::sleep(SECOND).await;
        let mut read = 0;
        while heard(&*receiver).await.is_some() {
            read += 1;
        }
        assert_eq!(read, 2_048, "two MiB of one KiB each");
        sender.try_send(&datagram("10.0.0.2:2", b"room again")).unwrap();
        assert!(heard(&*receiver).await.is_some());
    })
    .unwrap();
}

#[test]
fn a_crashed_host_neither_sends_nor_receives() {
    Simulation::run(1, |simulation| async move {
        let (one, other) = pair(&simulation, 5);
        let (here, there) = (udp(&one, "10.0.0.1:1"), udp(&other, "10.0.0.2:2"));
        here.try_send(&datagram("10.0.0.2:2", b"on its way")).unwrap();
        other.crash();
        there.try_send(&datagram("10.0.0.1:1", b"ghost")).unwrap();
        assert!(other.world().net.bind_udp(at("10.0.0.2:3")).is_err());
        assert_eq!(heard(&*here).await, None);
        other.start();
        let anew = udp(&other, "10.0.0.2:2");
        drop(there);
        assert_eq!(heard(&*anew).await, None, "what was sent before the start is gone");
        here.try_send(&datagram("10.0.0.2:2", b"anew")).unwrap();
        assert!(heard(&*anew).await.is_some(), "the dead socket took nothing with it");
    })
    .unwrap();
}

#[test]
fn a_recording_has_every_datagram_and_its_fate() {
    Simulation::run(1, |simulation| async move {
        let (one, other) = pair(&simulation, 5);
        let sender = udp(&one, "10.0.0.1:1");
        sender.try_send(&datagram("10.0.0.2:2", b"before")).unwrap();
        simulation.record();
        sender.try_send(&datagram("10.0.0.2:2", b"four")).unwrap();
        simulation.shape(&one, &other, |link| link.cut = true);
        sender.try_send(&datagram("10.0.0.2:2", b"gone")).unwrap();
        let Recording { crossings, missed } = simulation.recorded();
        assert_eq!((crossings.len(), missed), (2, 0));
        assert_eq!(
            (crossings[0].from, crossings[0].to, crossings[0].bytes),
            (at("10.0.0.1:1"), at("10.0.0.2:2"), 4)
        );
        let taken = crossings[0].arrives.map(|arrives| arrives.since(crossings[0].left));
        assert_eq!(taken, Some(Duration::from_millis(5)));
        assert_eq!(crossings[1].arrives, None);
        sender.try_send(&datagram("10.0.0.2:2", b"after")).unwrap();
        assert_eq!(simulation.recorded(), Recording::default());
    })
    .unwrap();
}

#[test]
fn one_read_takes_as_many_datagrams_as_there_are_buffers_and_cuts_what_does_not_fit() {
    Simulation::run(1, |simulation| async move {
        let (one, other) = pair(&simulation, 5);
        let (sender, receiver) = (udp(&one, "10.0.0.1:1"), udp(&other, "10.0.0.2:2"));
        for contents in [&b"first"[..], b"a second that is too long", b"third"] {
            sender.try_send(&datagram("10.0.0.2:2", contents)).unwrap();
        }
        let mut buffers = [[0; 8]; 2];
        let mut metas = [RecvMeta::default(); 2];
        let mut slices = buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let read = poll_fn(|cx| receiver.poll_recv(cx, &mut slices, &mut metas)).await.unwrap();
        assert_eq!((read, metas[0].len, metas[1].len), (2, 5, 8));
        assert_eq!((&buffers[0][..5], &buffers[1]), (&b"first"[..], b"a second"));
        assert_eq!(heard(&*receiver).await.unwrap().0, b"third");
    })
    .unwrap();
}

#[test]
fn a_packet_on_a_short_link_does_not_wait_for_one_on_a_long_link() {
    Simulation::run(1, |simulation| async move {
        let (near, far) = pair(&simulation, 90);
        let middle = crate::testing::host(&simulation, 3);
        simulation.shape_both(&middle, &far, |link| link.latency = Duration::from_millis(3));
        let receiver = udp(&far, "10.0.0.2:2");
        udp(&near, "10.0.0.1:1").try_send(&datagram("10.0.0.2:2", b"slow")).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        udp(&middle, "10.0.0.3:3").try_send(&datagram("10.0.0.2:2", b"fast")).unwrap();
        assert_eq!(receive(&*receiver).await.0, b"fast");
        assert_eq!(simulation.elapsed(), Duration::from_millis(13));
        assert_eq!(receive(&*receiver).await.0, b"slow");
        assert_eq!(simulation.elapsed(), Duration::from_millis(90));
    })
    .unwrap();
}

/// What one socket sent to another at intervals: when each arrived, by number, and what the recording foretold.
async fn numbered(simulation: Simulation, gaps_ms: Vec<u64>) -> (Vec<(u32, Duration)>, Recording) {
    let (one, other) = (crate::testing::host(&simulation, 1), crate::testing::host(&simulation, 2));
    simulation.shape(&one, &other, |link| {
        link.latency = Duration::from_micros(7_300);
        link.jitter = Duration::from_millis(25);
        link.loss = 0.3;
    });
    let (sender, receiver) = (udp(&one, "10.0.0.1:1"), udp(&other, "10.0.0.2:2"));
    simulation.record();
    tokio::task::spawn_local(async move {
        for (number, gap) in gaps_ms.into_iter().enumerate() {
            sender.try_send(&datagram("10.0.0.2:2", &(number as u32).to_be_bytes())).unwrap();
            tokio::time::sleep(Duration::from_millis(gap)).await;
        }
    });
    let mut arrived = Vec::new();
    while let Some((contents, _)) = heard(&*receiver).await {
        arrived.push((u32::from_be_bytes(contents.try_into().unwrap()), simulation.elapsed()));
    }
    (arrived, simulation.recorded())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_datagram_arrives_once_at_its_time_or_never(
        seed: u64,
        gaps_ms in prop::collection::vec(0u64..30, 0..60),
    ) {
        let sent = gaps_ms.len();
        let (arrived, recording) = Simulation::run(seed, move |simulation| numbered(simulation, gaps_ms)).unwrap();
        prop_assert_eq!(recording.crossings.len(), sent);
        let foretold: BTreeSet<_> = recording
            .crossings
            .iter()
            .enumerate()
            .filter_map(|(number, crossing)| crossing.arrives.map(|at| (number as u32, at.as_micros().div_ceil(1_000))))
            .collect();
        let happened: BTreeSet<_> =
            arrived.iter().map(|(number, at)| (*number, u64::try_from(at.as_millis()).unwrap())).collect();
        prop_assert_eq!(arrived.len(), happened.len(), "none twice");
        prop_assert_eq!(happened, foretold);
    }
}
