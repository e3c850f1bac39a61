//! What is read of a real file system, and what is refused.

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

#[test]
fn a_file_over_its_limit_is_refused_and_one_at_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, b"four").unwrap();
    assert_eq!(SystemDisk.read(&path, 4).unwrap(), b"four");
    assert_eq!(SystemDisk.read(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn what_has_no_end_or_no_beginning_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    for odd in [pipe.as_path(), &link, Path::new("/dev/zero"), directory.path()] {
        let error = SystemDisk.read(odd, 1_000).unwrap_err();
        assert_eq!(error.to_string(), "not a regular file", "{}", odd.display());
    }
}

#[test]
fn a_list_has_the_files_alone_in_order() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["b.toml", "a.toml"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    fs::create_dir(directory.path().join("c.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", directory.path().join("d.toml")).unwrap();
    let names = SystemDisk.list(directory.path()).unwrap();
    assert_eq!(names, ["a.toml", "b.toml"].map(|name| directory.path().join(name)));
}

#[test]
fn a_pipe_is_never_appended_to_whether_somebody_reads_it_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let refused = || SystemDisk.append(&pipe).err().map(|error| error.kind());
    assert_eq!(refused(), Some(io::ErrorKind::InvalidInput), "without waiting for a reader");
    let reader = File::options().read(true).write(true).open(&pipe).unwrap();
    assert_eq!(refused(), Some(io::ErrorKind::InvalidInput));
    drop(reader);
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(SystemDisk.append(&socket).err().unwrap().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn files_and_devices_are_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for line in ["one\n", "two\n"] {
        SystemDisk.append(&path).unwrap().write_all(line.as_bytes()).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    for device in ["/dev/null", "/dev/stdout", "-"] {
        assert!(SystemDisk.append(Path::new(device)).is_ok(), "{device}");
    }
}
