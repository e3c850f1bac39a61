//! Do any bytes make the loading of documents panic, or accept without a word what it cannot read?
#![no_main]

use graticule_node_core::document::{Source, load};
use libfuzzer_sys::fuzz_target;

// A fleet document, then tenants' documents, separated by a line of `---`.
fuzz_target!(|input: &[u8]| {
    let mut sources = split(input)
        .into_iter()
        .enumerate()
        .map(|(at, text)| Source::new(format!("{at}.toml"), text.to_vec()));
    let Some(fleet) = sources.next() else { return };
    let tenants: Vec<Source> = sources.collect();
    if let Err(diagnostics) = load(&fleet, &tenants) {
        assert!(!diagnostics.is_empty(), "refused without a reason");
    }
});

fn split(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}

const SEPARATOR: &[u8] = b"\n---\n";
