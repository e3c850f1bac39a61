//! What does the access log say of a request? One JSON object on a line.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::outcome::{Outcome, Protocol};
use crate::policy::AddressMask;

mod json;
mod timestamp;

use json::{Object, key};
pub use timestamp::Timestamps;

/// Everything that a line tells.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When the request ended, in microseconds since 1970.
    pub ended_us: u64,
    /// Which node writes.
    pub node: &'a str,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// How it came.
    pub protocol: Protocol,
    /// Whose it was, if that is known.
    pub tenant: Option<&'a str>,
    /// The edge's region, if this is the edge, and the one that served it, if one did.
    pub regions: [Option<&'a str>; 2],
    /// What was decided, in a word.
    pub decision: &'a str,
    /// Who answered it or was asked last, if this node asked.
    pub backend: Option<Asked<'a>>,
    /// Until a peer accepted it, if one did.
    pub accepted: Option<Duration>,
    /// Until its answer's head was there, if it was.
    pub first_byte: Option<Duration>,
    /// What only regions may keep that the tenant's rules allow to.
    pub personal: Option<Personal<'a>>,
}

/// The backend that was asked last.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What its pool is called.
    pub pool: &'a str,
    /// Where it is.
    pub address: SocketAddr,
    /// How many were asked, it included.
    pub attempts: u8,
}

/// What of a request tells who sent it, or what for.
#[derive(Debug, Clone, Copy)]
pub struct Personal<'a> {
    /// The client, if it can be told.
    pub client: Option<IpAddr>,
    /// How much of that may be written.
    pub addresses: AddressMask,
    /// The method.
    pub method: &'a str,
    /// The host.
    pub host: &'a str,
    /// The path, without the query: queries carry secrets too often.
    pub path: &'a str,
    /// The id that the client got with its answer.
    pub request_id: Option<&'a str>,
    /// The id of its trace, in hexadecimal digits.
    pub trace_id: Option<&'a str>,
}

impl Entry<'_> {
    /// Appends the line.
    pub fn write(&self, timestamps: &mut Timestamps, out: &mut String) {
        let mut object = Object::new(out);
        timestamps.write(self.ended_us, object.raw("{\"time\":"));
        object.word(key!("node"), self.node);
        object.word(key!("role"), self.outcome.role.label());
        object.word(key!("protocol"), self.protocol.label());
        object.optional(key!("tenant"), self.tenant);
        object.words(key!("regions"), self.regions.into_iter().flatten());
        object.word(key!("decision"), self.decision);
        object.optional(key!("reason"), self.outcome.reason.map(|reason| reason.row().label));
        match self.outcome.status {
            Some(status) => object.number(key!("status"), status.into()),
            None => object.optional(key!("status"), None),
        }
        object.number(key!("attempts"), self.outcome.attempts.into());
        if let Some(Asked { pool, address, attempts }) = self.backend {
            object.word(key!("pool"), pool);
            object.address(key!("backend"), address);
            object.number(key!("backend_attempts"), attempts.into());
        }
        object.number(key!("bytes_up"), self.outcome.bytes_up);
        object.number(key!("bytes_down"), self.outcome.bytes_down);
        object.boolean(key!("complete"), self.outcome.complete);
        object.milliseconds(key!("duration_ms"), Some(self.outcome.total));
        object.milliseconds(key!("accepted_ms"), self.accepted);
        object.milliseconds(key!("first_byte_ms"), self.first_byte);
        if let Some(personal) = &self.personal {
            personal.write(&mut object);
        }
        object.end();
        out.push('\n');
    }
}

impl Personal<'_> {
    fn write(&self, object: &mut Object<'_>) {
        if let Some(client) = self.client.filter(|_| self.addresses != AddressMask::Nothing) {
            let out = object.raw(key!("client"));
            out.push('"');
            self.addresses.write(client, out);
            out.push('"');
        }
        object.word(key!("method"), self.method);
        object.text(key!("host"), self.host);
        object.text(key!("path"), self.path);
        match self.request_id {
            Some(id) => object.text(key!("request_id"), id),
            None => object.optional(key!("request_id"), None),
        }
        object.optional(key!("trace_id"), self.trace_id);
    }
}

#[cfg(test)]
mod tests;
