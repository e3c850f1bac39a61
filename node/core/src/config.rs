//! How one node is set up: node.toml, environment and flags.
