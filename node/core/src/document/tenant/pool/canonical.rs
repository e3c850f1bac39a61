//! What a pool means, in bytes.

use std::time::Duration;

use crate::document::canonical::Canonical;
use crate::policy::{Backend, BackendTls, Balance, CheckKind, HashKey, HealthCheck, Pool, Protocol};

/// What `pool` means, in bytes.
pub(in crate::document::tenant) fn canonical(pool: &Pool) -> Canonical {
    let ejection = pool.ejection.map(|rule| {
        let numbers = Canonical::default().number(rule.failures.into()).number(rule.panic_percent.into());
        numbers.number(micros(rule.base)).number(micros(rule.max))
    });
    Canonical::default()
        .set(pool.backends.iter().map(backend))
        .list([balance(&pool.balance)])
        .number(protocol(pool.protocol))
        .maybe(pool.tls.as_ref().map(tls))
        .maybe(pool.check.as_ref().map(check))
        .maybe(ejection)
        .number(micros(pool.slow_start))
        .number(pool.limits.requests_max.into())
        .number(pool.limits.connecting_max.into())
        .number(pool.retry.retries_max.into())
        .number(micros(pool.retry.backoff))
        .number(micros(pool.connect_timeout))
        .number(micros(pool.response_timeout))
}

fn backend(backend: &Backend) -> Canonical {
    Canonical::default().text(&backend.to_string()).number(backend.weight.into())
}

fn balance(balance: &Balance) -> Canonical {
    let kind = |kind| Canonical::default().number(kind);
    match balance {
        Balance::PeakEwma => kind(0),
        Balance::LeastRequests => kind(1),
        Balance::RoundRobin => kind(2),
        Balance::Weighted => kind(3),
        Balance::Maglev(HashKey::Address) => kind(4),
        Balance::Maglev(HashKey::Header(name)) => kind(5).text(name.as_str()),
        Balance::Maglev(HashKey::Cookie(name)) => kind(6).text(name),
    }
}

fn protocol(protocol: Protocol) -> u64 {
    match protocol {
        Protocol::Http1 => 1,
        Protocol::Http2 => 2,
    }
}

fn tls(tls: &BackendTls) -> Canonical {
    let file = tls.authorities.as_ref().map(|file| Canonical::default().text(file));
    Canonical::default().text(&tls.name).maybe(file)
}

fn check(check: &HealthCheck) -> Canonical {
    let host = |host: &Option<String>| host.as_ref().map(|host| Canonical::default().text(host));
    let kind = match &check.kind {
        CheckKind::Http { path, host: named, protocol: by } => {
            Canonical::default().number(0).text(path).maybe(host(named)).number(protocol(*by))
        }
        CheckKind::Tcp => Canonical::default().number(1),
        CheckKind::Grpc { service, host: named } => {
            Canonical::default().number(2).text(service).maybe(host(named))
        }
    };
    Canonical::default()
        .list([kind])
        .number(micros(check.interval))
        .number(micros(check.timeout))
        .number(check.fall.into())
        .number(check.rise.into())
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}
