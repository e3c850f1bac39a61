//! What went wrong with a request at a backend, in a number that workers can share.

use std::fmt;

/// Why a request failed at a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens there.
    Refused,
    /// There was no connection in time.
    ConnectTimedOut,
    /// There was no connection for another reason.
    Unreachable,
    /// Whoever answers could not show that it is whom the pool names, or speaks another protocol.
    Untrusted,
    /// The connection broke, or the answer was not of the protocol.
    Broken,
    /// The answer did not begin in time.
    Late,
    /// The answer had this status.
    Status(u16),
}

/// Without a status, by their place.
const PLAIN: [Fault; 6] = [
    Fault::Refused,
    Fault::ConnectTimedOut,
    Fault::Unreachable,
    Fault::Untrusted,
    Fault::Broken,
    Fault::Late,
];

impl Fault {
    /// As a number other than 0.
    pub fn number(self) -> u32 {
        match self {
            Self::Status(status) => STATUS + u32::from(status),
            plain => PLAIN.iter().position(|known| *known == plain).map_or(0, |at| at as u32 + 1),
        }
    }

    /// The one with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        let status =
            || number.checked_sub(STATUS).and_then(|status| Some(Self::Status(status.try_into().ok()?)));
        let plain = number.checked_sub(1).and_then(|at| PLAIN.get(at as usize).copied());
        plain.or_else(status)
    }

    /// Whether there was an answer.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Status(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::ConnectTimedOut => "no connection in time",
            Self::Unreachable => "no connection",
            Self::Untrusted => "TLS failed: no certificate of that name by a trusted authority",
            Self::Broken => "connection broken or answer not of the protocol",
            Self::Late => "no answer in time",
            Self::Status(status) => return write!(f, "status {status}"),
        })
    }
}

/// Above the numbers of the others.
const STATUS: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_number_of_its_own() {
        let all = PLAIN.into_iter().chain([0, 500, 503, u16::MAX].map(Fault::Status));
        for fault in all {
            assert_ne!(fault.number(), 0);
            assert_eq!(Fault::from_number(fault.number()), Some(fault));
        }
        assert_eq!([0, 7, STATUS - 1, STATUS << 1].map(Fault::from_number), [None; 4]);
    }
}
