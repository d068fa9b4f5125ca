//! The relay in front of plain TCP listeners, and what a pool makes of it.

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::config::{Config, Sources};
use crate::database::{DatabaseFault, classify, connect};

const IN_TIME: Duration = Duration::from_secs(10);
/// More than all buffers on the way hold.
const LARGE: usize = 4 << 20;
/// How a client asks for TLS: length and code.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

fn server(port: u16) -> Server {
    let moment = Duration::from_millis(200);
    Server { host: "127.0.0.1".to_owned(), port, patience: moment, stalled_after: moment }
}

/// A relay, and where it listens. It ends with what is returned.
fn serve(relay: Relay) -> (PathBuf, oneshot::Sender<()>, JoinHandle<()>) {
    let socket = socket(relay.folder(), relay.upstream.server.port);
    let (close, closed) = oneshot::channel::<()>();
    let serving = tokio::spawn(relay.serve(async move {
        let _ = closed.await;
    }));
    (socket, close, serving)
}

fn socket(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port where nobody listens.
async fn refusing() -> u16 {
    listen().await.1
}

/// Both ends of a connection through a relay.
async fn connected() -> (UnixStream, TcpStream, oneshot::Sender<()>) {
    let (listener, port) = listen().await;
    let (socket, close, _) = serve(Relay::bind(Place::nowhere(), server(port)).unwrap());
    let client = UnixStream::connect(socket).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server, close)
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(IN_TIME, work).await.expect("in time")
}

async fn everything_from(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut all = Vec::new();
    in_time(from.read_to_end(&mut all)).await.unwrap();
    all
}

fn config(url: &str) -> DatabaseConfig {
    let defaults: DatabaseConfig = Config::load(&Sources::default()).unwrap().section("database").unwrap();
    DatabaseConfig { url: url.into(), acquire_timeout_ms: 200, ..defaults }
}

#[tokio::test]
async fn bytes_pass_both_ways_in_order_also_when_both_sides_write_much() {
    let (mut client, mut server, _close) = connected().await;
    let sent: Vec<u8> = (0..LARGE).map(|index| (index % 251) as u8).collect();
    let mut received = vec![0; LARGE];
    let (mut from_client, mut to_client) = client.split();
    let echo = async {
        let (mut from, mut to) = server.split();
        tokio::io::copy(&mut from, &mut to).await
    };
    let exchange =
        async { tokio::try_join!(to_client.write_all(&sent), from_client.read_exact(&mut received)) };
    tokio::select! {
        _ = echo => panic!("the server ended"),
        exchanged = in_time(exchange) => assert_eq!(exchanged.unwrap(), ((), LARGE)),
    }
    assert!(received == sent, "the same bytes");
}

#[tokio::test]
async fn what_the_client_wrote_before_its_end_arrives() {
    let (mut client, server, _close) = connected().await;
    let sent = tokio::spawn(async move { client.write_all(&vec![7; LARGE]).await });
    assert_eq!(everything_from(server).await.len(), LARGE);
    sent.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_the_server_wrote_before_its_end_arrives() {
    let (client, mut server, _close) = connected().await;
    let sent = tokio::spawn(async move { server.write_all(&vec![7; LARGE]).await });
    assert_eq!(everything_from(client).await.len(), LARGE);
    sent.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_shuts_down_its_half_ends_the_connection_at_both_ends() {
    let (mut client, mut server, _close) = connected().await;
    client.write_all(b"goodbye").await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = Vec::new();
    in_time(server.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, b"goodbye");
    assert_eq!(everything_from(client).await, b"", "though the server keeps its half open");
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_given_up() {
    let (mut client, _server, _close) = connected().await;
    let written = in_time(client.write_all(&vec![0; 16 * LARGE])).await;
    assert!(written.is_err());
}

#[tokio::test]
async fn a_server_that_refuses_ends_the_clients_connection() {
    let (socket, _close, _) = serve(Relay::bind(Place::nowhere(), server(refusing().await)).unwrap());
    let client = UnixStream::connect(socket).await.unwrap();
    assert_eq!(everything_from(client).await, b"");
}

#[tokio::test]
async fn a_client_waits_for_a_server_that_is_starting_up() {
    let port = refusing().await;
    let patient = Server { patience: IN_TIME, ..server(port) };
    let upstream = Upstream { server: patient, is_reachable: AtomicBool::new(true) };
    let starts = async {
        while upstream.is_reachable.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        TcpListener::bind(("127.0.0.1", port)).await.unwrap()
    };
    let (listener, reached) = in_time(async { tokio::join!(starts, upstream.reach()) }).await;
    assert_eq!(reached.peer_addr().unwrap(), listener.local_addr().unwrap());
    assert!(upstream.is_reachable.load(Ordering::Relaxed));
}

#[tokio::test]
async fn what_the_relay_writes_to_the_server_is_not_held_back() {
    let (_listener, port) = listen().await;
    assert!(dial("127.0.0.1", port).await.unwrap().nodelay().unwrap());
}

#[tokio::test]
async fn a_relay_that_ends_leaves_nothing_behind_wherever_it_was() {
    for place in [Place::nowhere(), Place::somewhere().unwrap()] {
        let (folder, shown) = (place.path().to_owned(), format!("{place:?}"));
        assert_eq!(matches!(place, Place::Folder(_)), folder.exists(), "{shown}");
        let (listener, port) = listen().await;
        let (socket, close, serving) = serve(Relay::bind(place, server(port)).unwrap());
        let mut client = UnixStream::connect(&socket).await.unwrap();
        let (mut accepted, _) = listener.accept().await.unwrap();
        drop(close);
        in_time(serving).await.unwrap();
        assert!(UnixStream::connect(&socket).await.is_err(), "{shown}");
        assert!(!folder.exists(), "{shown}");
        client.write_all(b"the last words").await.unwrap();
        drop(client);
        let mut received = Vec::new();
        in_time(accepted.read_to_end(&mut received)).await.unwrap();
        assert_eq!(received, b"the last words", "a connection lasts as long as its client");
    }
}

#[tokio::test]
async fn a_relay_ends_with_its_pool_whether_it_is_closed_or_dropped() {
    for close in [true, false] {
        let port = refusing().await;
        let pool = connect(&config(&format!("postgresql://me@127.0.0.1:{port}/db")), "test").unwrap();
        let socket = socket(pool.connect_options().get_socket().unwrap(), port);
        UnixStream::connect(&socket).await.expect("while the pool is there, so is its relay");
        if close {
            pool.close().await;
        }
        drop(pool);
        in_time(async {
            while UnixStream::connect(&socket).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn only_what_goes_over_tcp_goes_through_a_relay() {
    let cases = [
        ("postgresql://me@db.example/tidelog", true),
        ("postgresql:///tidelog?host=db.example", true),
        ("postgresql://me@localhost/tidelog?host=/run/postgresql", false),
        ("postgresql://me@%2Frun%2Fpostgresql/tidelog", false),
    ];
    for (url, expected) in cases {
        let options: PgConnectOptions = url.parse().unwrap();
        let relay = Relay::before_tcp(&options, &config(url));
        assert_eq!(relay.is_some(), expected, "{url}");
    }
}

/// The driver's documentation says that it ignores `sslmode` on a unix socket. It does not, and it must not.
#[tokio::test]
async fn whoever_asks_for_tls_speaks_in_plain_text_to_nobody() {
    for mode in ["require", "verify-ca", "verify-full"] {
        let (listener, port) = listen().await;
        let url = format!("postgresql://me:hunter2@localhost:{port}/db?sslmode={mode}");
        let pool = connect(&DatabaseConfig { acquire_timeout_ms: 5000, ..config(&url) }, "test").unwrap();
        let server = async {
            let (mut server, _) = listener.accept().await.unwrap();
            let mut asked = [0; TLS_REQUEST.len()];
            server.read_exact(&mut asked).await.unwrap();
            server.write_all(b"N").await.unwrap();
            (asked, everything_from(server).await)
        };
        let (acquired, (asked, then)) = in_time(async { tokio::join!(pool.acquire(), server) }).await;
        assert_eq!((asked, then), (TLS_REQUEST, Vec::new()), "{mode}");
        let error = acquired.unwrap_err();
        assert!(matches!(error, sqlx::Error::Tls(_)), "{mode}: {error}");
        assert_eq!(classify(&error), DatabaseFault::Outage);
    }
}

/// The name in the certificate is that of `database.url`, not of the relay.
#[tokio::test]
async fn tls_is_spoken_with_the_host_that_the_url_names() {
    let (listener, port) = listen().await;
    let pool = connect(&config(&format!("postgresql://me@localhost:{port}/db")), "test").unwrap();
    let server = async {
        let (mut server, _) = listener.accept().await.unwrap();
        server.read_exact(&mut [0; TLS_REQUEST.len()]).await.unwrap();
        server.write_all(b"S").await.unwrap();
        let mut hello = [0; 5];
        server.read_exact(&mut hello).await.unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
        server.read_exact(&mut rest).await.unwrap();
        (hello[0], rest)
    };
    let (acquired, (kind, hello)) = in_time(async { tokio::join!(pool.acquire(), server) }).await;
    assert_eq!(kind, 22, "a handshake");
    assert!(hello.windows(9).any(|name| name == b"localhost"), "{hello:?}");
    assert!(acquired.is_err());
}
