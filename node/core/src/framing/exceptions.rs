//! Exceptions: the tenants that a node has no healthy backend for, in full, for a peer whose probe told that they changed.

use bytes::{BufMut, Bytes, BytesMut};

use super::FramingError;
use super::decoder::{Decoder, Protocol};
use super::frame::{self, FrameKind};
use super::payload::{Payload, put_short};
use crate::mesh::Exceptions;
use crate::policy::TenantId;

/// Makes [`Exceptions`] of what comes back on a stream for them.
pub type ExceptionsDecoder = Decoder<ExceptionsProtocol>;

impl ExceptionsDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Appends the frame of `exceptions`. On an error (more than [`Exceptions::TENANTS_MAX`], or not in order) nothing is
/// appended.
pub fn encode_exceptions(exceptions: &Exceptions, out: &mut BytesMut) -> Result<(), FramingError> {
    frame::encode(FrameKind::Exceptions, BYTES_MAX, out, |out| {
        check_order(&exceptions.tenants)?;
        out.put_u8(u8::from(exceptions.many));
        out.put_u16(exceptions.tenants.len() as u16);
        exceptions.tenants.iter().try_for_each(|tenant| put_short(tenant.as_str().as_bytes(), "tenant", out))
    })
}

fn decode(payload: Bytes) -> Result<Exceptions, FramingError> {
    let mut payload = Payload::new(payload, FrameKind::Exceptions.name());
    let many = payload.flag()?;
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
    payload.finish()?;
    check_order(&tenants)?;
    Ok(Exceptions { tenants, many })
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

/// Exceptions, as many times as like to come.
#[derive(Debug, Default)]
pub struct ExceptionsProtocol;

impl Protocol for ExceptionsProtocol {
    type Frame = Exceptions;

    fn admit(&mut self, kind: FrameKind, length: usize) -> Result<(), FramingError> {
        match kind {
            FrameKind::Exceptions => kind.limit(length, BYTES_MAX),
            _ => Err(FramingError::OutOfOrder(kind.name())),
        }
    }

    fn decode(&mut self, _: FrameKind, payload: Bytes) -> Result<Exceptions, FramingError> {
        decode(payload)
    }

    fn is_complete(&self) -> bool {
        true
    }
}

/// A tenant's id and its length.
const TENANT_BYTES_MAX: usize = 64;
/// Whether there are many, how many are named, and those.
const BYTES_MAX: usize = 1 + 2 + Exceptions::TENANTS_MAX * TENANT_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(count: usize) -> Vec<TenantId> {
        (0..count).map(|at| format!("{at:0>63}").parse().unwrap()).collect()
    }

    fn crossed(tenants: Vec<TenantId>) -> Result<Exceptions, FramingError> {
        let mut out = BytesMut::new();
        encode_exceptions(&Exceptions { tenants, many: true }, &mut out)?;
        let mut decoder = ExceptionsDecoder::new();
        decoder.push(out.freeze());
        let exceptions = decoder.next()?.ok_or(FramingError::Truncated)?;
        decoder.finish().map(|()| exceptions)
    }

    #[test]
    fn the_longest_list_crosses_and_nothing_longer() {
        let largest = tenants(Exceptions::TENANTS_MAX);
        assert_eq!(crossed(largest.clone()), Ok(Exceptions { tenants: largest.clone(), many: true }));
        let over = tenants(Exceptions::TENANTS_MAX + 1);
        assert_eq!(crossed(over), Err(FramingError::TooLarge("exceptions")));
        let mut out = BytesMut::new();
        encode_exceptions(&Exceptions { tenants: largest, many: true }, &mut out).unwrap();
        assert_eq!(out.len(), super::super::FRAME_HEADER_BYTES + BYTES_MAX);
    }

    #[test]
    fn exceptions_out_of_order_are_refused() {
        let mut reversed = tenants(2);
        reversed.reverse();
        let twice = vec![tenants(1)[0].clone(); 2];
        for wrong in [reversed, twice] {
            assert_eq!(crossed(wrong), Err(FramingError::Malformed("order of exceptions")));
        }
    }
}
