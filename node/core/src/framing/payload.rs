//! The fields of a payload: numbers, and texts behind their length.

use bytes::{BufMut, Bytes, BytesMut};

use super::FramingError;

/// Reads a payload from its front.
#[derive(Debug)]
pub(super) struct Payload {
    bytes: Bytes,
    at: usize,
    /// What the payload is, for errors.
    what: &'static str,
}

impl Payload {
    /// A payload of `what`.
    pub(super) fn new(bytes: Bytes, what: &'static str) -> Self {
        Self { bytes, at: 0, what }
    }

    pub(super) fn u8(&mut self) -> Result<u8, FramingError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FramingError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FramingError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FramingError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self) -> Result<bool, FramingError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed()),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FramingError> {
        let malformed = self.malformed();
        let array = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(malformed)?;
        self.at += N;
        Ok(*array)
    }

    /// The next `length` bytes.
    pub(super) fn slice(&mut self, length: usize) -> Result<&[u8], FramingError> {
        let malformed = self.malformed();
        let end = self.at + length;
        let slice = self.bytes.get(self.at..end).ok_or(malformed)?;
        self.at = end;
        Ok(slice)
    }

    /// The next `length` bytes, sharing the payload's memory.
    pub(super) fn shared(&mut self, length: usize) -> Result<Bytes, FramingError> {
        let end = self.at + length;
        if end > self.bytes.len() {
            return Err(self.malformed());
        }
        let shared = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(shared)
    }

    /// Everything that is left.
    pub(super) fn rest(mut self) -> Bytes {
        self.bytes.split_off(self.at)
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Nothing, if nothing is left.
    pub(super) fn finish(&self) -> Result<(), FramingError> {
        if self.left() == 0 { Ok(()) } else { Err(self.malformed()) }
    }

    /// The error that this payload is not of its form.
    pub(super) fn malformed(&self) -> FramingError {
        FramingError::Malformed(self.what)
    }
}

/// Appends `text` behind its length in one byte.
pub(super) fn put_short(text: &[u8], what: &'static str, out: &mut BytesMut) -> Result<(), FramingError> {
    out.put_u8(u8::try_from(text.len()).map_err(|_| FramingError::TooLarge(what))?);
    out.extend_from_slice(text);
    Ok(())
}

/// Appends `text` behind its length in two bytes.
pub(super) fn put_long(text: &[u8], what: &'static str, out: &mut BytesMut) -> Result<(), FramingError> {
    out.put_u16(u16::try_from(text.len()).map_err(|_| FramingError::TooLarge(what))?);
    out.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_never_past_the_end() {
        let mut payload = Payload::new(Bytes::from_static(&[1, 0, 2, b'a', b'b', 9]), "test");
        assert_eq!(payload.u8(), Ok(1));
        assert_eq!(payload.u16(), Ok(2));
        assert_eq!(payload.shared(2), Ok(Bytes::from_static(b"ab")));
        assert_eq!(payload.finish(), Err(FramingError::Malformed("test")));
        assert_eq!(payload.u64(), Err(FramingError::Malformed("test")));
        assert_eq!(payload.slice(2), Err(FramingError::Malformed("test")));
        assert_eq!(payload.shared(2), Err(FramingError::Malformed("test")));
        assert_eq!(payload.flag(), Err(FramingError::Malformed("test")));
        assert_eq!(payload.left(), 0);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let mut out = BytesMut::new();
        assert_eq!(put_short(&[0; 255], "short", &mut out), Ok(()));
        assert_eq!(put_short(&[0; 256], "short", &mut out), Err(FramingError::TooLarge("short")));
        assert_eq!(put_long(&vec![0; 65_535], "long", &mut out), Ok(()));
        assert_eq!(put_long(&vec![0; 65_536], "long", &mut out), Err(FramingError::TooLarge("long")));
    }
}
