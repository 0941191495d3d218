//! Clients that do not read what is written to them: what they cost, and when they are dropped.

use std::net::SocketAddr;
use std::time::Duration;

use crate::server::{TestServer, soon};
use crate::socket::{Socket, frame_of, publish};
use leveret::broker::Limits;
use leveret::protocol::method::{basic, queue};
use leveret::session::Offer;
use tokio::net::{TcpSocket, TcpStream};

const SIZE: usize = 10_000;

/// A client whose side of the connection holds next to nothing, logged in.
async fn narrow(address: SocketAddr) -> Socket<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = Socket::new(soon(socket.connect(address)).await.unwrap());
    socket.log_in().await;
    socket
}

/// A queue of its own that gets what is published to amq.fanout, and a consumer of it.
async fn subscribe(socket: &mut Socket<TcpStream>, name: &str) {
    socket.declare(name).await;
    let bind = queue::Bind { queue: name, exchange: "amq.fanout", ..queue::Bind::default() };
    socket.call(1, bind, queue::BindOk {}).await;
    socket.consume(name, false).await;
}

fn to_fanout() -> Vec<u8> {
    let to = basic::Publish {
        exchange_and_key: &[],
        exchange: b"amq.fanout",
        routing_key: b"",
        mandatory: false,
        immediate: false,
    };
    // A message without its method, which names another exchange.
    let message = publish("", &[7; SIZE]);
    let method = frame_of(1, basic::Publish { exchange: b"", ..to.clone() }).len();
    [frame_of(1, to), message[method..].to_vec()].concat()
}

/// However many there are, each costs its outbox and one helping of output, and those who read get
/// everything.
#[tokio::test]
async fn many_deaf_consumers_cost_a_bounded_share_and_stop_nobody() {
    const DEAF: usize = 40;
    const MESSAGES: usize = 1500;
    const OUTBOX: usize = 64 * 1024;
    // What is encoded at once, and the message that overshoots each mark.
    const HELD_MAX: usize = OUTBOX + 256 * 1024 + 4 * SIZE;
    let limits = Limits { outbox_bytes_high: OUTBOX, ..Limits::default() };
    let offer = Offer { send_timeout: None, ..Offer::default() };
    let server = TestServer::with(limits, offer).await;
    let mut deaf = Vec::new();
    for number in 0..DEAF {
        let mut socket = narrow(server.address).await;
        subscribe(&mut socket, &format!("deaf {number}")).await;
        deaf.push(socket);
    }
    let mut reader = Socket::open(server.address).await;
    subscribe(&mut reader, "reader").await;
    let mut publisher = Socket::open(server.address).await;
    let message = to_fanout();
    for _ in 0..MESSAGES / 10 {
        publisher.send(&message.repeat(10)).await;
        let mut delivery_tag = 0;
        for _ in 0..10 {
            let (tag, body) = reader.message().await;
            assert_eq!(body.len(), SIZE);
            delivery_tag = tag;
        }
        reader.say(1, basic::Ack { delivery_tag, multiple: true }).await;
    }

    let mut stats = server.broker.connection_stats();
    stats.sort_by_key(|(id, _)| id.0);
    for (number, (_, stats)) in stats.iter().take(DEAF).enumerate() {
        let queue = format!("deaf {number}");
        let held = || {
            let out = server.counts(&queue).unacked * SIZE;
            out.saturating_sub(usize::try_from(stats.sent_octets.get()).unwrap())
        };
        let counts = server.counts(&queue);
        assert_eq!(counts.ready + counts.unacked, MESSAGES);
        assert!(counts.ready > 0, "the rest waits in the queue, which may put it on the disk");
        assert!(held() <= HELD_MAX, "{} bytes are held for {queue}", held());
    }
}

/// Its messages go to others.
#[tokio::test]
async fn client_that_takes_nothing_is_dropped() {
    let offer = Offer { send_timeout: Some(Duration::from_millis(300)), ..Offer::default() };
    let server = TestServer::with(Limits::default(), offer).await;
    let mut deaf = narrow(server.address).await;
    deaf.declare("q").await;
    deaf.consume("q", false).await;
    let mut other = Socket::open(server.address).await;
    const MESSAGES: usize = 2000;
    for _ in 0..MESSAGES {
        other.publish("q", &[7; SIZE]).await;
    }
    server.until("it is dropped", || server.broker.connection_count() == 1).await;
    server.until("all is back", || server.counts("q").ready == MESSAGES).await;
    // Whoever reads may stay, however much it is.
    other.consume("q", true).await;
    for _ in 0..MESSAGES {
        other.message().await;
    }
    drop(deaf);
}
