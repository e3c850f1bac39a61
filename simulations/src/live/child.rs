//! How does a process end with the one that started it, even if that is killed: the kernel is told before it begins.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Becomes `program`, which the kernel kills when the process of number `parent` ends. Returns only if that failed.
///
/// It is the parent's thread that counts, so children are started from one that lives as long as the process.
pub fn become_program(parent: u32, program: &OsString, arguments: &[OsString]) -> io::Error {
    if let Err(error) = end_with_parent() {
        return error;
    }
    // It may have ended before the kernel was told.
    if std::os::unix::process::parent_id() != parent {
        return io::Error::other("whoever started this has ended");
    }
    Command::new(program).args(arguments).exec()
}

#[cfg(target_os = "linux")]
fn end_with_parent() -> io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Elsewhere a node ends when its standard input does.
#[cfg(not(target_os = "linux"))]
fn end_with_parent() -> io::Result<()> {
    Ok(())
}
