//! What `graticule init` writes: documents that work as they are, and explain themselves.
