//! What does one MaxMind-format file know: opened once, checked whole, then asked.

use std::borrow::Cow;
use std::net::IpAddr;

use maxminddb::Reader;

use crate::Location;

mod check;
mod embedded;
mod error;
mod schema;

pub use embedded::ATTRIBUTION;
pub use error::DatabaseError;
use schema::Schema;

/// An opened database: immutable, and checked to be whole.
#[derive(Debug)]
pub struct Database {
    reader: Reader<Cow<'static, [u8]>>,
    schema: Schema,
}

/// Which addresses a database can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6, and IPv4 if the file has it: it may be the second half of a pair of files.
    V6,
}

impl Database {
    /// The longest file that is opened, in bytes.
    pub const BYTES_MAX: usize = 1 << 30;

    /// Opens a database: of the nested schema of `GeoIP2` and `GeoLite2` (`country.iso_code`, else
    /// `registered_country.iso_code`, and `location`) or of the flat one (`country_code`, `latitude`, `longitude`).
    ///
    /// The registered country is used where the file names no other, because then it is what every other database
    /// says of that address too. Reads the whole file to find out whether it is whole: about 10 ms for each megabyte.
    /// The error says what is wrong with the file.
    pub fn open(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, DatabaseError> {
        let bytes = bytes.into();
        let schema = check::check(&bytes)?;
        Ok(Self { reader: check::reader(bytes)?, schema })
    }

    /// The database that is part of the program: countries of the whole address space, by [`ATTRIBUTION`].
    /// It is not checked again: the tests of this crate have done so, and also that this cannot fail.
    pub fn embedded() -> Result<Self, DatabaseError> {
        Ok(Self { reader: check::reader(Cow::Borrowed(embedded::BYTES))?, schema: Schema::Flat })
    }

    /// Where `address` is. Unknown if the file does not have it, names no assigned country, or is for the other
    /// family. The address is taken as it is: that private ones are nowhere is for [`Locator`](crate::Locator) to say.
    pub fn locate(&self, address: IpAddr) -> Location {
        if address.is_ipv6() && self.families() == Families::V4 {
            return Location::Unknown;
        }
        let found = self.reader.lookup(address).ok().and_then(|found| self.schema.read(&found).ok());
        found.unwrap_or(Location::Unknown)
    }

    /// Which addresses it can be asked about.
    pub fn families(&self) -> Families {
        if self.reader.metadata().ip_version == 4 { Families::V4 } else { Families::V6 }
    }

    /// What its maker calls it, such as `GeoLite2-City`.
    pub fn database_type(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was built, in seconds since 1970.
    pub fn built_s(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// The nodes of its search tree: grows with what it knows.
    pub fn tree_nodes(&self) -> u32 {
        self.reader.metadata().node_count
    }
}

#[cfg(test)]
mod tests;
