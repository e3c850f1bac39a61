//! `graticule why`: where a request would go, and why not elsewhere.

use std::net::IpAddr;

use graticule_gossip_core::NodeName;
use graticule_node_api::{Why, WhyQuery, client};

use super::client::{block_on, call_as};
use super::output::{print, print_json, table};
use super::{AdminOptions, Failure};

/// Explain where a request would go, without sending one.
#[derive(Debug, clap::Args)]
pub(super) struct WhyOptions {
    /// The tenant's id
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// The node that would hold the client's connection
    #[arg(long, value_name = "NODE")]
    edge: Option<NodeName>,
    /// The path asked for
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    #[command(flatten)]
    admin: AdminOptions,
}

pub(super) fn run(options: &WhyOptions) -> Result<(), Failure> {
    let query = WhyQuery {
        tenant: options.tenant.clone(),
        ip: options.ip,
        edge: options.edge.clone(),
        path: options.path.clone(),
    };
    let why = block_on(call_as(options.admin.at(), &client::why(&query)))??;
    if options.admin.json {
        return print_json(&why);
    }
    print(explain(&why));
    Ok(())
}

/// A decision in sentences and a table.
pub(crate) fn explain(why: &Why) -> String {
    let outcome = match (&why.region, &why.reason) {
        (Some(region), _) if *region == why.edge_region => format!("served here, in {region}"),
        (Some(region), _) => format!("relayed to {region}"),
        (None, Some(reason)) => format!("refused: {reason} (status {})", why.status.unwrap_or_default()),
        (None, None) => "refused".to_owned(),
    };
    let country = match why.client_country.as_str() {
        "not-asked" => "no rule asks for the client's country".to_owned(),
        "unknown" => "the client's country is unknown".to_owned(),
        country => format!("the client is in {country}"),
    };
    let record = if why.record_here { "may" } else { "may not" };
    let row = |candidate: &graticule_node_api::Candidate| {
        vec![
            candidate.region.to_string(),
            candidate.tier.map_or_else(|| "-".to_owned(), |tier| (tier + 1).to_string()),
            format!("{:.1}", candidate.cost_ms),
            candidate.verdict.clone(),
        ]
    };
    let rows: Vec<_> = why.candidates.iter().map(row).collect();
    format!(
        "{} {} at {} ({}): {outcome}\n{country}; {} {record} record the request\n\n{}",
        why.tenant,
        why.path,
        why.edge,
        why.edge_region,
        why.edge,
        table(&["REGION", "TIER", "COST MS", "VERDICT"], &rows)
    )
}
