//! Runs chitchat over the mesh and publishes the view.
