//! The workaround gives back what it was given, and nothing that is thrown at it brings it out of step.

use std::collections::HashSet;
use std::future::Future;

use chitchat::transport::{RecvOutcome, SendOutcome, Transport};
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatId, FailureDetectorConfig, ProtocolVersion, spawn_chitchat,
};
use tokio::sync::{Mutex, mpsc};

use super::*;

fn bad_cluster() -> ChitchatEnvelope {
    ChitchatEnvelope { version: ProtocolVersion::V1, message: ChitchatMessage::BadCluster }
}

/// Keeps what a chitchat sends: the only way to come by real envelopes from outside.
struct Tap {
    sent: mpsc::Sender<ChitchatEnvelope>,
    heard: std::sync::Arc<Mutex<mpsc::Receiver<RecvOutcome>>>,
}

#[async_trait]
impl Transport for Tap {
    async fn open(&self, _address: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(Self { sent: self.sent.clone(), heard: self.heard.clone() }))
    }
}

#[async_trait]
impl Socket for Tap {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(address(1))
    }

    async fn send(&mut self, _to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        let _ = self.sent.try_send(envelope);
        Ok(SendOutcome { num_bytes_sent: 0 })
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        match self.heard.lock().await.recv().await {
            Some(outcome) => Ok(outcome),
            None => std::future::pending().await,
        }
    }
}

fn address(last: u8) -> SocketAddr {
    ([203, 0, 113, last], 4400).into()
}

fn config() -> ChitchatConfig {
    ChitchatConfig {
        chitchat_id: ChitchatId::new("n1", 1, address(1)),
        cluster_id: "mesh".to_owned(),
        gossip_interval: Duration::from_millis(10),
        listen_addr: address(1),
        seed_nodes: vec![address(2).to_string()],
        failure_detector_config: FailureDetectorConfig::default(),
        marked_for_deletion_grace_period: Duration::from_mins(1),
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    }
}

/// A first message and an answer as a chitchat with `values` sends them.
async fn real_envelopes(values: Vec<(String, String)>) -> Vec<ChitchatEnvelope> {
    let (sent, mut taken) = mpsc::channel(16);
    let (hear, heard) = mpsc::channel(16);
    let tap = Tap { sent, heard: std::sync::Arc::new(Mutex::new(heard)) };
    let _handle = spawn_chitchat(config(), values, &tap).await.unwrap();
    let syn = taken.recv().await.unwrap();
    // Its own question put to it as if by a peer that knows nothing makes it answer with everything.
    let ChitchatMessage::Syn { cluster_id, .. } = &syn.message else { panic!("asks first") };
    let digest = chitchat_of_nobody(cluster_id).await;
    let question = RecvOutcome { from_addr: address(2), envelope: digest, num_bytes_received: 0 };
    hear.send(question).await.unwrap();
    loop {
        let answer = taken.recv().await.unwrap();
        if matches!(answer.message, ChitchatMessage::SynAck { .. }) {
            return vec![syn, answer, bad_cluster()];
        }
    }
}

/// The first message of another node of the same mesh.
async fn chitchat_of_nobody(mesh: &str) -> ChitchatEnvelope {
    let (sent, mut taken) = mpsc::channel(16);
    let (_hear, heard) = mpsc::channel(16);
    let tap = Tap { sent, heard: std::sync::Arc::new(Mutex::new(heard)) };
    let mut config = config();
    config.chitchat_id = ChitchatId::new("n2", 1, address(2));
    config.seed_nodes = vec![address(1).to_string()];
    assert_eq!(config.cluster_id, mesh);
    let _handle = spawn_chitchat(config, Vec::new(), &tap).await.unwrap();
    taken.recv().await.unwrap()
}

fn value(length: usize) -> String {
    // Does not compress: every character differs in a way that zstd finds nothing in.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..length).map(|_| next()).collect()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("the codec is stuck")
}

#[tokio::test]
async fn real_messages_survive_both_ways() {
    let values = (0..7).map(|i| (format!("k{i}"), value(8 * 1024))).collect();
    let mut codec = LoopbackCodec::open().await.unwrap();
    for envelope in real_envelopes(values).await {
        let written = format!("{envelope:?}");
        let message = codec.encode(envelope).await.unwrap();
        let read = in_time(codec.decode(message)).await.unwrap();
        assert_eq!(format!("{read:?}"), written);
    }
}

#[tokio::test]
async fn the_largest_answer_fits() {
    let values = (0..20).map(|i| (format!("k{i:02}"), value(8 * 1024))).collect();
    let mut codec = LoopbackCodec::open().await.unwrap();
    let answer = real_envelopes(values).await.swap_remove(1);
    let message = codec.encode(answer).await.unwrap();
    assert!((50_000..=MESSAGE_BYTES_MAX).contains(&message.len()), "{} bytes", message.len());
    assert!(in_time(codec.decode(message)).await.is_ok());
}

#[tokio::test]
async fn altered_messages_leave_the_codec_in_step() {
    let mut codec = LoopbackCodec::open().await.unwrap();
    let mut refused = 0;
    for envelope in real_envelopes(vec![("key".to_owned(), value(64))]).await {
        let message = codec.encode(envelope).await.unwrap();
        for at in 0..message.len() {
            let mut altered = message.to_vec();
            altered[at] ^= 1 << (at % 8);
            refused += usize::from(in_time(codec.decode(altered.into())).await.is_err());
            refused += usize::from(in_time(codec.decode(message.slice(..at))).await.is_err());
        }
        assert!(in_time(codec.decode(message)).await.is_ok());
    }
    assert!(refused > 100);
}

#[tokio::test]
async fn a_message_that_looks_like_the_fence_is_refused() {
    let mut codec = LoopbackCodec::open().await.unwrap();
    assert!(matches!(codec.decode(Bytes::from_static(&FENCE)).await, Err(CodecError::Malformed)));
    let short = Bytes::from_static(&BAD_CLUSTER);
    assert_eq!(in_time(codec.decode(short)).await.unwrap(), bad_cluster());
}

#[tokio::test]
async fn what_another_process_sends_to_the_sockets_is_not_heard() {
    let mut codec = LoopbackCodec::open().await.unwrap();
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let other = codec.encode(chitchat_of_nobody("mesh").await).await.unwrap();
    for _ in 0..8 {
        stranger.send_to(&other, codec.pair.their_address).await.unwrap();
        stranger.send_to(&FENCE, codec.pair.their_address).await.unwrap();
        stranger.send_to(&other, codec.pair.our_address).await.unwrap();
    }
    assert_eq!(in_time(codec.decode(Bytes::from_static(&BAD_CLUSTER))).await.unwrap(), bad_cluster());
    assert_eq!(codec.encode(bad_cluster()).await.unwrap(), BAD_CLUSTER[..]);
}

#[tokio::test]
async fn a_call_given_up_half_way_does_not_confuse_the_next() {
    let mut codec = LoopbackCodec::open().await.unwrap();
    let syn = codec.encode(chitchat_of_nobody("mesh").await).await.unwrap();
    for _ in 0..20 {
        let given_up = timeout(Duration::ZERO, codec.decode(syn.clone())).await;
        let next = in_time(codec.decode(Bytes::from_static(&BAD_CLUSTER))).await.unwrap();
        assert_eq!(next, bad_cluster());
        drop(given_up);
    }
}

#[test]
fn frames_are_bounded() {
    let block = [PLAIN_BLOCK, 1, 0, b'x'];
    let framed = |blocks: usize| [&ACK[..], &block.repeat(blocks), &[NO_MORE_BLOCKS]].concat();
    assert!(is_well_framed(&framed(0)) && is_well_framed(&framed(BLOCKS_MAX)));
    assert!(!is_well_framed(&framed(BLOCKS_MAX + 1)));
    let with_rest = [&framed(1)[..], &[0]].concat();
    assert!(!is_well_framed(&with_rest));
    let old_protocol = [&[0x53, 0xB0, 0, 2][..], &[NO_MORE_BLOCKS]].concat();
    assert!(!is_well_framed(&old_protocol));
    assert!((0..4).all(|length| !is_well_framed(&BAD_CLUSTER[..length])));
}

/// The frame that is checked here is chitchat's own, whatever it holds.
#[tokio::test]
async fn a_message_about_a_thousand_nodes_is_well_framed() {
    let (_seeds, seeds) = tokio::sync::watch::channel(HashSet::new());
    let mut chitchat = Chitchat::with_chitchat_id_and_seeds(config(), seeds, Vec::new());
    for i in 0..1_000_u32 {
        let id = ChitchatId::new(
            format!("node-{i}"),
            u64::from(i),
            ([10, 0, (i >> 8) as u8, i as u8], 4400).into(),
        );
        chitchat.reset_node_state_if_update(&id, std::iter::empty(), u64::from(i) + 1, 0);
    }
    assert_eq!(chitchat.node_states().len(), 1_001);
    let (sent, mut taken) = mpsc::channel(16);
    let (_hear, heard) = mpsc::channel(16);
    let tap = Tap { sent, heard: std::sync::Arc::new(Mutex::new(heard)) };
    let handle = spawn_chitchat(config(), Vec::new(), &tap).await.unwrap();
    std::mem::swap(&mut *handle.chitchat().lock().await, &mut chitchat);
    let mut codec = LoopbackCodec::open().await.unwrap();
    loop {
        let message = codec.encode(in_time(taken.recv()).await.unwrap()).await.unwrap();
        assert!(is_well_framed(&message));
        if message.len() > 5_000 {
            assert!(in_time(codec.decode(message)).await.is_ok());
            return;
        }
    }
}
