//! What documents say of a tenant's servers: pools and backends, and how they are chosen, checked, spared and asked.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;

/// A tenant's servers in one region, under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The servers, at least one, at most [`Pool::BACKENDS_MAX`].
    pub backends: Vec<Backend>,
    /// How one is chosen.
    pub balance: Balance,
    /// How they are spoken to.
    pub protocol: Protocol,
    /// Whose certificate they show; `None` for backends without TLS.
    pub tls: Option<BackendTls>,
    /// How their health is checked; without it they count as healthy.
    pub check: Option<HealthCheck>,
    /// When requests that fail take a backend out for a while; `None` for never.
    pub ejection: Option<EjectionRule>,
    /// How long a backend that comes, or comes back, takes to its full share; zero for no time.
    pub slow_start: Duration,
    /// How much the pool is asked to do at once.
    pub limits: PoolLimits,
    /// When a request is sent again.
    pub retry: RetryRule,
    /// How long a connection to one may take, its TLS handshake included.
    pub connect_timeout: Duration,
    /// How long one may take to begin its answer.
    pub response_timeout: Duration,
}

impl Pool {
    /// How many backends a pool can have. A name counts as one here, and again with every address that it has.
    pub const BACKENDS_MAX: usize = 1_024;

    /// A pool of these backends with the defaults of documents, unchecked.
    pub fn of(backends: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            backends: backends.into_iter().map(Backend::from).collect(),
            balance: Balance::PeakEwma,
            protocol: Protocol::Http1,
            tls: None,
            check: None,
            ejection: Some(EjectionRule::default()),
            slow_start: Duration::ZERO,
            limits: PoolLimits::default(),
            retry: RetryRule::default(),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(30),
        }
    }
}

/// One server, or those behind one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Where.
    pub host: BackendHost,
    /// Its port.
    pub port: u16,
    /// Its share compared with others, 1 to [`Backend::WEIGHT_MAX`]; of a name, that of each address.
    pub weight: u32,
}

/// Where a backend is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackendHost {
    /// At this address.
    Address(IpAddr),
    /// At every address that DNS gives for this name.
    Name(Box<str>),
}

impl Backend {
    /// The largest weight.
    pub const WEIGHT_MAX: u32 = 1_000;
}

impl From<SocketAddr> for Backend {
    fn from(address: SocketAddr) -> Self {
        Self { host: BackendHost::Address(address.ip()), port: address.port(), weight: 1 }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            BackendHost::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            BackendHost::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// How a backend of a pool is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    /// Of two drawn by chance the one that is expected to answer first.
    PeakEwma,
    /// Of two drawn by chance the one with fewer requests.
    LeastRequests,
    /// One after the other.
    RoundRobin,
    /// One after the other, each as often as its weight says.
    Weighted,
    /// The same for the same key, as far as none gets much more than its share.
    Maglev(HashKey),
}

/// What makes requests go to the same backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    Address,
    /// The value of this header.
    Header(HeaderName),
    /// The value of this cookie.
    Cookie(Box<str>),
}

/// How a backend is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by prior knowledge, or by ALPN under TLS.
    Http2,
}

/// How a backend shows who it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendTls {
    /// The name that its certificate must have.
    pub name: Box<str>,
    /// The file of the authorities that may sign it, relative to the documents; `None` for those that browsers believe.
    pub authorities: Option<Box<str>>,
}

/// An active check of a backend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: CheckKind,
    /// Whether it is asked under TLS.
    pub tls: Option<BackendTls>,
    /// Time between two checks.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failures in a row after which a healthy backend counts as failed.
    pub fall: u32,
    /// Successes in a row after which a failed backend counts as healthy.
    pub rise: u32,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckKind {
    /// GET `path`; 2xx is a success.
    Http {
        /// What to GET.
        path: String,
        /// Whom the request is for; the address if it is nobody in particular.
        host: Option<String>,
        /// How it is sent.
        protocol: Protocol,
    },
    /// Whether a connection can be made.
    Tcp,
    /// `grpc.health.v1.Health/Check`; `SERVING` is a success.
    Grpc {
        /// The service to ask about; empty for the server as a whole.
        service: String,
        /// Whom the request is for; the address if it is nobody in particular.
        host: Option<String>,
    },
}

impl CheckKind {
    /// Whom a check of `address` is for, if it says that.
    pub fn host(&self, address: SocketAddr) -> Option<Cow<'_, str>> {
        match self {
            Self::Tcp => None,
            Self::Http { host, .. } | Self::Grpc { host, .. } => {
                Some(host.as_deref().map_or_else(|| address.to_string().into(), Cow::from))
            }
        }
    }
}

impl HealthCheck {
    /// An HTTP/1.1 check with the defaults of documents.
    pub fn http(path: &str, host: &str) -> Self {
        let kind =
            CheckKind::Http { path: path.to_owned(), host: Some(host.to_owned()), protocol: Protocol::Http1 };
        Self {
            kind,
            tls: None,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 2,
        }
    }
}

/// When requests that fail take a backend out for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionRule {
    /// How many have to fail in a row at one node.
    pub failures: u32,
    /// How long the first time; doubled each time that follows soon.
    pub base: Duration,
    /// How long at most.
    pub max: Duration,
    /// If fewer of the pool's backends than this are left, per cent, nobody is out.
    pub panic_percent: u32,
}

impl Default for EjectionRule {
    fn default() -> Self {
        Self { failures: 5, base: Duration::from_secs(30), max: Duration::from_mins(5), panic_percent: 50 }
    }
}

/// How much one node asks a pool to do at once; over it requests are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Requests from their choice of a backend to the end of the answer.
    pub requests_max: u32,
    /// Requests that wait for a new connection.
    pub connecting_max: u32,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { requests_max: 1_024, connecting_max: 256 }
    }
}

/// When a request is sent to another backend of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// How often after the first time.
    pub retries_max: u32,
    /// The longest pause before the first; doubled for each that follows, up to ten times this.
    pub backoff: Duration,
}

impl Default for RetryRule {
    fn default() -> Self {
        Self { retries_max: 2, backoff: Duration::from_millis(25) }
    }
}

/// Which of a tenant's pools of one region: 0 is the one without a name, others follow in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PoolIndex(pub u8);

impl PoolIndex {
    /// The pool without a name.
    pub const UNNAMED: Self = Self(0);

    /// Its position among the named ones.
    pub fn named(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }
}

/// The name of a pool: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolName(Box<str>);

/// A text that is no name of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolNameError(String);

impl PoolName {
    /// The name as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PoolName {
    type Err = PoolNameError;

    fn from_str(text: &str) -> Result<Self, PoolNameError> {
        // The same form as a region's, which the table of pools without a name is keyed by.
        match text.parse::<graticule_gossip_core::RegionName>() {
            Ok(_) => Ok(Self(text.into())),
            Err(error) => Err(PoolNameError(error.to_string())),
        }
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PoolNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PoolNameError {}
