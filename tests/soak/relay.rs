//! Between a client and the broker, to be cut: then the client is gone without a word.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Carries one connection. Dropping it is the cut.
pub struct Relay {
    pub address: String,
    _end: oneshot::Sender<()>,
}

impl Relay {
    pub async fn to(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (_end, ended) = oneshot::channel();
        tokio::spawn(async move {
            let carried = async {
                let (mut client, _) = listener.accept().await?;
                let mut broker = TcpStream::connect(broker).await?;
                tokio::io::copy_bidirectional(&mut client, &mut broker).await
            };
            tokio::select! {
                _ = carried => {}
                _ = ended => {}
            }
        });
        Self { address, _end }
    }
}
