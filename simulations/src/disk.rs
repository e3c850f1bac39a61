//! Which files does a host have: a small file system in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use graticule::world::Disk;

/// A host's files. Cheap to clone; clones are the same disk. It outlives a crash of its host.
///
/// Every replacement is atomic and durable at once.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    by_path: BTreeMap<PathBuf, File>,
    directories: BTreeSet<PathBuf>,
    replaced: u64,
}

#[derive(Debug)]
struct File {
    contents: Vec<u8>,
    stamp: u64,
}

impl MemoryDisk {
    /// Writes a file and makes the directories above it, as an operator would before a node starts.
    pub fn put(&self, path: impl AsRef<Path>, contents: impl Into<Vec<u8>>) {
        let path = path.as_ref();
        let mut files = self.files();
        files.create_directory(parent(path));
        files.write(path, contents.into());
    }

    /// Removes a file, if there is one.
    pub fn remove(&self, path: impl AsRef<Path>) {
        self.files().by_path.remove(path.as_ref());
    }

    /// Removes a directory with all that is in it, if there is one.
    pub fn remove_directory(&self, directory: impl AsRef<Path>) {
        let directory = directory.as_ref();
        let mut files = self.files();
        files.by_path.retain(|path, _| !path.starts_with(directory));
        files.directories.retain(|path| !path.starts_with(directory));
    }

    /// Takes what stands in a file; it is empty then. Nothing of a file that is missing.
    pub fn take(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let mut files = self.files();
        files
            .by_path
            .get_mut(path.as_ref())
            .map(|file| std::mem::take(&mut file.contents))
            .unwrap_or_default()
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let files = self.files();
        let contents = &files.file(path)?.contents;
        if contents.len() > bytes_max {
            let message = format!("larger than the limit of {bytes_max} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(contents.clone())
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut files = self.files();
        if !files.is_directory(parent(path)) {
            return Err(absent(parent(path)));
        }
        if files.is_directory(path) {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, path.display().to_string()));
        }
        files.write(path, contents.to_vec());
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let files = self.files();
        if !files.is_directory(directory) {
            return Err(absent(directory));
        }
        Ok(files.by_path.keys().filter(|path| parent(path) == directory).cloned().collect())
    }

    fn stamp(&self, path: &Path) -> io::Result<u64> {
        Ok(self.files().file(path)?.stamp)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.files().create_directory(path);
        Ok(())
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Write + Send>> {
        let mut files = self.files();
        if !files.by_path.contains_key(path) {
            if !files.is_directory(parent(path)) {
                return Err(absent(parent(path)));
            }
            files.write(path, Vec::new());
        }
        Ok(Box::new(Appender { disk: self.clone(), path: path.to_owned() }))
    }
}

/// Writes behind what a file has.
struct Appender {
    disk: MemoryDisk,
    path: PathBuf,
}

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A file that was removed while it was open has no name any more: nobody will read it.
        if let Some(file) = self.disk.files().by_path.get_mut(&self.path) {
            file.contents.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Files {
    fn file(&self, path: &Path) -> io::Result<&File> {
        self.by_path.get(path).ok_or_else(|| absent(path))
    }

    fn write(&mut self, path: &Path, contents: Vec<u8>) {
        self.replaced += 1;
        self.by_path.insert(path.to_owned(), File { contents, stamp: self.replaced });
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.parent().is_none() || path == Path::new(".") || self.directories.contains(path)
    }

    fn create_directory(&mut self, path: &Path) {
        self.directories.extend(path.ancestors().map(Path::to_owned));
    }
}

/// The directory of a file; a bare name is in the working directory.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn absent(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file or directory", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn what_was_put_or_replaced_is_read() {
        let disk = MemoryDisk::default();
        disk.put("/etc/graticule/node.toml", "old");
        disk.replace(Path::new("/etc/graticule/node.toml"), b"new").unwrap();
        assert_eq!(disk.read(Path::new("/etc/graticule/node.toml"), 3).unwrap(), b"new");
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let disk = MemoryDisk::default();
        disk.put("a", "four");
        assert_eq!(kind(disk.read(Path::new("a"), 3)), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_stamp_changes_with_every_replacement_even_by_the_same_contents() {
        let disk = MemoryDisk::default();
        disk.put("a", "1");
        let before = disk.stamp(Path::new("a")).unwrap();
        assert_eq!(disk.stamp(Path::new("a")).unwrap(), before);
        disk.replace(Path::new("a"), b"1").unwrap();
        assert_ne!(disk.stamp(Path::new("a")).unwrap(), before);
    }

    #[test]
    fn a_listing_has_the_files_of_one_directory_in_order() {
        let disk = MemoryDisk::default();
        for path in ["/t/b.toml", "/t/a.toml", "/t/deep/c.toml", "/other/d.toml"] {
            disk.put(path, "");
        }
        assert_eq!(disk.list(Path::new("/t")).unwrap(), [Path::new("/t/a.toml"), Path::new("/t/b.toml")]);
    }

    #[test]
    fn what_is_absent_is_an_error_as_on_a_real_disk() {
        let disk = MemoryDisk::default();
        assert_eq!(kind(disk.read(Path::new("/a"), 9)), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.list(Path::new("/d"))), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.replace(Path::new("/d/a"), b"")), io::ErrorKind::NotFound);
        disk.create_directory(Path::new("/d/e")).unwrap();
        disk.replace(Path::new("/d/a"), b"").unwrap();
        assert_eq!(kind(disk.replace(Path::new("/d/e"), b"")), io::ErrorKind::IsADirectory);
        disk.remove("/d/a");
        disk.put("/d/e/f", "");
        disk.remove_directory("/d/e");
        assert_eq!(kind(disk.read(Path::new("/d/e/f"), 9)), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.list(Path::new("/d/e"))), io::ErrorKind::NotFound);
        assert_eq!(kind(disk.stamp(Path::new("/d/a"))), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_appended_stands_behind_the_rest_and_is_taken_once() {
        let disk = MemoryDisk::default();
        disk.put("/log/a", "1");
        let mut file = disk.append(Path::new("/log/a")).unwrap();
        file.write_all(b"2").unwrap();
        disk.append(Path::new("/log/b")).unwrap();
        assert_eq!((disk.take("/log/a"), disk.take("/log/a")), (b"12".to_vec(), Vec::new()));
        file.write_all(b"3").unwrap();
        assert_eq!((disk.take("/log/a"), disk.take("/log/b")), (b"3".to_vec(), Vec::new()));
        assert_eq!(kind(disk.append(Path::new("/absent/a")).map(drop)), io::ErrorKind::NotFound);
        disk.remove("/log/a");
        file.write_all(b"4").unwrap();
        assert_eq!(disk.take("/log/a"), b"");
    }

    #[test]
    fn clones_are_the_same_disk() {
        let disk = MemoryDisk::default();
        disk.clone().put("a", "1");
        assert_eq!(disk.read(Path::new("a"), 1).unwrap(), b"1");
    }
}
