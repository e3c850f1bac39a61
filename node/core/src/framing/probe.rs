//! Probes: datagrams by which two nodes tell each other that they live, how far they are, and what they say of themselves.

use bytes::{BufMut, Bytes, BytesMut};

use super::payload::Payload;
use super::{FRAMING_VERSION, FramingError};
use crate::mesh::{ExceptionsDigest, Report};

/// What one node says to another again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// Its number: one more than that of the probe before, from 1.
    pub seq: u64,
    /// The number of the peer's probe that was heard last; 0 before the first.
    pub heard: u64,
    /// Whether this one was sent as soon as that one was heard: then its way and this one's are a round trip.
    pub at_once: bool,
    /// Whether another one is wanted at once, because the sender wants to measure a round trip.
    pub wanted: bool,
    /// Whether the sender has heard nothing of the other for too long: it tells so in case it is heard itself.
    pub deaf: bool,
    /// What the sender says of itself.
    pub report: Report,
}

impl Probe {
    /// The datagram; an error if the load is no number from 0.
    pub fn encode(&self) -> Result<Bytes, FramingError> {
        check_load(self.report.load)?;
        let mut out = BytesMut::with_capacity(PROBE_BYTES);
        out.put_u8(FRAMING_VERSION);
        out.put_u64(self.seq);
        out.put_u64(self.heard);
        let flags = [
            (self.at_once, AT_ONCE),
            (self.wanted, WANTED),
            (self.report.draining, DRAINING),
            (self.deaf, DEAF),
        ];
        out.put_u8(flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
        out.put_f32(self.report.load);
        out.put_u64(self.report.fleet_version);
        out.extend_from_slice(&self.report.policy_digest);
        out.put_u64(self.report.exceptions.0);
        Ok(out.freeze())
    }

    /// The probe that a datagram is.
    pub fn decode(datagram: Bytes) -> Result<Self, FramingError> {
        let mut payload = Payload::new(datagram, "probe");
        let version = payload.u8()?;
        if version != FRAMING_VERSION {
            return Err(FramingError::UnknownVersion(version));
        }
        let (seq, heard, flags) = (payload.u64()?, payload.u64()?, payload.u8()?);
        if flags & !(AT_ONCE | WANTED | DRAINING | DEAF) != 0 {
            return Err(payload.malformed());
        }
        let load = f32::from_bits(payload.u32()?);
        check_load(load)?;
        let (fleet_version, policy_digest) = (payload.u64()?, payload.array()?);
        let exceptions = ExceptionsDigest(payload.u64()?);
        payload.finish()?;
        let is = |flag| flags & flag != 0;
        let report = Report { load, draining: is(DRAINING), fleet_version, policy_digest, exceptions };
        Ok(Self { seq, heard, at_once: is(AT_ONCE), wanted: is(WANTED), deaf: is(DEAF), report })
    }
}

fn check_load(load: f32) -> Result<(), FramingError> {
    if load.is_finite() && load >= 0.0 { Ok(()) } else { Err(FramingError::Malformed("load")) }
}

const AT_ONCE: u8 = 1;
const WANTED: u8 = 2;
const DRAINING: u8 = 4;
const DEAF: u8 = 8;
/// Version, two numbers, flags, load, fleet version, policy digest, digest of exceptions.
pub const PROBE_BYTES: usize = 1 + 8 + 8 + 1 + 4 + 8 + 32 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Probe {
        let report = Report {
            load: 0.5,
            draining: false,
            fleet_version: 7,
            policy_digest: [9; 32],
            exceptions: ExceptionsDigest(3),
        };
        Probe { seq: 2, heard: 1, at_once: true, wanted: false, deaf: false, report }
    }

    fn changed(at: usize, bytes: &[u8]) -> Bytes {
        let mut datagram = BytesMut::from(&probe().encode().unwrap()[..]);
        datagram[at..at + bytes.len()].copy_from_slice(bytes);
        datagram.freeze()
    }

    #[test]
    fn every_flag_crosses_by_itself() {
        for flags in 0..16u8 {
            let [at_once, wanted, draining, deaf] = [1, 2, 4, 8].map(|flag| flags & flag != 0);
            let report = Report { draining, ..probe().report };
            let said = Probe { at_once, wanted, deaf, report, ..probe() };
            assert_eq!(Probe::decode(said.encode().unwrap()), Ok(said));
        }
        assert_eq!(Probe::decode(changed(17, &[16])), Err(FramingError::Malformed("probe")));
    }

    #[test]
    fn a_probe_has_one_length_and_a_known_version() {
        let whole = probe().encode().unwrap();
        assert_eq!(whole.len(), PROBE_BYTES);
        let longer = Bytes::from([&whole[..], &[0]].concat());
        for wrong in [Bytes::new(), whole.slice(..PROBE_BYTES - 1), longer] {
            assert_eq!(Probe::decode(wrong), Err(FramingError::Malformed("probe")));
        }
        assert_eq!(Probe::decode(changed(0, &[99])), Err(FramingError::UnknownVersion(99)));
    }

    #[test]
    fn a_load_is_a_number_from_zero() {
        for load in [f32::NAN, f32::INFINITY, -0.1] {
            let wrong = Probe { report: Report { load, ..probe().report }, ..probe() };
            assert_eq!(wrong.encode(), Err(FramingError::Malformed("load")));
            let datagram = changed(18, &load.to_bits().to_be_bytes());
            assert_eq!(Probe::decode(datagram), Err(FramingError::Malformed("load")));
        }
    }
}
