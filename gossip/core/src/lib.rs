//! What nodes say of themselves, and what a node believes of the mesh.
//!
//! Pure: announcements and views are values; `graticule-gossip` carries them.

mod announcement;
mod name;
mod view;

pub use announcement::{
    Announcement, AnnouncementError, Generation, MeshAddress, VALUE_BYTES_MAX, VALUES_MAX,
};
pub use name::{MeshName, NameError, NodeName, RegionName};
pub use view::{Member, MemberState, NODES_MAX, View, ViewBuilder};
