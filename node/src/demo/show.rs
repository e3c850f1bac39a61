//! What the demo prints: what runs where, and what to try.

use serde_json::json;

use super::fleet::Fleet;
use super::plan::{REGIONS, TENANTS};
use crate::cli::Failure;
use crate::cli::output::table;

/// One line of JSON for programs.
pub(super) fn ready_line(fleet: &Fleet) -> Result<String, Failure> {
    let nodes: Vec<_> = fleet
        .nodes
        .iter()
        .map(|(node, process)| {
            json!({
                "name": node.name, "region": node.region.name, "pid": process.pid,
                "http": node.http, "https": node.https, "mesh": node.mesh, "admin": node.admin,
            })
        })
        .collect();
    let tenants: Vec<_> = TENANTS
        .iter()
        .map(|tenant| json!({ "id": tenant.id, "hosts": [tenant.host], "residency": tenant.residency }))
        .collect();
    let backends: Vec<_> = fleet
        .backends
        .iter()
        .map(|backend| json!({ "region": backend.region, "address": backend.address, "pid": backend.process.pid }))
        .collect();
    let line = json!({
        "ready": true,
        "authority": fleet.files.authority().join("ca.pem"),
        "clients_authority": fleet.files.clients_authority(),
        "nodes": nodes,
        "tenants": tenants,
        "backends": backends,
    });
    serde_json::to_string(&line).map_err(|error| Failure::doing("cannot write JSON", error))
}

/// What runs where.
pub(super) fn introduction(fleet: &Fleet) -> String {
    let nodes: Vec<_> = fleet
        .nodes
        .iter()
        .map(|(node, process)| {
            vec![
                node.name.clone(),
                node.region.city.to_owned(),
                process.pid.to_string(),
                format!("http://{}", node.http),
                format!("udp {}", node.mesh),
                node.admin.to_string(),
            ]
        })
        .collect();
    let tenants: Vec<_> = TENANTS
        .iter()
        .map(|tenant| vec![tenant.id.to_owned(), tenant.host.to_owned(), tenant.residency.to_owned()])
        .collect();
    let backends: Vec<_> = REGIONS
        .iter()
        .map(|region| {
            let there = fleet.backends.iter().filter(|backend| backend.region == region.name);
            let shown = |backend: &super::process::Backend| {
                format!("{} (pid {})", backend.address, backend.process.pid)
            };
            vec![region.name.to_owned(), there.map(shown).collect::<Vec<_>>().join(", ")]
        })
        .collect();
    format!(
        "{}\n\n{}\n\n{}\n",
        table(&["NODE", "PLACE", "PID", "CLIENTS", "MESH", "ADMIN"], &nodes),
        table(&["TENANT", "HOST", "MAY BE SERVED"], &tenants),
        table(&["BACKENDS OF", "ADDRESSES"], &backends),
    )
}

/// What to try.
pub(super) fn suggestions(fleet: &Fleet) -> String {
    let (Some(eu), Some(us)) = (fleet.edge("eu-central"), fleet.edge("us-east")) else {
        return String::new();
    };
    let pids: Vec<_> = fleet
        .nodes
        .iter()
        .filter(|(node, _)| node.region.name == "eu-central")
        .map(|(_, process)| process.pid.to_string())
        .collect();
    format!(
        r"
Try, in another terminal:
  curl -i -H 'Host: berlin.example' http://{us}/hello          # relayed from us-east to the EU
  curl -i -H 'Host: globe.example'  http://{us}/hello          # served in us-east
  curl -i --cacert {authority} --resolve globe.example:{us_https}:127.0.0.1 https://globe.example:{us_https}/hello
  graticule why --admin {us_admin} --tenant berlin --path /hello
  graticule status --admin {eu_admin}
  kill -9 {pids}   # the EU goes dark: berlin is refused, globe is served elsewhere

Ctrl-C ends everything and leaves nothing behind.",
        us = us.http,
        us_https = us.https.port(),
        authority = fleet.files.clients_authority().display(),
        us_admin = us.admin,
        eu_admin = eu.admin,
        pids = pids.join(" "),
    )
}
