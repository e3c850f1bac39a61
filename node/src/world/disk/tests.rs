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
