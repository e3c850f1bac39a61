//! How long it takes to find an address, to tell a distance, and to open a database.

use std::hint::black_box;
use std::net::IpAddr;

use divan::{Bencher, counter::ItemsCount};
use graticule_geo::{Coordinates, Database, Location, Locator};

fn main() {
    divan::main();
}

/// Addresses all over one family's public space, by a fixed sequence: caches see them as from many clients.
fn addresses(v6: bool) -> Vec<IpAddr> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    let v4_address = |bits: u64| IpAddr::V4(((bits >> 32) as u32).into());
    // In 2a00::/12 the registries have given out most of what is in use.
    let v6_address = |high: u64| IpAddr::V6(((0x2a0_u128 << 116) | (u128::from(high) << 52)).into());
    (0..ADDRESSES).map(|_| if v6 { v6_address(next()) } else { v4_address(next()) }).collect()
}

fn locate_all(bencher: Bencher<'_, '_>, locator: &Locator, addresses: &[IpAddr]) {
    bencher.counter(ItemsCount::new(addresses.len())).bench_local(|| {
        let known = addresses.iter().filter(|address| locator.locate(**black_box(address)).is_known());
        black_box(known.count())
    });
}

#[divan::bench]
fn embedded_v4_1000_addresses(bencher: Bencher<'_, '_>) {
    locate_all(bencher, &Locator::default(), &addresses(false));
}

#[divan::bench]
fn embedded_v6_1000_addresses(bencher: Bencher<'_, '_>) {
    locate_all(bencher, &Locator::default(), &addresses(true));
}

#[divan::bench]
fn embedded_v4_same_address(bencher: Bencher<'_, '_>) {
    let (locator, address) = (Locator::default(), IpAddr::from([8, 8, 8, 8]));
    bencher.bench_local(|| locator.locate(black_box(address)));
}

/// A hit among as many overrides as are allowed, all of them `/24`.
#[divan::bench(args = [10, 100_000])]
fn override_hit(bencher: Bencher<'_, '_>, overrides: u32) {
    let prefix = |number: u32| ipnet::IpNet::new(IpAddr::V4((number << 8).into()), 24);
    let builder = (0..overrides)
        .filter_map(|number| prefix(number).ok())
        .fold(Locator::builder(), |builder, prefix| builder.overriding(prefix, Location::Unknown));
    let Ok(locator) = builder.build() else { return };
    let address = IpAddr::V4(((overrides / 2) << 8).into());
    bencher.bench_local(|| locator.locate(black_box(address)));
}

#[divan::bench]
fn distance(bencher: Bencher<'_, '_>) {
    let (Ok(here), Ok(there)) = (Coordinates::new(50.1, 8.7), Coordinates::new(1.35, 103.8)) else { return };
    bencher.bench_local(|| black_box(here).distance(black_box(there)));
}

/// As a reload does it: with every check. The file has 8 MB.
#[divan::bench(sample_count = 20)]
fn open_and_check(bencher: Bencher<'_, '_>) {
    let bytes: &'static [u8] = include_bytes!("../data/dbip-country-lite.mmdb");
    bencher.bench_local(|| Database::open(black_box(bytes)));
}

#[divan::bench]
fn default_locator(bencher: Bencher<'_, '_>) {
    bencher.bench_local(Locator::default);
}

const ADDRESSES: usize = 1_000;
