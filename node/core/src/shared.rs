//! What workers of one node share: a few atomics, model-checked with loom.
