//! `graticule ca`: the mesh's authority and the nodes' certificates.

use std::path::PathBuf;

use clap::Subcommand;
use graticule_gossip_core::{MeshName, NodeName, RegionName};

use super::output::print;
use super::{Failure, shown};
use crate::identity::ca;
use crate::world::World;

/// Make certificates for the mesh.
#[derive(Debug, clap::Args)]
pub(super) struct CaOptions {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Make an authority: ca.pem, and ca.key, which stays with you
    Init {
        /// Where to write it
        directory: PathBuf,
        /// The name of the mesh
        #[arg(long)]
        mesh: MeshName,
        /// For how long it is valid
        #[arg(long, default_value_t = ca::AUTHORITY_DAYS_DEFAULT, value_name = "DAYS")]
        days: u32,
    },
    /// Make a certificate and key for one node
    Issue {
        /// The authority's directory
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// The node's region, as in the fleet document
        #[arg(long)]
        region: RegionName,
        /// The node's name, unique in the fleet
        #[arg(long)]
        node: NodeName,
        /// Where to write NODE.pem, NODE.key and ca.pem
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// For how long it is valid
        #[arg(long, default_value_t = ca::CERTIFICATE_DAYS_DEFAULT, value_name = "DAYS")]
        days: u32,
        /// Replace files that exist
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(options: CaOptions) -> Result<(), Failure> {
    let now = World::system().clock.wall();
    let failed = |error| Failure::Failed(format!("{error}"));
    match options.command {
        CaCommand::Init { directory, mesh, days } => {
            ca::init(&directory, &mesh, days, now).map_err(failed)?;
            print(format_args!(
                "authority of mesh `{mesh}` in {}; keep ca.key off the nodes",
                shown(&directory)
            ));
        }
        CaCommand::Issue { ca: authority, region, node, out, days, force } => {
            let issue = ca::Issue { region, node, valid_days: days, overwrite: force };
            let issued = ca::issue(&authority, &out, &issue, now).map_err(failed)?;
            print(shown(&issued.files.certificate));
        }
    }
    Ok(())
}
