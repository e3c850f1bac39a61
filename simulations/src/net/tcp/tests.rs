//! Streams over the memory network, as a node meets them.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::testing::{accept, at, connected, host, pair};
use crate::{Link, Simulation};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn kind<T>(result: std::io::Result<T>) -> std::io::ErrorKind {
    result.err().expect("an error").kind()
}

/// Whether a time is what is expected, but for the timer's millisecond at each of `steps`.
#[track_caller]
fn assert_took(taken: Duration, expected: Duration, steps: u32) {
    assert!((expected..=expected + MS * steps).contains(&taken), "{taken:?}, expected {expected:?}");
}

async fn echo(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
}

#[test]
fn http_crosses_the_network_in_its_round_trips() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 50);
        let listener = server.world().net.listen(at("0.0.0.0:80"), false).unwrap();
        spawn_local(async move {
            let (stream, _) = accept(&*listener).await;
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(echo))
                .await
                .unwrap();
        });
        let stream = client.world().net.connect(at("10.0.0.2:80")).await.unwrap();
        assert_took(simulation.elapsed(), 100 * MS, 1);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        spawn_local(connection);
        for number in 1..=3u32 {
            let body = Full::new(Bytes::from(format!("hello {number}")));
            let request = Request::post("/").header("host", "test").body(body).unwrap();
            let response = sender.send_request(request).await.unwrap();
            let echoed = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(echoed, format!("hello {number}"));
            assert_took(simulation.elapsed(), 100 * MS * (number + 1), 1 + number);
        }
    })
    .unwrap();
}

#[test]
fn both_ends_know_the_addresses() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 5);
        for (listening, dialled, peer) in [
            ("0.0.0.0:80", "10.0.0.2:80", "10.0.0.1"),
            ("[::]:81", "10.0.0.2:81", "::ffff:10.0.0.1"),
            ("[::]:82", "[fd00::2]:82", "fd00::1"),
        ] {
            let listener = server.world().net.listen(at(listening), false).unwrap();
            assert_eq!(listener.local_address().unwrap(), at(listening));
            let _stream = client.world().net.connect(at(dialled)).await.unwrap();
            let (_, from) = accept(&*listener).await;
            assert_eq!(from.ip().to_string(), peer, "{dialled}");
        }
        let listener = server.world().net.listen(at("127.0.0.1:0"), false).unwrap();
        let loopback = listener.local_address().unwrap();
        assert_ne!(loopback.port(), 0);
        server.world().net.connect(loopback).await.unwrap();
        assert_eq!(accept(&*listener).await.1.ip(), loopback.ip());
        assert_eq!(
            kind(client.world().net.connect(loopback).await),
            std::io::ErrorKind::ConnectionRefused,
            "every host has its own loopback"
        );
    })
    .unwrap();
}

#[test]
fn nobody_listening_refuses_after_a_round_trip() {
    Simulation::run(1, |simulation| async move {
        let (client, _server) = pair(&simulation, 30);
        let result = client.world().net.connect(at("10.0.0.2:80")).await;
        assert_eq!(kind(result), std::io::ErrorKind::ConnectionRefused);
        assert_took(simulation.elapsed(), 60 * MS, 2);
        let result = client.world().net.connect(at("192.0.2.1:80")).await;
        assert_eq!(kind(result), std::io::ErrorKind::NetworkUnreachable);
    })
    .unwrap();
}

#[test]
fn connecting_to_a_crashed_host_hangs_until_it_is_up() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 30);
        server.crash();
        let net = client.world().net;
        let connect = net.connect(at("10.0.0.2:80"));
        tokio::pin!(connect);
        assert!(timeout(2 * SECOND, &mut connect).await.is_err());
        server.start();
        let _listener = server.world().net.listen(at("10.0.0.2:80"), false).unwrap();
        connect.await.unwrap();
        assert!(simulation.elapsed() < 5 * SECOND, "the third attempt got through");
    })
    .unwrap();
}

#[test]
fn connecting_over_a_link_cut_in_either_direction_gives_up_in_the_end() {
    for returning in [false, true] {
        Simulation::run(1, move |simulation| async move {
            let (client, server) = pair(&simulation, 30);
            let _listener = server.world().net.listen(at("10.0.0.2:80"), false).unwrap();
            let (from, to) = if returning { (&server, &client) } else { (&client, &server) };
            simulation.shape(from, to, |link| link.cut = true);
            let result = client.world().net.connect(at("10.0.0.2:80")).await;
            assert_eq!(kind(result), std::io::ErrorKind::TimedOut);
            assert_took(simulation.elapsed(), 127 * SECOND, 1);
        })
        .unwrap();
    }
}

#[test]
fn a_cut_delays_and_loses_nothing() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let (mut near, mut far) = connected(&client, &server).await;
        near.write_all(b"before ").await.unwrap();
        simulation.shape(&client, &server, |link| link.cut = true);
        near.write_all(b"during ").await.unwrap();
        let mut read = vec![0; 7];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(read, b"before ");
        assert!(timeout(3 * SECOND, far.read_exact(&mut read)).await.is_err());
        simulation.shape(&client, &server, |link| link.cut = false);
        near.write_all(b"after").await.unwrap();
        near.shutdown().await.unwrap();
        let mut rest = String::new();
        far.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "during after");
        assert!(simulation.elapsed() < 7 * SECOND, "the pause is at most as long as the cut was");
    })
    .unwrap();
}

#[test]
fn each_direction_closes_by_itself() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let (mut near, mut far) = connected(&client, &server).await;
        near.write_all(b"question").await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(kind(near.write(b"more").await), std::io::ErrorKind::BrokenPipe);
        let mut read = String::new();
        far.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "question");
        far.write_all(b"answer").await.unwrap();
        drop(far);
        read.clear();
        near.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "answer");
    })
    .unwrap();
}

#[test]
fn a_holder_that_goes_away_is_noticed() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let (near, mut far) = connected(&client, &server).await;
        drop(near);
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0, "it said that it will send no more");
        far.write_all(b"to nobody").await.unwrap();
        sleep(25 * MS).await;
        assert_eq!(kind(far.write(b"again").await), std::io::ErrorKind::ConnectionReset);

        let (near, mut far) = connected_on(&client, &server, 81).await;
        far.write_all(b"unread").await.unwrap();
        sleep(25 * MS).await;
        drop(near);
        assert_eq!(kind(far.read(&mut [0; 8]).await), std::io::ErrorKind::ConnectionReset);
    })
    .unwrap();
}

#[test]
fn a_reset_is_told_while_nobody_reads_and_an_end_is_not() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let listener = server.world().net.listen(at("10.0.0.2:80"), false).unwrap();
        for resets in [true, false] {
            let mut near = client.world().net.connect(at("10.0.0.2:80")).await.unwrap();
            let mut arrival = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
            near.write_all(b"unread").await.unwrap();
            if resets {
                arrival.stream.write_all(b"unread, too").await.unwrap();
                sleep(25 * MS).await;
            }
            drop(near);
            let told = timeout(SECOND, arrival.reset).await;
            assert_eq!(told.is_ok(), resets);
        }
    })
    .unwrap();
}

async fn connected_on(
    client: &crate::Host,
    server: &crate::Host,
    port: u16,
) -> (graticule::world::Stream, graticule::world::Stream) {
    let to = SocketAddr::new(server.addresses()[0], port);
    let listener = server.world().net.listen(to, false).unwrap();
    let near = client.world().net.connect(to).await.unwrap();
    (near, accept(&*listener).await.0)
}

#[test]
fn a_crash_is_silence_and_a_restart_answers_with_a_reset() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let (mut near, mut far) = connected(&client, &server).await;
        server.crash();
        assert!(timeout(Duration::from_mins(1), near.read(&mut [0; 8])).await.is_err());
        near.write_all(b"anybody?").await.unwrap();
        assert!(timeout(SECOND, near.read(&mut [0; 8])).await.is_err());
        assert!(timeout(SECOND, far.read(&mut [0; 8])).await.is_err(), "the dead process hears nothing");
        assert!(timeout(SECOND, far.write_all(b"ghost")).await.is_err());
        server.start();
        let reset = timeout(Duration::from_secs(10), near.read(&mut [0; 8])).await.unwrap();
        assert_eq!(kind(reset), std::io::ErrorKind::ConnectionReset);
    })
    .unwrap();
}

#[test]
fn a_host_that_stays_away_breaks_its_connections_in_the_end() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let (mut near, _far) = connected(&client, &server).await;
        server.crash();
        near.write_all(b"anybody?").await.unwrap();
        assert_eq!(kind(near.read(&mut [0; 8]).await), std::io::ErrorKind::TimedOut);
        let minutes = simulation.elapsed().as_secs() / 60;
        assert!((10..20).contains(&minutes), "{minutes} minutes");
    })
    .unwrap();
}

#[test]
fn an_old_world_does_nothing_after_a_crash() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let old = server.world();
        let old_listener = old.net.listen(at("10.0.0.2:80"), false).unwrap();
        server.crash();
        server.start();
        assert_eq!(kind(old.net.listen(at("10.0.0.2:81"), false)), std::io::ErrorKind::NetworkDown);
        assert_eq!(kind(old.net.connect(at("10.0.0.1:80")).await), std::io::ErrorKind::NetworkDown);
        let new_listener = server.world().net.listen(at("10.0.0.2:80"), false).unwrap();
        let _stream = client.world().net.connect(at("10.0.0.2:80")).await.unwrap();
        assert!(timeout(SECOND, accept(&*old_listener)).await.is_err());
        drop(old_listener);
        accept(&*new_listener).await;
    })
    .unwrap();
}

#[test]
fn listeners_that_share_an_address_take_turns() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let (net, to) = (server.world().net, at("10.0.0.2:80"));
        let listeners: Vec<_> = (0..3).map(|_| net.listen(to, true).unwrap()).collect();
        assert_eq!(kind(net.listen(to, false)), std::io::ErrorKind::AddrInUse);
        let mut streams = Vec::new();
        for _ in 0..6 {
            streams.push(client.world().net.connect(to).await.unwrap());
        }
        for listener in &listeners {
            accept(&**listener).await;
            accept(&**listener).await;
            assert!(timeout(SECOND, accept(&**listener)).await.is_err(), "two of six each");
        }
        drop(listeners);
        assert_eq!(kind(client.world().net.connect(to).await), std::io::ErrorKind::ConnectionRefused);
        net.listen(to, false).unwrap();
    })
    .unwrap();
}

#[test]
fn what_was_not_accepted_is_reset_with_its_listener() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let listener = server.world().net.listen(at("10.0.0.2:80"), false).unwrap();
        let mut near = client.world().net.connect(at("10.0.0.2:80")).await.unwrap();
        drop(listener);
        assert_eq!(kind(near.read(&mut [0; 8]).await), std::io::ErrorKind::ConnectionReset);
    })
    .unwrap();
}

#[test]
fn a_client_that_does_not_wait_for_its_connection_leaves_nothing_behind() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let listener = server.world().net.listen(at("10.0.0.2:80"), false).unwrap();
        let net = client.world().net;
        let connect = net.connect(at("10.0.0.2:80"));
        assert!(timeout(15 * MS, connect).await.is_err(), "the answer takes 20 ms");
        let (mut far, _) = accept(&*listener).await;
        assert_eq!(kind(far.read(&mut [0; 8]).await), std::io::ErrorKind::ConnectionReset);
        drop(far);
        simulation.network.enter(|state| assert!(state.tcp.connections.is_empty()));
    })
    .unwrap();
}

#[test]
fn a_reader_that_stops_stops_the_writer() {
    Simulation::run(1, |simulation| async move {
        simulation.set_tcp_window(10_000);
        let (client, server) = pair(&simulation, 10);
        let (mut near, mut far) = connected(&client, &server).await;
        let flood = vec![7; 50_000];
        let written = timeout(SECOND, near.write_all(&flood)).await;
        assert!(written.is_err(), "nobody reads");
        let mut arrived = vec![0; 20_000];
        let read = far.read(&mut arrived).await.unwrap();
        assert_eq!(read, 10_000, "one window is on its way");
        assert_eq!(near.write(&flood).await.unwrap(), 10_000, "there is room again");
    })
    .unwrap();
}

#[test]
fn vectored_writes_keep_their_order() {
    Simulation::run(1, |simulation| async move {
        simulation.set_tcp_window(8);
        let (client, server) = (host(&simulation, 1), host(&simulation, 2));
        let (mut near, mut far) = connected(&client, &server).await;
        assert!(near.is_write_vectored());
        let slices = [&b"one "[..], b"", b"two ", b"three"].map(std::io::IoSlice::new);
        assert_eq!(near.write_vectored(&slices).await.unwrap(), 8, "as much as there is room for");
        drop(near);
        let mut read = String::new();
        far.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "one two ");
    })
    .unwrap();
}

/// Writes `chunks`, pausing in between, and returns what the other side read in pieces of `read_sizes`.
async fn carried(
    simulation: Simulation,
    (window, link): (usize, Link),
    chunks: Vec<Vec<u8>>,
    read_sizes: Vec<usize>,
) -> Vec<u8> {
    simulation.set_tcp_window(window);
    let (client, server) = pair(&simulation, 0);
    simulation.shape_both(&client, &server, |shaped| *shaped = link);
    let (mut near, mut far) = connected(&client, &server).await;
    spawn_local(async move {
        for (number, chunk) in chunks.into_iter().enumerate() {
            near.write_all(&chunk).await.unwrap();
            sleep(MS * (number as u32 % 3)).await;
        }
    });
    let mut arrived = Vec::new();
    for size in read_sizes.into_iter().cycle() {
        let mut piece = vec![0; size];
        match far.read(&mut piece).await.unwrap() {
            0 => break,
            read => arrived.extend_from_slice(&piece[..read]),
        }
        sleep(MS * (size as u32 % 4)).await;
    }
    arrived
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_stream_arrives_whole_and_in_order(
        seed: u64,
        window in prop_oneof![1usize..4, 100usize..5_000],
        (jitter_ms, loss) in (0u64..40, 0.0..0.3f64),
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
        read_sizes in prop::collection::vec(1usize..400, 1..6),
    ) {
        let here = graticule_geo::Coordinates::new(0.0, 0.0).unwrap();
        let (latency, jitter) = (5 * MS, MS * jitter_ms as u32);
        let link = Link { latency, jitter, loss, ..Link::between(here, here) };
        let expected = chunks.concat();
        let arrived = Simulation::run(seed, move |simulation| {
            carried(simulation, (window, link), chunks, read_sizes)
        });
        prop_assert_eq!(arrived.unwrap(), expected);
    }
}

#[test]
fn both_directions_carry_more_than_their_windows_at_once() {
    Simulation::run(1, |simulation| async move {
        simulation.set_tcp_window(1_000);
        let (client, server) = pair(&simulation, 10);
        let (near, far) = connected(&client, &server).await;
        let both = [near, far].map(|stream| {
            spawn_local(async move {
                let (mut reader, mut writer) = tokio::io::split(stream);
                let writing = spawn_local(async move {
                    writer.write_all(&vec![7; 10_000]).await.unwrap();
                    writer.shutdown().await.unwrap();
                });
                let mut read = Vec::new();
                reader.read_to_end(&mut read).await.unwrap();
                writing.await.unwrap();
                read.len()
            })
        });
        for end in both {
            assert_eq!(end.await.unwrap(), 10_000);
        }
        let seconds = simulation.elapsed().as_secs_f64();
        assert!((0.19..0.6).contains(&seconds), "ten windows, a round trip of 20 ms for each: {seconds} s");
    })
    .unwrap();
}

#[test]
fn a_full_backlog_makes_clients_wait() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        let (net, to) = (client.world().net, at("10.0.0.2:80"));
        let listener = server.world().net.listen(to, false).unwrap();
        let mut streams = Vec::new();
        for _ in 0..1_024 {
            streams.push(net.connect(to).await.unwrap());
        }
        let before = simulation.elapsed();
        let mut late = net.connect(to);
        assert!(timeout(5 * SECOND, &mut late).await.is_err());
        accept(&*listener).await;
        late.await.unwrap();
        assert!(simulation.elapsed() < before + 8 * SECOND, "its next attempt got through");
    })
    .unwrap();
}

#[test]
fn nothing_is_left_of_connections_that_nobody_holds() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        for port in 1..=20 {
            let (mut near, mut far) = connected_on(&client, &server, port).await;
            near.write_all(b"unread").await.unwrap();
            if port % 2 == 0 {
                far.shutdown().await.unwrap();
                sleep(15 * MS).await;
            }
        }
        simulation.network.enter(|state| assert!(state.tcp.connections.is_empty()));
        let _held = connected_on(&client, &server, 21).await;
        client.crash();
        simulation.network.enter(|state| assert_eq!(state.tcp.connections.len(), 1));
        server.crash();
        simulation.network.enter(|state| assert!(state.tcp.connections.is_empty()));
    })
    .unwrap();
}

/// Something that happens to one of two hosts or to the link between them.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Cut(bool),
    Mend(bool),
    Crash,
    Start,
}

/// Counts up over one connection after another while faults happen; true if each connection brought the numbers
/// from one without a gap, and one that began after the last fault brought all of them.
async fn counted_through(simulation: Simulation, faults: Vec<(u64, Fault)>) -> bool {
    let (client, server) = pair(&simulation, 10);
    let (first, second) = (client.clone(), server.clone());
    let shaken = simulation.clone();
    let faults = spawn_local(async move {
        for (pause_ms, fault) in faults {
            sleep(MS * pause_ms as u32).await;
            let ends = |forth| if forth { (&first, &second) } else { (&second, &first) };
            match fault {
                Fault::Cut(forth) => shaken.shape(ends(forth).0, ends(forth).1, |link| link.cut = true),
                Fault::Mend(forth) => shaken.shape(ends(forth).0, ends(forth).1, |link| link.cut = false),
                Fault::Crash => second.crash(),
                Fault::Start => second.start(),
            }
        }
        shaken.shape_both(&first, &second, |link| link.cut = false);
        second.start();
    });
    loop {
        let calm = faults.is_finished();
        let read = count_once(&client, &server).await;
        if read.iter().copied().ne(1..=read.len() as u8) {
            return false;
        }
        if calm {
            return read.len() == 40;
        }
    }
}

/// The numbers that arrived within two seconds of the forty that were sent.
async fn count_once(client: &crate::Host, server: &crate::Host) -> Vec<u8> {
    let Ok(listener) = server.world().net.listen(at("10.0.0.2:80"), false) else {
        sleep(100 * MS).await;
        return Vec::new();
    };
    let net = client.world().net;
    let sending = async {
        let mut near = net.connect(at("10.0.0.2:80")).await?;
        for number in 1..=40 {
            near.write_all(&[number]).await?;
            sleep(5 * MS).await;
        }
        near.shutdown().await?;
        near.read(&mut [0]).await
    };
    let mut read = Vec::new();
    let receiving = async {
        let (mut far, _) = accept(&*listener).await;
        while far.read_buf(&mut read).await.is_ok_and(|bytes| bytes > 0) {}
    };
    let _ = timeout(2 * SECOND, async { tokio::join!(sending, receiving) }).await;
    read
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        any::<bool>().prop_map(Fault::Cut),
        any::<bool>().prop_map(Fault::Mend),
        Just(Fault::Crash),
        Just(Fault::Start),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn faults_never_tear_a_hole_into_a_stream(
        seed: u64,
        faults in prop::collection::vec((0u64..700, fault()), 0..16),
    ) {
        prop_assert!(Simulation::run(seed, move |simulation| counted_through(simulation, faults)).unwrap());
    }
}
