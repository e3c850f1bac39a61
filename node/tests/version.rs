//! The program says what it is and whose data is inside. (A test here is also what makes cargo build the program.)

use std::process::Command;

#[test]
fn the_version_names_the_source_of_the_geo_data() {
    let output = Command::new(env!("CARGO_BIN_EXE_graticule")).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(concat!("graticule ", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("db-ip.com"), "{text}");
}
