//! The machine's files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::Disk;

/// The file system.
#[derive(Debug)]
pub(super) struct SystemDisk;

impl Disk for SystemDisk {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        // To open a pipe waits for somebody at its other end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut contents = Vec::new();
        File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut contents)?;
        if contents.len() > bytes_max {
            let message = format!("larger than the limit of {bytes_max} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(contents)
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
        let mut paths: Vec<_> = entries.into_iter().map(|e| e.path()).filter(|path| path.is_file()).collect();
        paths.sort();
        Ok(paths)
    }

    fn stamp(&self, path: &Path) -> io::Result<u64> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        Ok((modified.as_nanos() as u64).wrapping_mul(31).wrapping_add(metadata.len()))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Write + Send>> {
        // The second may lead to a pipe, and is standard output for all that.
        if path == Path::new("-") || path == Path::new("/dev/stdout") {
            return Ok(Box::new(io::stdout()));
        }
        Ok(Box::new(open_to_append(path)?))
    }
}

/// Never waits: to open a pipe for writing would, until somebody reads it.
fn open_to_append(path: &Path) -> io::Result<File> {
    let odd = || io::Error::new(io::ErrorKind::InvalidInput, "a pipe or socket is no file");
    let mut options = File::options();
    // It may hold addresses and paths of clients.
    options.create(true).append(true).mode(0o640).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path).map_err(|error| {
        if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) { odd() } else { error }
    })?;
    let kind = file.metadata()?.file_type();
    if !(kind.is_file() || kind.is_char_device()) {
        return Err(odd());
    }
    // Only opening was not to wait.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
