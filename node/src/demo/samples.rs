//! A dozen requests from real public addresses, each through the edge nearest to it.

use std::net::IpAddr;

use graticule_geo::{Country, Location, Locator};
use graticule_node_api::{Why, WhyQuery, client};
use http::{HeaderName, header};

use super::fleet::Fleet;
use super::plan::{Node, REGIONS, TENANTS, Tenant};
use crate::cli::Failure;
use crate::cli::client::{call, get};
use crate::cli::output::{print, table};

/// Sends the requests and prints where each was served, and why.
pub(super) async fn show(fleet: &Fleet) -> Result<(), Failure> {
    let locator = Locator::default();
    let mut rows = Vec::new();
    for (address, whose, tenant) in SAMPLES {
        let address: IpAddr = address.parse().map_err(|error| Failure::doing("an address", error))?;
        let location = locator.locate(address);
        let tenant = &TENANTS[tenant];
        if let Some(edge) = nearest(fleet, location) {
            let (served, why) = ask(edge, tenant, address).await?;
            let country =
                location.country().map_or_else(|| "?".to_owned(), |country: Country| country.to_string());
            let from = format!("{address} ({whose}, {country})");
            rows.push(vec![from, tenant.id.to_owned(), edge.region.name.to_owned(), served, why]);
        }
    }
    print(table(&["CLIENT", "TENANT", "EDGE", "SERVED IN", "WHY"], &rows));
    Ok(())
}

/// A node of the region nearest to a place.
fn nearest(fleet: &Fleet, location: Location) -> Option<&Node> {
    let Location::Known { coordinates: Some(client), .. } = location else {
        return fleet.edge(REGIONS[0].name);
    };
    let distance = |region: &&super::plan::Region| client.distance(region.coordinates).0;
    let nearest = REGIONS.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    fleet.edge(nearest.name)
}

async fn ask(edge: &Node, tenant: &Tenant, address: IpAddr) -> Result<(String, String), Failure> {
    let client_address = address.to_string();
    let headers = [(header::HOST, tenant.host), (FORWARDED_FOR, client_address.as_str())];
    let answer = get(&edge.http.to_string(), PATH, &headers).await;
    let answer = answer.map_err(|error| Failure::doing(format!("a request through {}", edge.name), error))?;
    let region = answer.headers().get("x-graticule-region").and_then(|region| region.to_str().ok());
    let served = region.map_or_else(|| format!("refused ({})", answer.status().as_u16()), ToOwned::to_owned);
    let query =
        WhyQuery { tenant: tenant.id.to_owned(), ip: Some(address), edge: None, path: Some(PATH.to_owned()) };
    let why = call(&edge.admin.to_string(), &client::why(&query)).await?;
    Ok((served, reasons(&why)))
}

/// Every region's verdict, the chosen one first.
fn reasons(why: &Why) -> String {
    let mut candidates: Vec<_> = why.candidates.iter().collect();
    candidates.sort_by_key(|candidate| candidate.verdict != "chosen");
    let said = candidates
        .iter()
        .map(|candidate| format!("{} {} ({:.0} ms)", candidate.region, candidate.verdict, candidate.cost_ms));
    said.collect::<Vec<_>>().join(", ")
}

const PATH: &str = "/hello";
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Address, whose it is, and the tenant it asks for.
const SAMPLES: [(&str, &str, usize); 12] = [
    ("134.76.10.46", "Göttingen", 0),
    ("129.20.128.1", "Rennes", 2),
    ("129.132.19.216", "Zürich", 1),
    ("131.111.150.25", "Cambridge", 1),
    ("18.9.22.69", "MIT", 2),
    ("142.150.190.1", "Toronto", 0),
    ("143.107.254.11", "São Paulo", 2),
    ("137.132.21.27", "Singapore", 2),
    ("150.203.22.1", "Canberra", 0),
    ("130.69.96.1", "Tokyo", 2),
    ("14.139.34.1", "Delhi", 1),
    ("2001:638:607::1", "DFN", 2),
];
