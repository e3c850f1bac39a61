//! Which data is part of the program, and whom to thank for it.

/// What to print wherever the embedded data is passed on: its license asks for the name and the link.
pub const ATTRIBUTION: &str = "IP Geolocation by DB-IP (https://db-ip.com), IP to Country Lite of June 2026, \
licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)";

/// See `data/LICENSE-DBIP.txt`.
pub(super) const BYTES: &[u8] = include_bytes!("../../data/dbip-country-lite.mmdb");
