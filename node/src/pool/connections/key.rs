//! What makes a request go to the same backend as others: the hash of the pool's key.

use std::net::IpAddr;

use graticule_node_core::policy::{Balance, HashKey, Pool};
use graticule_node_core::pool::key_hash;
use http::{HeaderMap, header};

/// The hash of the key that `pool` asks for; `None` if it asks for none, or the request has none.
pub(super) fn of(pool: &Pool, headers: &HeaderMap, client: Option<IpAddr>) -> Option<u64> {
    let Balance::Maglev(key) = &pool.balance else { return None };
    match key {
        HashKey::Address => match client? {
            IpAddr::V4(address) => Some(key_hash(&address.octets())),
            IpAddr::V6(address) => Some(key_hash(&address.octets())),
        },
        HashKey::Header(name) => headers.get(name).map(|value| key_hash(value.as_bytes())),
        HashKey::Cookie(name) => cookie(headers, name.as_bytes()).map(key_hash),
    }
}

/// The value of a cookie: of the first with this name.
fn cookie<'h>(headers: &'h HeaderMap, name: &[u8]) -> Option<&'h [u8]> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fields;

    fn keyed(key: HashKey) -> Pool {
        Pool { balance: Balance::Maglev(key), ..Pool::of([]) }
    }

    #[test]
    fn a_cookie_is_found_among_others_and_by_its_whole_name() {
        let pool = keyed(HashKey::Cookie("session".into()));
        let hash = |line: &str| of(&pool, &fields(&[("cookie", line)]), None);
        assert_eq!(hash("a=1; session=x; b=2"), Some(key_hash(b"x")));
        assert_eq!(hash("xsession=1; session2=2"), None);
        assert_eq!(hash("session="), Some(key_hash(b"")));
        assert_eq!(of(&pool, &HeaderMap::new(), None), None);
    }

    #[test]
    fn headers_and_addresses_are_keys_and_other_balances_have_none() {
        let headers = fields(&[("x-user", "7")]);
        let by_header = keyed(HashKey::Header("x-user".parse().unwrap()));
        assert_eq!(of(&by_header, &headers, None), Some(key_hash(b"7")));
        let by_address = keyed(HashKey::Address);
        let client = Some([192, 0, 2, 7].into());
        assert_eq!(of(&by_address, &headers, client), Some(key_hash(&[192, 0, 2, 7])));
        assert_eq!(of(&by_address, &headers, None), None);
        assert_eq!(of(&Pool::of([]), &headers, client), None);
    }
}
