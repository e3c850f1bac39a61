//! How an announcement is written as gossip values, and read back from values that anybody may have written.
//!
//! One value for each thing that changes by itself, so that a change resends little; nothing that changes by the
//! second, so that a quiet node is silent. A reader ignores keys it does not know; a later version adds keys and
//! never changes the form of these.

use std::net::SocketAddr;

use super::{Announcement, AnnouncementError, Generation, MeshAddress};
use crate::NodeName;

impl Announcement {
    /// The values that say this: at most [`VALUES_MAX`], each at most [`VALUE_BYTES_MAX`] bytes. The name and the
    /// generation are not among them: they are whose values these are.
    ///
    /// Software and digest are clipped to their limits and to the characters they may have, so that whatever a node
    /// says of itself can be read by others.
    pub fn to_values(&self) -> Vec<(&'static str, String)> {
        let digest = clipped(&self.policy_digest, POLICY_DIGEST_BYTES_MAX, in_digest);
        let documents = if digest.is_empty() {
            self.fleet_version.to_string()
        } else {
            format!("{} {digest}", self.fleet_version)
        };
        vec![
            (REGION, self.region.to_string()),
            (MESH, format!("{} {}", self.mesh.base, self.mesh.workers)),
            (SOFTWARE, clipped(&self.software, SOFTWARE_BYTES_MAX, in_software)),
            (DOCUMENTS, documents),
            (DRAINING, if self.draining { YES } else { NO }.to_owned()),
        ]
    }

    /// What `node` says of itself as of `generation`, from its values by key.
    ///
    /// Every value must be exactly as [`Announcement::to_values`] would write it.
    pub fn from_values<'a>(
        node: NodeName,
        generation: Generation,
        lookup: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, AnnouncementError> {
        let value = |key| match lookup(key) {
            None => Err(AnnouncementError::Missing(key)),
            Some(value) if value.len() > VALUE_BYTES_MAX => Err(AnnouncementError::Malformed(key)),
            Some(value) => Ok(value),
        };
        let region = value(REGION)?.parse().map_err(|_| AnnouncementError::Malformed(REGION))?;
        let mesh = mesh(value(MESH)?).ok_or(AnnouncementError::Malformed(MESH))?;
        let software = legal(value(SOFTWARE)?, SOFTWARE_BYTES_MAX, in_software)
            .ok_or(AnnouncementError::Malformed(SOFTWARE))?;
        let (fleet_version, policy_digest) =
            documents(value(DOCUMENTS)?).ok_or(AnnouncementError::Malformed(DOCUMENTS))?;
        let draining = match value(DRAINING)? {
            YES => true,
            NO => false,
            _ => return Err(AnnouncementError::Malformed(DRAINING)),
        };
        Ok(Self { node, region, generation, mesh, software, fleet_version, policy_digest, draining })
    }
}

/// `203.0.113.7:4400 2`
fn mesh(text: &str) -> Option<MeshAddress> {
    let (base, workers) = text.split_once(' ')?;
    MeshAddress::dialable(canonical::<SocketAddr>(base)?, canonical(workers)?)
}

/// `17 9f86d081`, or `17` as long as no other document is active.
fn documents(text: &str) -> Option<(u64, String)> {
    match text.split_once(' ') {
        None => Some((canonical(text)?, String::new())),
        Some((_, "")) => None,
        Some((version, digest)) => {
            Some((canonical(version)?, legal(digest, POLICY_DIGEST_BYTES_MAX, in_digest)?))
        }
    }
}

/// The value that is written exactly as `text`: no sign, no leading zeros, no other spelling of an address.
fn canonical<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|value: &T| value.to_string() == text)
}

fn legal(text: &str, bytes_max: usize, may: fn(char) -> bool) -> Option<String> {
    (text.len() <= bytes_max && text.chars().all(may)).then(|| text.to_owned())
}

fn clipped(text: &str, bytes_max: usize, may: fn(char) -> bool) -> String {
    text.chars().filter(|c| may(*c)).take(bytes_max).collect()
}

fn in_software(c: char) -> bool {
    c.is_ascii_graphic()
}

fn in_digest(c: char) -> bool {
    c.is_ascii_digit() || ('a'..='f').contains(&c)
}

/// No value of an announcement is longer.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;
/// No announcement has more values.
pub const VALUES_MAX: usize = 8;

const SOFTWARE_BYTES_MAX: usize = 32;
const POLICY_DIGEST_BYTES_MAX: usize = 64;

const REGION: &str = "region";
const MESH: &str = "mesh";
const SOFTWARE: &str = "software";
const DOCUMENTS: &str = "documents";
const DRAINING: &str = "draining";
const YES: &str = "yes";
const NO: &str = "no";

#[cfg(test)]
mod tests;
