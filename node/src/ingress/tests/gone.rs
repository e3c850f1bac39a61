//! Clients that go away while nobody reads what they send.

use std::time::Duration;

use super::*;

/// Takes nothing of its requests, and answers none.
#[derive(Default)]
struct Deaf {
    under_way: Rc<Cell<usize>>,
}

impl Handler for Deaf {
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        _: &Client,
    ) -> impl Future<Output = Answered> + use<> {
        let under_way = UnderWay::begin(&self.under_way);
        async move {
            let _held = (under_way, request);
            std::future::pending().await
        }
    }

    fn refused(&self, _: Version, reason: Reason) {
        panic!("{reason:?}");
    }

    fn flooded(&self, flood: Flood) {
        panic!("{flood:?}");
    }

    fn rejected(&self, rejection: Rejection) {
        panic!("{rejection:?}");
    }
}

/// Sends a request and some of its body.
async fn upload(address: SocketAddr, deaf: &Deaf) -> TcpStream {
    let before = deaf.under_way.get();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n").await.unwrap();
    eventually("it is there", || deaf.under_way.get() == before + 1).await;
    // More than the library reads ahead, and less than the kernel holds.
    stream.write_all(&vec![7; 128 * 1024]).await.unwrap();
    stream
}

#[test]
fn a_client_that_resets_a_blocked_upload_ends_its_request() {
    run(async {
        let deaf = Rc::new(Deaf::default());
        let (address, running) = serve(&deaf, limits(), &[]);
        let (gone, _stays) = (upload(address, &deaf).await, upload(address, &deaf).await);
        // What has been sent and was not taken is given up.
        gone.set_zero_linger().unwrap();
        drop(gone);
        eventually("it is over", || deaf.under_way.get() == 1).await;
        eventually("the connection has gone", || running.open.count() == 2).await;
    });
}

#[test]
fn a_client_that_only_sends_no_more_than_is_unread_keeps_its_request() {
    run(async {
        let deaf = Rc::new(Deaf::default());
        let (address, _running) = serve(&deaf, limits(), &[]);
        let mut stream = upload(address, &deaf).await;
        stream.shutdown().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(deaf.under_way.get(), 1);
    });
}
