//! QUIC between nodes: endpoints, their transport, and the frames of one stream.

mod backlog;
mod door;
mod endpoint;
mod farewell;
mod peering;
mod room;
mod stream;
mod transport;

pub use backlog::{Backlog, StreamsCut};
pub use endpoint::{EndpointError, bind};
pub use farewell::{Farewell, Parting};
pub use peering::{CONNECT_DEADLINE, Dial, PeeringError, accept, admit, dial, dial_afresh, until_closed};
pub use room::{Place, StreamRoom};
pub use stream::{FrameReader, FrameWriter, ReadError, Reset, kind};
pub use transport::{Carries, TransportSettings, close_text, transport};
