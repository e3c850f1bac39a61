//! Envelopes are handed over once, unaltered, and are as long as they are between processes.

use std::collections::BTreeMap;
use std::time::Duration;

use chitchat::transport::{RecvOutcome, SendOutcome};
use chitchat::{ChitchatConfig, ChitchatId, FailureDetectorConfig, spawn_chitchat};

use super::*;

fn envelope() -> ChitchatEnvelope {
    ChitchatEnvelope { version: ProtocolVersion::V1, message: ChitchatMessage::BadCluster }
}

#[tokio::test(start_paused = true)]
async fn an_envelope_is_handed_over_once() {
    let handover = Handover::default();
    let (mut sender, mut receiver) = (handover.codec(), handover.codec());
    let message = sender.encode(envelope()).await.unwrap();
    assert_eq!(handover.held(), 1);
    assert_eq!(receiver.decode(message.clone()).await.unwrap(), envelope());
    assert!(matches!(receiver.decode(message).await, Err(CodecError::Malformed)));
    assert_eq!(handover.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn altered_bytes_carry_nothing() {
    let handover = Handover::default();
    let mut codec = handover.codec();
    let message = codec.encode(envelope()).await.unwrap();
    for altered in [&message[..message.len() - 1], &[&message[..], &[0]].concat(), &[9; 8], &[]] {
        assert!(codec.decode(Bytes::copy_from_slice(altered)).await.is_err());
    }
    assert!(codec.decode(message).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_fetches_is_given_up() {
    let handover = Handover::default();
    let mut codec = handover.codec();
    let first = codec.encode(envelope()).await.unwrap();
    for _ in 0..ENVELOPES_HELD_MAX {
        codec.encode(envelope()).await.unwrap();
    }
    assert_eq!(handover.held(), ENVELOPES_HELD_MAX);
    assert!(codec.decode(first).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn every_message_of_a_conversation_is_as_long_as_its_encoding() {
    let scales = Scales::default();
    let names = ["one", "another", "third"];
    let mut nodes = Vec::new();
    for (at, name) in (1..).zip(names) {
        let values = vec![("greeting".to_owned(), format!("of {name}"))];
        nodes.push(spawn_chitchat(config(name, at), values, &scales).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let weighed = scales.weighed.lock().unwrap();
    for (kind, said, encoded) in &*weighed {
        assert_eq!(said, encoded, "bytes of a {kind}");
    }
    let of = |kind| weighed.iter().filter(move |(said, ..)| *said == kind).map(|(_, bytes, _)| *bytes);
    assert!(of("syn").count() > 50 && of("syn-ack").count() > 50);
    assert!(of("ack").any(|bytes| bytes > 40), "no ack had anything to tell");
    assert!(*scales.repeated.lock().unwrap() > 20, "nothing was ever said twice");
}

fn config(name: &str, at: u16) -> ChitchatConfig {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, at));
    ChitchatConfig {
        chitchat_id: ChitchatId::new(name.to_owned(), 0, address),
        cluster_id: "test".to_owned(),
        gossip_interval: Duration::from_millis(100),
        listen_addr: address,
        seed_nodes: vec!["127.0.0.1:1".to_owned()],
        failure_detector_config: FailureDetectorConfig::default(),
        marked_for_deletion_grace_period: Duration::from_mins(1),
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    }
}

/// What was said: its kind, its bytes by the codec, and those of chitchat's own encoding.
type Weighed = Vec<(&'static str, usize, usize)>;

/// A network that weighs everything twice.
#[derive(Clone, Default)]
struct Scales {
    channels: ChannelTransport,
    handover: Handover,
    weighed: Arc<Mutex<Weighed>>,
    repeated: Arc<Mutex<usize>>,
}

/// A socket that holds every message back until the next one, as a real way does: the codec remembers what is there.
struct WeighingSocket {
    socket: Box<dyn Socket>,
    scales: Scales,
    codec: HandoverCodec,
    held: BTreeMap<u64, (SocketAddr, Bytes)>,
    said: u64,
}

#[async_trait]
impl Transport for Scales {
    async fn open(&self, listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = self.channels.open(listen).await?;
        let codec = self.handover.codec();
        let held = BTreeMap::new();
        Ok(Box::new(WeighingSocket { socket, scales: self.clone(), codec, held, said: 0 }))
    }
}

#[async_trait]
impl Socket for WeighingSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.socket.local_addr()
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        if self.codec.said_before(&envelope).is_some() {
            *self.scales.repeated.lock().unwrap() += 1;
        }
        let message = self.codec.encode(envelope).await.unwrap();
        self.said += 1;
        self.held.insert(self.said, (to, message));
        let Some((to, message)) = self.held.remove(&(self.said - 1)) else {
            return Ok(SendOutcome { num_bytes_sent: 0 });
        };
        let said = message.len();
        let envelope = self.codec.decode(message).await.unwrap();
        let kind = match &envelope.message {
            ChitchatMessage::Syn { .. } => "syn",
            ChitchatMessage::SynAck { .. } => "syn-ack",
            ChitchatMessage::Ack { .. } => "ack",
            ChitchatMessage::BadCluster => "bad cluster",
        };
        let sent = self.socket.send(to, envelope).await?;
        self.scales.weighed.lock().unwrap().push((kind, said, sent.num_bytes_sent.max(TICKET_BYTES)));
        Ok(sent)
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        self.socket.recv().await
    }
}
