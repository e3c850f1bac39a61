//! `graticule token`: a token for the admin API, and what nodes are to know of it.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;

use super::{Failure, output};

/// Draw a token for the admin API.
#[derive(Debug, clap::Args)]
pub(super) struct TokenOptions {
    /// Whose it is
    #[arg(long)]
    name: String,
    /// What it may do
    #[arg(long, value_enum)]
    role: Role,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Role {
    /// Read
    Viewer,
    /// Read, drain and undrain
    Operator,
}

/// Writes the table for node.toml to standard output; the token itself, which is nowhere else, to standard error.
pub(super) fn run(options: &TokenOptions) -> Result<(), Failure> {
    let mut bytes = [0; TOKEN_BYTES];
    rand::fill(&mut bytes).map_err(|_| Failure::Failed("the machine gives no randomness".to_owned()))?;
    let token = format!("graticule_{}", hex(&bytes));
    let role = match options.role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
    };
    let hash = hex(digest(&SHA256, token.as_bytes()).as_ref());
    output::print_error(format_args!("the token, shown this once: {token}"));
    output::print(format_args!(
        "[[admin.tokens]]\nname = {:?}\nrole = \"{role}\"\nsha256 = \"{hash}\"",
        options.name
    ));
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Strings can be written to.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const TOKEN_BYTES: usize = 32;
