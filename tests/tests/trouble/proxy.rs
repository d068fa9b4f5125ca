//! The proxy that breaks the network does what it says; the other end is a server that echoes.

use std::time::Duration;

use futures_util::FutureExt;
use tidelog_tests::{Direction, Fault, Proxy, Script, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);

/// A proxy in front of an echo.
async fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                copy(&mut from, &mut to).await
            });
        }
    });
    Proxy::start(address).await
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Sends the bytes and reads as many; an error where the connection ends.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut echoed = vec![0; bytes.len()];
    let (mut from, mut to) = stream.split();
    let exchanged = async {
        let ((), _) = tokio::try_join!(to.write_all(bytes), from.read_exact(&mut echoed))?;
        Ok::<(), std::io::Error>(())
    };
    timeout(LONG, exchanged).await.expect("an end")?;
    Ok(echoed)
}

async fn assert_echoes(stream: &mut TcpStream) {
    assert_eq!(exchange(stream, b"tide").await.expect("an echo"), b"tide");
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    assert_eq!(exchange(&mut stream, &bytes).await.unwrap(), bytes);
    assert_eq!(proxy.connections(), 1);
    stream.shutdown().await.unwrap();
    assert_eq!(timeout(LONG, stream.read(&mut [0])).await.unwrap().unwrap(), 0);
    eventually("it is closed", async || (proxy.connections() == 0).then_some(())).await;
    assert_eq!(proxy.broken(), 0);
}

#[tokio::test]
async fn a_cut_resets_every_open_connection_and_no_later_one() {
    let proxy = echo().await;
    let mut streams = [connect(&proxy).await, connect(&proxy).await];
    for stream in &mut streams {
        assert_echoes(stream).await;
    }
    proxy.set(Fault::Cut);
    for stream in &mut streams {
        let read = timeout(LONG, stream.read(&mut [0])).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert_eq!(proxy.broken(), 2);
    assert_echoes(&mut connect(&proxy).await).await;
}

#[tokio::test]
async fn what_is_refused_is_closed_and_what_is_open_stays() {
    let proxy = echo().await;
    let mut open = connect(&proxy).await;
    assert_echoes(&mut open).await;
    proxy.set(Fault::Refuse);
    assert!(exchange(&mut connect(&proxy).await, b"tide").await.is_err());
    assert_echoes(&mut open).await;
    assert_eq!(proxy.broken(), 1);
}

#[tokio::test]
async fn a_half_open_connection_swallows_one_direction_and_never_goes_on_behind_the_loss() {
    for direction in [Direction::ToTarget, Direction::FromTarget] {
        let proxy = echo().await;
        let mut stream = connect(&proxy).await;
        assert_echoes(&mut stream).await;
        proxy.set(Fault::HalfOpen(direction));
        stream.write_all(b"lost").await.unwrap();
        eventually("it has lost bytes", async || (proxy.broken() == 1).then_some(())).await;

        proxy.set(Fault::Pass);
        stream.write_all(b"behind").await.unwrap();
        // The echo of another connection, behind which this one's would long be there.
        assert_echoes(&mut connect(&proxy).await).await;
        assert!(
            stream.read(&mut [0]).now_or_never().is_none(),
            "{direction:?} says nothing, not even an end"
        );
        proxy.set(Fault::Cut);
        assert!(timeout(LONG, stream.read(&mut [0])).await.unwrap().is_err(), "until it is cut");
    }
}

#[tokio::test]
async fn what_is_throttled_or_delayed_arrives_behind_what_is_not_and_whole() {
    const SLOW: u32 = 100_000;
    for fault in [Fault::Throttle { bytes_per_second: SLOW }, Fault::Delay(Duration::from_millis(500))] {
        let (slow, quick) = (echo().await, echo().await);
        slow.set(fault);
        let bytes = vec![7; SLOW as usize / 4];
        let (mut behind, mut before) = (connect(&slow).await, connect(&quick).await);
        let arriving = exchange(&mut behind, &bytes);
        tokio::pin!(arriving);
        tokio::select! {
            _ = &mut arriving => panic!("{fault:?} came first"),
            quick = exchange(&mut before, &bytes) => assert_eq!(quick.unwrap(), bytes),
        }
        assert_eq!(arriving.await.unwrap(), bytes, "{fault:?}");
    }
}

#[tokio::test]
async fn a_script_breaks_connections_until_it_is_ended() {
    let proxy = echo().await;
    let playing = proxy.play(Script::cuts(1));
    let mut stream = connect(&proxy).await;
    eventually("three connections are cut", async || {
        if exchange(&mut stream, b"tide").await.is_err() {
            stream = connect(&proxy).await;
        }
        (proxy.broken() >= 3).then_some(())
    })
    .await;
    playing.end().await;
    assert_echoes(&mut connect(&proxy).await).await;
}
