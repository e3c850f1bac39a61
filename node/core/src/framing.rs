//! What crosses a tunnel: stream kinds and the frames of a request, versioned and bounded.
