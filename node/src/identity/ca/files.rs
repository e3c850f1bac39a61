//! An authority's files and a node's, on the machine that issues: what `graticule ca` does.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use graticule_gossip_core::{MeshName, NodeName, RegionName};

use super::{Authority, Issued};
use crate::identity::pem::PEM_BYTES_MAX;
use crate::identity::{IdentityError, IdentityFiles};

/// What a node's certificate is ordered with.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The region that the node belongs to.
    pub region: RegionName,
    /// The node.
    pub node: NodeName,
    /// Days from now, 1 to 36,500.
    pub valid_days: u32,
    /// Whether an existing certificate and key of that name are replaced. A running node takes the new ones by itself.
    pub overwrite: bool,
}

/// What was written for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedFiles {
    /// Where.
    pub files: IdentityFiles,
    /// When the certificate ends; earlier than ordered if the authority ends before.
    pub not_after: SystemTime,
}

/// Makes an authority for `mesh` and writes `ca.pem` and `ca.key` (mode 0600) into `directory`, which it makes if need
/// be. Never overwrites: who loses an authority's key cannot issue for its mesh again. Gives when the authority ends.
pub fn init(
    directory: &Path,
    mesh: &MeshName,
    valid_days: u32,
    now: SystemTime,
) -> Result<SystemTime, IdentityError> {
    let authority = Authority::create(mesh, valid_days, now)?;
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    fs::create_dir_all(directory).map_err(|error| cannot("be made", directory, &error))?;
    for path in [&certificate, &key] {
        refuse_existing(path, ANOTHER_DIRECTORY)?;
    }
    write(&key, &authority.key(), SECRET, false)?;
    write(&certificate, authority.certificate(), PUBLIC, false)?;
    Ok(authority.not_after())
}

/// Makes a node's key and certificate with the authority in `authority` (`ca.pem`, `ca.key`), and writes `<node>.pem`,
/// `<node>.key` (mode 0600) and a copy of `ca.pem` into `directory`, which it makes if need be.
///
/// A `ca.pem` that is there already stays, because it may hold more authorities; it must hold this one.
pub fn issue(
    authority: &Path,
    directory: &Path,
    order: &Issue,
    now: SystemTime,
) -> Result<IssuedFiles, IdentityError> {
    if order.node.as_str() == "ca" {
        return Err(IdentityError::Order(
            "no node can be named `ca`: its files would be the authority's".to_owned(),
        ));
    }
    let authority = load(authority)?;
    let Issued { certificate, key, not_after } =
        authority.issue(&order.region, &order.node, order.valid_days, now)?;
    let files = IdentityFiles {
        certificate: directory.join(format!("{}.pem", order.node)),
        key: directory.join(format!("{}.key", order.node)),
        authorities: directory.join(CERTIFICATE),
    };
    fs::create_dir_all(directory).map_err(|error| cannot("be made", directory, &error))?;
    if !order.overwrite {
        refuse_existing(&files.certificate, FORCE)?;
        refuse_existing(&files.key, FORCE)?;
    }
    write_bundle(&files.authorities, &authority)?;
    write(&files.key, &key, SECRET, order.overwrite)?;
    write(&files.certificate, &certificate, PUBLIC, order.overwrite)?;
    Ok(IssuedFiles { files, not_after })
}

fn load(directory: &Path) -> Result<Authority, IdentityError> {
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    let text = |path: &Path| {
        let contents = read(path).map_err(|error| cannot("be read", path, &error))?;
        String::from_utf8(contents).map_err(|_| IdentityError::file(path, "is not PEM", INIT))
    };
    Authority::load(&text(&certificate)?, &text(&key)?)
        .map_err(|error| IdentityError::file(directory, error, INIT))
}

fn write_bundle(path: &Path, authority: &Authority) -> Result<(), IdentityError> {
    match read(path) {
        Ok(bundle) if authority.is_in(&bundle) => Ok(()),
        Ok(_) => Err(IdentityError::file(path, "holds other authorities, not the one that issues", APPEND)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write(path, authority.certificate(), PUBLIC, false)
        }
        Err(error) => Err(cannot("be read", path, &error)),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?.take(PEM_BYTES_MAX as u64 + 1).read_to_end(&mut contents)?;
    if contents.len() > PEM_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large for a PEM file"));
    }
    Ok(contents)
}

/// Writes a whole file in one step, with its mode from the first byte on.
fn write(path: &Path, contents: &str, mode: u32, overwrite: bool) -> Result<(), IdentityError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = (|| {
        let permissions = Permissions::from_mode(mode);
        let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?;
        file.write_all(contents.as_bytes())?;
        file.as_file().sync_all()?;
        if overwrite { file.persist(path) } else { file.persist_noclobber(path) }
            .map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    })();
    written.map_err(|error| cannot("be written", path, &error))
}

fn refuse_existing(path: &Path, remedy: &'static str) -> Result<(), IdentityError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(IdentityError::file(path, "exists", remedy)),
        Err(_) => Ok(()),
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> IdentityError {
    IdentityError::file(path, format_args!("cannot {what}: {error}"), "check the path and its permissions")
}

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const ANOTHER_DIRECTORY: &str = "an authority is never overwritten: choose another directory";
const FORCE: &str = "use --force to replace certificate and key";
const INIT: &str = "expected ca.pem and ca.key as `graticule ca init` wrote them";
const APPEND: &str =
    "append the authority's ca.pem to it if both are to be trusted, or choose another directory";
