//! What a test's fleet is to be: regions, nodes, tenants, and the distances between them.

use std::fmt::Write;
use std::time::Duration;

use graticule_geo::Coordinates;

use crate::Fleet;

/// A region of a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Its name.
    pub name: &'static str,
    country: &'static str,
    latitude: f64,
    longitude: f64,
}

/// Frankfurt, under German law.
pub const EU_CENTRAL: Region = Region { name: "eu-central", country: "DE", latitude: 50.11, longitude: 8.68 };
/// Paris, under French law.
pub const EU_WEST: Region = Region { name: "eu-west", country: "FR", latitude: 48.86, longitude: 2.35 };
/// London, under British law.
pub const UK: Region = Region { name: "uk", country: "GB", latitude: 51.51, longitude: -0.13 };
/// Nowhere, under nobody's law that counts here.
pub const ATLANTIS: Region = Region { name: "atlantis", country: "PT", latitude: 35.0, longitude: -35.0 };
/// Ashburn in Virginia, under the law of the United States.
pub const US_EAST: Region = Region { name: "us-east", country: "US", latitude: 39.04, longitude: -77.49 };
/// Singapore.
pub const AP_SOUTHEAST: Region =
    Region { name: "ap-southeast", country: "SG", latitude: 1.29, longitude: 103.85 };

/// A fleet to be started.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) mesh: &'static str,
    pub(crate) regions: Vec<Region>,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) nodes_per_region: usize,
    pub(crate) backends_per_region: usize,
    pub(crate) over_wan: bool,
    /// The names of each certificate that clients see.
    pub(crate) certificates: Vec<Vec<&'static str>>,
}

/// A tenant: its id, what stands in its document before the pools, and the regions that have a pool.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    rules: String,
    pools: Vec<&'static str>,
}

impl Plan {
    /// These regions, with one node and one backend each.
    pub fn new(regions: impl IntoIterator<Item = Region>) -> Self {
        Self {
            mesh: MESH,
            regions: regions.into_iter().collect(),
            tenants: Vec::new(),
            nodes_per_region: 1,
            backends_per_region: 1,
            over_wan: false,
            certificates: Vec::new(),
        }
    }

    /// In a mesh of another name.
    #[must_use]
    pub fn in_mesh(mut self, mesh: &'static str) -> Self {
        self.mesh = mesh;
        self
    }

    /// So many nodes in each region.
    #[must_use]
    pub fn nodes_per_region(mut self, nodes: usize) -> Self {
        self.nodes_per_region = nodes;
        self
    }

    /// So many backends in each region, shared by all tenants.
    #[must_use]
    pub fn backends_per_region(mut self, backends: usize) -> Self {
        self.backends_per_region = backends;
        self
    }

    /// Nodes speak TLS, and show this certificate, among others, to clients that ask for one of its names.
    #[must_use]
    pub fn certificate(mut self, names: &[&'static str]) -> Self {
        self.certificates.push(names.to_vec());
        self
    }

    /// What nodes of two regions send each other takes as long as light in glass over the distance.
    #[must_use]
    pub fn over_wan(mut self) -> Self {
        self.over_wan = true;
        self
    }

    /// A tenant with pools in every region; `rules` are the matches, residency and routes of its document.
    #[must_use]
    pub fn tenant(self, id: &str, rules: &str) -> Self {
        let everywhere: Vec<_> = self.regions.iter().map(|region| region.name).collect();
        self.tenant_in(id, rules, everywhere)
    }

    /// A tenant with pools in some regions only.
    #[must_use]
    pub fn tenant_in(mut self, id: &str, rules: &str, pools: impl Into<Vec<&'static str>>) -> Self {
        self.tenants.push(Tenant { id: id.to_owned(), rules: rules.to_owned(), pools: pools.into() });
        self
    }

    /// Starts it, and waits until every node reaches every other.
    pub async fn start(self) -> Fleet {
        Fleet::start(self).await
    }

    /// The fleet document.
    pub(crate) fn fleet_document(&self) -> String {
        let mut text = format!("version = 1\nmesh = \"{}\"\n", self.mesh);
        for Region { name, country, latitude, longitude } in &self.regions {
            write!(
                text,
                "\n[regions.{name}]\ncountry = \"{country}\"\nlatitude = {latitude:?}\nlongitude = {longitude:?}\n"
            )
            .expect("strings can be written to");
        }
        format!("{text}\n{}", graticule_geo::STARTER_SETS)
    }
}

impl Tenant {
    /// Its document; `backends` gives the addresses in a region.
    pub(crate) fn document(&self, backends: impl Fn(&str) -> Vec<String>) -> String {
        let mut text = format!("version = 1\nid = \"{}\"\n{}\n", self.id, self.rules);
        for region in &self.pools {
            let addresses = backends(region);
            write!(text, "\n[pools.{region}]\nbackends = {addresses:?}\n{CHECK}\n")
                .expect("strings can be written to");
        }
        text
    }
}

impl Region {
    /// How long light in glass takes there and back: two thirds of the speed of light, along the great circle.
    pub fn round_trip(self, other: Self) -> Duration {
        let place = |region: Self| Coordinates::new(region.latitude, region.longitude);
        let (here, there) = (place(self).expect("on the Earth"), place(other).expect("on the Earth"));
        Duration::from_secs_f64(2.0 * here.distance(there).0 / KM_PER_SECOND)
    }
}

/// The mesh of a test's fleet, unless the test says otherwise.
const MESH: &str = "trial";
/// Quick, patient enough for a machine under load, and the same question for all tenants, so that they see one answer.
const CHECK: &str = "check = { path = \"/healthz\", host = \"backend.test\", interval = \"500ms\", \
     timeout = \"500ms\", fall = 2, rise = 1 }";
const KM_PER_SECOND: f64 = 299_792.458 * 2.0 / 3.0;
