//! Probes and their replies: how far a peer is, and what it says of itself first-hand.

use bytes::{BufMut, Bytes, BytesMut};

use super::FramingError;
use super::decoder::{Decoder, Protocol};
use super::frame::{self, FrameKind};
use super::payload::{Payload, put_short};
use crate::mesh::{Exceptions, Report};
use crate::policy::TenantId;

/// A question whose answer's delay is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probe {
    /// Says which reply is meant for which probe; chosen by the prober.
    pub seq: u64,
}

/// What is answered to a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeReply {
    /// Of the probe.
    pub seq: u64,
    /// What the peer says of itself.
    pub report: Report,
}

/// Makes [`Probe`]s of a probe stream's bytes, from after the preface; any number of them.
pub type ProbeDecoder = Decoder<ProbeProtocol>;

/// Makes [`ProbeReply`]s of what comes back on a probe stream; any number of them.
pub type ProbeReplyDecoder = Decoder<ProbeReplyProtocol>;

impl ProbeDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }
}

impl ProbeReplyDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Probe {
    /// Appends the probe's frame, without the stream's preface.
    pub fn encode(self, out: &mut BytesMut) {
        frame::encode_header(FrameKind::Probe, PROBE_BYTES, out);
        out.put_u64(self.seq);
    }
}

/// Appends a [`ProbeReply`]. On an error (more than [`Exceptions::TENANTS_MAX`] exceptions, or not in order; a load that is
/// no number from 0) nothing is appended.
pub fn encode_probe_reply(seq: u64, report: &Report, out: &mut BytesMut) -> Result<(), FramingError> {
    frame::encode(FrameKind::ProbeReply, REPLY_BYTES_MAX, out, |out| {
        check_load(report.load)?;
        check_order(&report.exceptions.tenants)?;
        out.put_u64(seq);
        out.put_f32(report.load);
        out.put_u8(u8::from(report.draining));
        out.put_u64(report.fleet_version);
        out.extend_from_slice(&report.policy_digest);
        out.put_u8(u8::from(report.exceptions.many));
        out.put_u16(report.exceptions.tenants.len() as u16);
        report
            .exceptions
            .tenants
            .iter()
            .try_for_each(|tenant| put_short(tenant.as_str().as_bytes(), "tenant", out))
    })
}

fn decode_reply(payload: Bytes) -> Result<ProbeReply, FramingError> {
    let mut payload = Payload::new(payload, FrameKind::ProbeReply.name());
    let seq = payload.u64()?;
    let load = f32::from_bits(payload.u32()?);
    check_load(load)?;
    let draining = payload.flag()?;
    let fleet_version = payload.u64()?;
    let policy_digest = payload.array()?;
    let many = payload.flag()?;
    let tenants = decode_exceptions(&mut payload)?;
    payload.finish()?;
    let exceptions = Exceptions { tenants, many };
    Ok(ProbeReply { seq, report: Report { load, draining, fleet_version, policy_digest, exceptions } })
}

fn decode_exceptions(payload: &mut Payload) -> Result<Vec<TenantId>, FramingError> {
    let count = usize::from(payload.u16()?);
    if count > Exceptions::TENANTS_MAX {
        return Err(FramingError::TooLarge("exceptions"));
    }
    let mut tenants = Vec::new();
    for _ in 0..count {
        let length = usize::from(payload.u8()?);
        let id = std::str::from_utf8(payload.slice(length)?).ok().and_then(|id| id.parse().ok());
        tenants.push(id.ok_or(FramingError::Malformed("tenant"))?);
    }
    check_order(&tenants)?;
    Ok(tenants)
}

/// Whether tenants are few enough and each comes once, in order: they are searched that way.
fn check_order(tenants: &[TenantId]) -> Result<(), FramingError> {
    if tenants.len() > Exceptions::TENANTS_MAX {
        return Err(FramingError::TooLarge("exceptions"));
    }
    if tenants.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(FramingError::Malformed("order of exceptions"))
    }
}

fn check_load(load: f32) -> Result<(), FramingError> {
    if load.is_finite() && load >= 0.0 { Ok(()) } else { Err(FramingError::Malformed("load")) }
}

/// Probes, as many as like to come.
#[derive(Debug, Default)]
pub struct ProbeProtocol;

impl Protocol for ProbeProtocol {
    type Frame = Probe;

    fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError> {
        match kind {
            FrameKind::Probe => kind.limit(length, PROBE_BYTES),
            _ => Err(FramingError::OutOfOrder(kind.name())),
        }
    }

    fn decode(&mut self, kind: FrameKind, payload: Bytes) -> Result<Probe, FramingError> {
        let mut payload = Payload::new(payload, kind.name());
        let seq = payload.u64()?;
        payload.finish().map(|()| Probe { seq })
    }

    fn is_complete(&self) -> bool {
        true
    }
}

/// Replies, as many as there were probes.
#[derive(Debug, Default)]
pub struct ProbeReplyProtocol;

impl Protocol for ProbeReplyProtocol {
    type Frame = ProbeReply;

    fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError> {
        match kind {
            FrameKind::ProbeReply => kind.limit(length, REPLY_BYTES_MAX),
            _ => Err(FramingError::OutOfOrder(kind.name())),
        }
    }

    fn decode(&mut self, _: FrameKind, payload: Bytes) -> Result<ProbeReply, FramingError> {
        decode_reply(payload)
    }

    fn is_complete(&self) -> bool {
        true
    }
}

const PROBE_BYTES: usize = 8;
/// Everything but the exceptions: seq, load, draining, fleet version, digest, many, count.
const REPLY_BYTES_FIXED: usize = 8 + 4 + 1 + 8 + 32 + 1 + 2;
/// A tenant's id and its length.
const EXCEPTION_BYTES_MAX: usize = 64;
const REPLY_BYTES_MAX: usize = REPLY_BYTES_FIXED + Exceptions::TENANTS_MAX * EXCEPTION_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(tenants: Vec<TenantId>) -> Report {
        Report {
            load: 0.5,
            draining: true,
            fleet_version: 7,
            policy_digest: [9; 32],
            exceptions: Exceptions { tenants, many: true },
        }
    }

    fn tenants(count: usize) -> Vec<TenantId> {
        (0..count).map(|at| format!("{at:0>63}").parse().unwrap()).collect()
    }

    fn crossed(report: &Report) -> Result<ProbeReply, FramingError> {
        let mut out = BytesMut::new();
        encode_probe_reply(3, report, &mut out)?;
        let mut decoder = ProbeReplyDecoder::new();
        decoder.push(out.freeze());
        let reply = decoder.next()?.ok_or(FramingError::Truncated)?;
        decoder.finish().map(|()| reply)
    }

    #[test]
    fn the_largest_report_crosses_and_nothing_larger() {
        let largest = report(tenants(Exceptions::TENANTS_MAX));
        assert_eq!(crossed(&largest), Ok(ProbeReply { seq: 3, report: largest.clone() }));
        let over = report(tenants(Exceptions::TENANTS_MAX + 1));
        assert_eq!(crossed(&over), Err(FramingError::TooLarge("exceptions")));
        let mut out = BytesMut::new();
        encode_probe_reply(3, &largest, &mut out).unwrap();
        assert_eq!(out.len(), super::super::FRAME_HEADER_BYTES + REPLY_BYTES_MAX);
    }

    #[test]
    fn exceptions_out_of_order_are_refused() {
        let mut reversed = tenants(2);
        reversed.reverse();
        let twice = vec![tenants(1)[0].clone(); 2];
        for wrong in [reversed, twice] {
            assert_eq!(crossed(&report(wrong)), Err(FramingError::Malformed("order of exceptions")));
        }
    }

    #[test]
    fn a_load_is_a_number_from_zero() {
        for load in [f32::NAN, f32::INFINITY, -0.1] {
            let wrong = Report { load, ..report(Vec::new()) };
            assert_eq!(crossed(&wrong), Err(FramingError::Malformed("load")));
            let mut out = BytesMut::new();
            encode_probe_reply(3, &report(Vec::new()), &mut out).unwrap();
            out[13..17].copy_from_slice(&load.to_bits().to_be_bytes());
            let mut decoder = ProbeReplyDecoder::new();
            decoder.push(out.freeze());
            assert_eq!(decoder.next(), Err(FramingError::Malformed("load")));
        }
    }

    #[test]
    fn one_stream_carries_many_probes() {
        let mut out = BytesMut::new();
        Probe { seq: 1 }.encode(&mut out);
        Probe { seq: u64::MAX }.encode(&mut out);
        let mut decoder = ProbeDecoder::new();
        decoder.push(out.freeze());
        assert_eq!(decoder.next(), Ok(Some(Probe { seq: 1 })));
        assert_eq!(decoder.next(), Ok(Some(Probe { seq: u64::MAX })));
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.finish(), Ok(()));
    }
}
