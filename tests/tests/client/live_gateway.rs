//! The network's other end of live connections, where a test says what comes on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use tidelog_events::frame::Encoder;
use tidelog_events::live::LIVE_PROTOCOL;
use tidelog_tests::World;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// Takes one connection after the other.
pub struct LiveGateway {
    pub address: SocketAddr,
    taken: Arc<AtomicUsize>,
    said: mpsc::UnboundedSender<Message>,
    serving: AbortHandle,
}

impl LiveGateway {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::<AtomicUsize>::default();
        let (said, to_say) = mpsc::unbounded_channel();
        let serving = tokio::spawn(serve(listener, taken.clone(), to_say)).abort_handle();
        Self { address, taken, said, serving }
    }

    /// Connections that were taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Says that on the connection that there is, or on the next.
    pub fn say(&self, message: Message) {
        self.said.send(message).unwrap();
    }

    /// Says these lines of the log.
    pub fn log(&self, lines: &str) {
        self.say(Message::binary(Encoder::new().unwrap().encode(lines.as_bytes()).unwrap()));
    }
}

impl Drop for LiveGateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, taken: Arc<AtomicUsize>, mut to_say: mpsc::UnboundedReceiver<Message>) {
    while let Ok((connection, _)) = listener.accept().await {
        taken.fetch_add(1, Ordering::Relaxed);
        // An error is the other end's.
        let _ = converse(connection, &mut to_say).await;
    }
}

async fn converse(
    connection: TcpStream,
    to_say: &mut mpsc::UnboundedReceiver<Message>,
) -> tokio_tungstenite::tungstenite::Result<()> {
    #[expect(clippy::result_large_err, reason = "the library's callback")]
    let agree = |_: &Request, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", LIVE_PROTOCOL.parse().unwrap());
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(connection, agree).await?;
    loop {
        tokio::select! {
            message = to_say.recv() => match message {
                Some(message) => socket.send(message).await?,
                None => return Ok(()),
            },
            heard = socket.next() => match heard {
                Some(heard) => drop(heard?),
                None => return Ok(()),
            },
        }
    }
}

/// The lines that the world's gateway answers a pull of the user's own space with: the hello, and what is behind it.
pub async fn pulled(world: &World, user: &str, after: u64) -> (String, String) {
    let path = format!("/v1/spaces/me/log?after={after}&limit=1");
    let request = world.request(Method::GET, &path, user).header("Accept", "application/x-ndjson");
    let lines = request.send().await.unwrap().text().await.unwrap();
    let (hello, rest) = lines.split_once('\n').unwrap();
    (format!("{hello}\n"), rest.to_owned())
}
