//! A connection's socket, plain or TLS. It holds what must last as long as the socket does, also when it was upgraded to
//! a WebSocket: the connection's place, and that the server is not done yet.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::activity::Activity;
use super::connections::Place;

/// What is below HTTP.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection's socket.
pub(super) struct Socket {
    pub(super) transport: Transport,
    pub(super) activity: Arc<Activity>,
    pub(super) _place: Place,
    pub(super) _open: TaskTrackerToken,
}

/// What both kinds do alike.
macro_rules! with {
    ($socket:expr, $transport:ident => $call:expr) => {
        match &mut $socket.get_mut().transport {
            Transport::Plain($transport) => {
                let $transport = Pin::new($transport);
                $call
            }
            Transport::Tls($transport) => {
                let $transport = Pin::new($transport.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = to.filled().len();
        ready!(with!(self.as_mut(), transport => transport.poll_read(cx, to)))?;
        if to.filled().len() > before {
            self.activity.arrived();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        with!(self, transport => transport.poll_write(cx, from))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with!(self, transport => transport.poll_write_vectored(cx, from))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(transport) => transport.is_write_vectored(),
            Transport::Tls(transport) => transport.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, transport => transport.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, transport => transport.poll_shutdown(cx))
    }
}
