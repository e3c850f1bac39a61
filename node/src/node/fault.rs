//! What would keep a node from starting, told where its configuration asks for it.

use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::Diagnostic;

use super::StartError;
use crate::identity::IdentityError;

impl StartError {
    /// What is wrong: of documents in their own places, of all else where the configuration says so.
    pub fn diagnostics(&self, config: &NodeConfig) -> Vec<Diagnostic> {
        match self {
            Self::Documents(diagnostics) => diagnostics.clone(),
            _ => vec![config.places.error(self.key(config), self.to_string())],
        }
    }

    /// The key of the configuration that names what failed.
    fn key(&self, config: &NodeConfig) -> Option<&'static str> {
        let ingress = &config.ingress;
        match self {
            Self::Name(_) => Some("name"),
            Self::Region(_) => Some("mesh.certificate"),
            Self::Identity(IdentityError::File { path, .. }) => {
                let mesh = &config.mesh;
                let files = [
                    (&mesh.certificate, "mesh.certificate"),
                    (&mesh.key, "mesh.key"),
                    (&mesh.authorities, "mesh.authorities"),
                ];
                files.into_iter().find(|(file, _)| *file == path).map(|(_, key)| key)
            }
            Self::Listen(address, _) if *address == ingress.http => Some("ingress.http"),
            Self::Listen(address, _) if ingress.https.as_ref().is_some_and(|(https, _)| https == address) => {
                Some("ingress.https")
            }
            Self::Listen(address, _) if *address == config.admin.listen => Some("admin.listen"),
            Self::Listen(address, _) if *address == config.mesh.listen => Some("mesh.listen"),
            Self::Endpoint(_) => Some("mesh.listen"),
            Self::Certificates(_) => Some("ingress.certificates"),
            Self::Geo(_) => Some("geo.databases"),
            Self::Data(..) => Some("data"),
            Self::AccessLog(..) => Some("access_log.path"),
            Self::Documents(_) | Self::Identity(_) | Self::Listen(..) | Self::Gossip(_) | Self::Thread(_) => {
                None
            }
        }
    }
}
