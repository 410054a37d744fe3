//! Connections: not too many, none too slow, and none that keeps others out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// So many at a time; when one more comes, the oldest that is not being answered goes.
const MOST: usize = 128;
/// Bytes of a request's head.
const HEAD: usize = 16 << 10;
const HEADERS: usize = 64;
/// For sending a request's head, and for being idle between two requests.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long answers under way are waited for at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// After an error of the listening socket, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An answer is small, and known when it is sent.
pub type Response = hyper::Response<Full<Bytes>>;

/// A connection.
pub struct Connection {
    peer: SocketAddr,
    working: AtomicBool,
    evicted: Notify,
    at_loss: Mutex<Option<AtLoss>>,
}

/// What happens when the client goes away.
type AtLoss = Box<dyn FnOnce() + Send>;

/// A request of a connection is being answered, until this is dropped.
pub struct Working<'a>(&'a AtomicBool);

impl Connection {
    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Does this once the client has gone away: not when it was only silent for long, or when the daemon ends.
    /// The connection is not given up for another one.
    pub fn at_loss(&self, act: impl FnOnce() + Send + 'static) {
        *self.at_loss.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    fn lost(&self) {
        let act = self.at_loss.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(act) = act {
            act();
        }
    }

    fn can_be_given_up(&self) -> bool {
        let bound = self.at_loss.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        !bound && !self.working.load(Ordering::Relaxed)
    }

    /// Keeps the connection from being given up for another one.
    pub fn working(&self) -> Working<'_> {
        self.working.store(true, Ordering::Relaxed);
        Working(&self.working)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Answers the requests of all connections until `stop` is true, and then ends them in order.
pub async fn serve<A, F>(listener: TcpListener, answer: A, mut stop: watch::Receiver<bool>)
where
    A: Fn(Arc<Connection>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let open = Arc::new(Open::default());
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let connection = open.admit(peer);
                let open = Arc::clone(&open);
                tasks.spawn(serve_one(stream, connection, open, answer.clone(), stop.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    let ended = async { while tasks.join_next().await.is_some() {} };
    // Who still takes longer is cut off when the tasks are dropped.
    let _ = tokio::time::timeout(LAST_ANSWERS, ended).await;
}

/// Waits until it is time to end.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever could say so is gone, else.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn serve_one<A, F>(
    stream: TcpStream,
    connection: Arc<Connection>,
    open: Arc<Open>,
    answer: A,
    mut stop: watch::Receiver<bool>,
) where
    A: Fn(Arc<Connection>, Request<Incoming>) -> F,
    F: Future<Output = Response>,
{
    // An answer is one small segment; it must not wait for more.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let answered = answer(Arc::clone(&connection), request);
        async { Ok::<_, Infallible>(answered.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD).max_headers(HEADERS);
    http.title_case_headers(true);
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = served.as_mut() => {
            if !ended.is_err_and(|error| error.is_timeout()) {
                connection.lost();
            }
        }
        () = connection.evicted.notified() => {}
        () = stopped(&mut stop) => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
    open.remove(&connection);
}

/// The connections that are open, oldest first.
#[derive(Default)]
struct Open(Mutex<VecDeque<Arc<Connection>>>);

impl Open {
    fn admit(&self, peer: SocketAddr) -> Arc<Connection> {
        let evicted = Notify::new();
        let connection = Arc::new(Connection {
            peer,
            working: AtomicBool::new(false),
            evicted,
            at_loss: Mutex::default(),
        });
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            let idle = open.iter().position(|connection| connection.can_be_given_up());
            if let Some(oldest) = idle.and_then(|at| open.remove(at)) {
                oldest.evicted.notify_one();
            }
        }
        open.push_back(Arc::clone(&connection));
        connection
    }

    fn remove(&self, connection: &Arc<Connection>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|other| !Arc::ptr_eq(other, connection));
    }
}
