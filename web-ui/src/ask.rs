//! Asking the daemon and the appliance without blocking the runtime.

use std::path::Path;

use settings::appliance;
use settings::control::{Client, ClientError, Connection, DAEMON, File, Request, Response, Status};
use tokio::sync::Semaphore;

/// Asks for the status.
pub(crate) async fn status(socket: &Path) -> Result<Status, ClientError> {
    on_a_thread(socket, |client| client.status()).await
}

/// Asks for the last connections.
pub(crate) async fn connections(socket: &Path, limit: usize) -> Result<Vec<Connection>, ClientError> {
    on_a_thread(socket, move |client| match client.ask(&Request::Connections { limit })? {
        Response::Connections { connections } => Ok(connections),
        _ => Err(ClientError::Mismatch(DAEMON)),
    })
    .await
}

/// Asks for the last files.
pub(crate) async fn files(socket: &Path, limit: usize) -> Result<Vec<File>, ClientError> {
    on_a_thread(socket, move |client| match client.ask(&Request::Files { limit })? {
        Response::Files { files } => Ok(files),
        _ => Err(ClientError::Mismatch(DAEMON)),
    })
    .await
}

async fn on_a_thread<T: Send + 'static>(
    socket: &Path,
    ask: impl FnOnce(&mut Client) -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let socket = socket.to_owned();
    let answer = tokio::task::spawn_blocking(move || Client::connect(&socket).and_then(|mut client| ask(&mut client)));
    answer.await.unwrap_or(Err(ClientError::Mismatch(DAEMON)))
}

/// Questions to the appliance at once; more wait here. It takes 16 connections, and turns others away.
static TURNS: Semaphore = Semaphore::const_new(12);

/// Asks the appliance.
pub(crate) async fn appliance(socket: &Path, request: appliance::Request) -> Result<appliance::Response, ClientError> {
    let _turn = TURNS.acquire().await;
    let socket = socket.to_owned();
    let ask = move || appliance::Client::connect(&socket).and_then(|mut client| client.ask(&request));
    tokio::task::spawn_blocking(ask).await.unwrap_or(Err(ClientError::Mismatch(appliance::APPLIANCE)))
}

/// Asks the appliance for one kind of answer: `answer!(shared, Request::State => Response::State(state) => *state)`.
macro_rules! answer {
    ($socket:expr, $request:expr => $pattern:pat => $value:expr) => {
        match $crate::ask::appliance($socket, $request).await {
            Ok($pattern) => Ok($value),
            Ok(_) => Err(settings::control::ClientError::Mismatch(settings::appliance::APPLIANCE)),
            Err(error) => Err(error),
        }
    };
}
pub(crate) use answer;
