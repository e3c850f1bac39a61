//! How long it takes to choose a backend, by balance and size of the pool; and what a request costs shared counters.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has to stop")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use graticule_node_core::Moment;
use graticule_node_core::policy::{Balance, HashKey, Pool};
use graticule_node_core::pool::{Ask, Condition, Loads, Member, MemberId, PeakEwma, PoolState};
use graticule_node_core::shared::{Breaker, RetryBudget, Streak};

fn main() {
    divan::main();
}

struct Worker(Vec<(u32, PeakEwma)>);

impl Loads for Worker {
    fn requests(&self, member: usize) -> u32 {
        self.0[member].0
    }

    fn all_requests(&self) -> u32 {
        self.0.len() as u32
    }

    fn expected_micros(&self, member: usize, now: Moment) -> Option<f32> {
        self.0[member].1.expected(now)
    }
}

const NOW: Moment = Moment::from_millis(5_000);

fn state(balance: Balance, members: usize) -> PoolState {
    let member = |at: usize| Member {
        address: SocketAddr::from(([10, 0, (at >> 8) as u8, at as u8], 80)),
        weight: 1,
        condition: Condition::Usable,
        since: None,
        id: MemberId(at as u64),
        streak: Arc::default(),
    };
    let pool = Pool { balance, ..Pool::of([]) };
    PoolState::new(&pool, (0..members).map(member).collect(), false, Arc::default(), NOW)
}

fn choose(bencher: Bencher<'_, '_>, balance: Balance, members: usize) {
    let pool = state(balance, members);
    let mut ewma = PeakEwma::default();
    ewma.answered(Duration::from_millis(3), NOW);
    let worker = Worker(vec![(1, ewma); members]);
    let mut turn = 0u32;
    bencher.bench_local(|| {
        turn = turn.wrapping_add(1);
        let chance = turn.wrapping_mul(0x9e37_79b9);
        let ask = Ask { tried: &[], key: Some(chance.into()), turn, chance, now: NOW };
        black_box(&pool).choose(black_box(&ask), &worker)
    });
}

#[divan::bench(args = [2, 16, 1_024])]
fn peak_ewma(bencher: Bencher<'_, '_>, members: usize) {
    choose(bencher, Balance::PeakEwma, members);
}

#[divan::bench(args = [2, 16, 1_024])]
fn least_requests(bencher: Bencher<'_, '_>, members: usize) {
    choose(bencher, Balance::LeastRequests, members);
}

#[divan::bench(args = [2, 16, 1_024])]
fn round_robin(bencher: Bencher<'_, '_>, members: usize) {
    choose(bencher, Balance::RoundRobin, members);
}

#[divan::bench(args = [2, 16, 1_024])]
fn maglev(bencher: Bencher<'_, '_>, members: usize) {
    choose(bencher, Balance::Maglev(HashKey::Address), members);
}

/// Everything that a request that succeeds does to what workers share.
#[divan::bench]
fn shared_counters(bencher: Bencher<'_, '_>) {
    let (breaker, streak, budget) = (Breaker::new(), Streak::new(), RetryBudget::new());
    bencher.bench_local(|| {
        let guard = Breaker::enter(black_box(&breaker), 1_024).unwrap();
        black_box(&streak).succeeded();
        black_box(&budget).succeeded();
        drop(guard);
    });
}

/// Building the table of a large pool, as the control side does when a backend comes or goes.
#[divan::bench(args = [16, 1_024])]
fn build_maglev(bencher: Bencher<'_, '_>, members: usize) {
    bencher.bench_local(|| state(Balance::Maglev(HashKey::Address), black_box(members)));
}

/// Keeping a copy of a request's head, as is done for every request that may be repeated.
#[divan::bench]
fn copy_of_a_head(bencher: Bencher<'_, '_>) {
    let head = bytes::Bytes::from_static(b"0123456789abcdef").slice(4..);
    let names = [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "x-forwarded-for",
        "via",
        "traceparent",
        "x-request-id",
    ];
    let value = http::HeaderValue::from_maybe_shared(bytes::Bytes::from(head.to_vec())).unwrap();
    let headers: http::HeaderMap =
        names.iter().map(|name| (http::HeaderName::from_static(name), value.clone())).collect();
    bencher.bench_local(|| black_box(&headers).clone());
}
