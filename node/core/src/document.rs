//! What operators write: documents and node configuration, checked with line and column.
