//! Who removes the directory of a live fleet when its program is killed: a process that waits for nothing else.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A waiting janitor. When this is dropped, the janitor goes too.
#[derive(Debug)]
pub(super) struct Janitor(Child);

impl Janitor {
    /// Lets `program`, which is this one, wait with [`wait_and_remove`] for the end of this process.
    pub(super) fn call(program: &Path, directory: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg("tidy").arg(directory).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What a terminal sends to a program and its children is not meant for it.
        command.process_group(0).spawn().map(Self)
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Its end is all that there is to wait for.
        let _ = self.0.wait();
    }
}

/// Waits until whoever called has ended, and removes its directory if that is still there.
pub fn wait_and_remove(directory: &Path) -> io::Result<()> {
    // Nothing is written there: it ends with the writer, and a failure to read is an end, too.
    let _ = io::stdin().take(1).read_to_end(&mut Vec::new());
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    if !name.starts_with(PREFIX) {
        return Err(io::Error::other("this is no directory of a rehearsal"));
    }
    for _ in 0..ATTEMPTS_MAX {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A node that is being killed may write at the same time.
            _ => std::thread::sleep(PAUSE),
        }
    }
    fs::remove_dir_all(directory)
}

/// How names of directories of live fleets begin.
pub(super) const PREFIX: &str = "graticule-live-";
const ATTEMPTS_MAX: usize = 50;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
