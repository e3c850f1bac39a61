//! `graticule status`: the fleet in a table.

use graticule_node_api::client;
use graticule_node_api::{Node, Region, Reload, Tunnel};
use serde::Serialize;

use super::client::{block_on, call_as};
use super::output::{print, print_json, table};
use super::{AdminOptions, Failure};

/// Show the fleet as one node sees it.
#[derive(Debug, clap::Args)]
pub(super) struct StatusOptions {
    #[command(flatten)]
    pub(super) admin: AdminOptions,
}

#[derive(Debug, Serialize)]
struct Status {
    nodes: Vec<Node>,
    regions: Vec<Region>,
    tunnels: Vec<Tunnel>,
    reloads: Vec<Reload>,
}

pub(super) fn run(options: &AdminOptions) -> Result<(), Failure> {
    let status = block_on(ask(options.at()))??;
    if options.json {
        return print_json(&status);
    }
    print(regions(&status.regions));
    print("");
    print(nodes(&status));
    status.reloads.iter().filter_map(refused).for_each(print);
    Ok(())
}

async fn ask(admin: (&str, Option<&str>)) -> Result<Status, Failure> {
    Ok(Status {
        nodes: call_as(admin, &client::nodes()).await?,
        regions: call_as(admin, &client::regions()).await?,
        tunnels: call_as(admin, &client::tunnels()).await?,
        // A node of an older version does not know.
        reloads: call_as(admin, &client::reloads()).await.unwrap_or_default(),
    })
}

fn regions(regions: &[Region]) -> String {
    let row = |region: &Region| {
        let here = if region.this { " *" } else { "" };
        vec![
            format!("{}{here}", region.name),
            region.country.clone(),
            format!("{:.0}", region.distance_km),
            format!("{:.1}", region.cost_ms),
            format!("{:.2}", region.load),
            format!("{}/{}", region.peers_usable, region.peers),
        ]
    };
    let rows: Vec<_> = regions.iter().map(row).collect();
    table(&["REGION", "COUNTRY", "KM", "COST MS", "LOAD", "PEERS USABLE"], &rows)
}

fn nodes(status: &Status) -> String {
    let row = |node: &Node| {
        let tunnel = status.tunnels.iter().find(|tunnel| tunnel.node == node.name);
        let state = if node.this && !node.draining { "this node" } else { &node.state };
        vec![
            node.name.to_string(),
            node.region.to_string(),
            state.to_owned(),
            tunnel.map_or_else(|| "-".to_owned(), |tunnel| tunnel.condition.clone()),
            tunnel.and_then(|tunnel| tunnel.rtt_ms).map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1}")),
            clients(node),
            node.fleet_version.to_string(),
            node.policy_digest.chars().take(DIGEST_CHARS).collect(),
            tunnel.and_then(|tunnel| tunnel.reason.clone()).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = status.nodes.iter().map(row).collect();
    table(&["NODE", "REGION", "STATE", "TUNNEL", "RTT MS", "CLIENTS", "FLEET", "DOCUMENTS", "REASON"], &rows)
}

/// What this node would not start with.
fn refused(reload: &Reload) -> Option<String> {
    let seconds = reload.refused_for_ms? / 1_000;
    let (what, errors) = (&reload.what, reload.errors.join("\n"));
    Some(format!(
        "\n{what}: refused for {seconds} s; what was before stays, until this node is restarted\n{errors}"
    ))
}

/// Where clients come in, as far as the answering node knows.
fn clients(node: &Node) -> String {
    let http = node.http.map(|address| format!("http {address}"));
    let https = node.https.map(|address| format!("https {address}"));
    let shown: Vec<_> = http.into_iter().chain(https).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}

/// Enough to see whether two are the same.
const DIGEST_CHARS: usize = 12;
