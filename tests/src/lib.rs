//! Black-box tests: real binaries, real clients.
