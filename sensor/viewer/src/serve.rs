//! One request: who asks, for what, and the answer.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use analyze::Time;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use packets::{
    Filter, Question, Search, Store,
    output::{Format, Output},
    session_id, time,
};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    auth::{Asked, Denied, Gate},
    conversation::{Conversation, Side, Turn},
    fragment::{self, View},
    picture,
    route::{Route, What, parameters},
    streaming,
};

/// Searches under way at once; more are turned away.
const MAX_SEARCHES: usize = 16;
/// Tokens that are checked at once: each may take a core for a tenth of a second.
const MAX_CHECKS: usize = 2;
/// Where Arkime puts its token.
const TOKEN: &str = "x-arkime-auth";

/// What all requests share.
pub(crate) struct Shared {
    /// Where the captures are.
    pub(crate) folder: PathBuf,
    /// This sensor's name.
    pub(crate) node: String,
    /// Who may have packets over the network; nobody without one.
    pub(crate) gate: Option<Gate>,
    searches: Arc<Semaphore>,
    checks: Arc<Semaphore>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    /// Someone whom the local socket's mode lets in.
    Local,
    /// Someone on the network.
    Remote(IpAddr),
}

impl Shared {
    pub(crate) fn new(folder: PathBuf, node: String, gate: Option<Gate>) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self { folder, node, gate, searches: places(MAX_SEARCHES), checks: places(MAX_CHECKS) }
    }
}

/// Answers a request. Of its body nothing is read: all that is asked for stands in its target.
pub(crate) async fn answer(State((shared, peer)): State<(Arc<Shared>, Peer)>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let mut response = match admit(&shared, peer, &request).await {
        Ok(()) => match obey(&shared, peer, &request.method, &request.uri).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        },
        Err(denied) => {
            tracing::warn!(?peer, path = request.uri.path(), %denied, "packets refused");
            let status = if denied == Denied::TooMany { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::FORBIDDEN };
            // No more than that: what is wrong with a token is for the log.
            (status, "not allowed: see the log of tenrec viewer on the sensor\n").into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether the peer may ask at all: before anything is looked at.
async fn admit(shared: &Arc<Shared>, peer: Peer, request: &Parts) -> Result<(), Denied> {
    let Peer::Remote(address) = peer else { return Ok(()) };
    let token = request.headers.get(TOKEN).map(|value| value.to_str().unwrap_or_default().to_owned());
    let method = request.method.as_str().to_owned();
    let target = request.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    if token.is_none() {
        return Err(Denied::Missing);
    }
    let (checks, shared) = (Arc::clone(&shared.checks), Arc::clone(shared));
    // Never closed.
    let _permit = checks.acquire_owned().await;
    let checked = tokio::task::spawn_blocking(move || {
        let now = jiff::Timestamp::now().as_millisecond();
        let gate = shared.gate.as_ref().ok_or(Denied::Missing)?;
        gate.check(token.as_deref(), Asked { method: &method, target: &target, peer: address, now })
    });
    let user = checked.await.unwrap_or(Err(Denied::Malformed))?;
    tracing::info!(%user, peer = %address, path = request.uri.path(), "packets asked for");
    Ok(())
}

/// What is asked for, or why not.
async fn obey(shared: &Arc<Shared>, peer: Peer, method: &Method, uri: &Uri) -> Result<Response, Refusal> {
    if !matches!(*method, Method::GET | Method::POST) {
        return Err(refusal(StatusCode::METHOD_NOT_ALLOWED, "ask with GET or POST"));
    }
    let parameters = parameters(uri.query().unwrap_or_default());
    let parameter = |name: &str| parameters.get(name).cloned();
    match (Route::of(uri.path()), peer) {
        (Route::Session { node, .. }, _) if node != shared.node => {
            Err(refusal(StatusCode::NOT_FOUND, &format!("this sensor is {}, not {node}", shared.node)))
        }
        (Route::Session { what: What::Hunt, .. }, _) => Ok(hunt()),
        (Route::Session { id, what, .. }, _) => session(shared, &id, what, parameter).await,
        (Route::Search, Peer::Local) => {
            let asked = [parameter("filter"), parameter("from"), parameter("to")];
            let tagged = parameter("tagged").as_deref() == Some("true");
            let (store, question) = blocking(shared, move |store| Ok((store, question(asked, tagged)?))).await?;
            let format = if parameter("format").as_deref() == Some("pcapng") { Format::Pcapng } else { Format::Pcap };
            capture(store.search(question), Output::new(format), "packets", format, permit(shared)?)
        }
        (Route::Search | Route::Unknown, _) => Err(refusal(StatusCode::NOT_FOUND, "there is nothing under this path")),
    }
}

async fn session(
    shared: &Arc<Shared>,
    id: &str,
    what: What,
    parameter: impl Fn(&str) -> Option<String> + Send,
) -> Result<Response, Refusal> {
    let permit = permit(shared)?;
    let id = session_id(id);
    let wanted = id.clone();
    let found = blocking(shared, move |store| {
        let places = if what == What::Entire { store.whole_session(&wanted) } else { store.session(&wanted) };
        let places = places.map_err(|error| unreadable(&error))?;
        Ok(places.map(|places| store.packets(places)))
    });
    let unknown = "no index on this sensor knows the session: its captures were deleted, or it was not captured here";
    let Some(search) = found.await? else {
        return match what {
            // The page of the session shows what comes.
            What::Packets => Ok(html(&fragment::error(unknown))),
            _ => Err(refusal(StatusCode::NOT_FOUND, unknown)),
        };
    };
    let format = match what {
        What::Pcapng => Format::Pcapng,
        _ => Format::PcapMicroseconds,
    };
    match what {
        What::Pcap | What::Pcapng | What::Entire => {
            let output = if parameter("noHeader").as_deref() == Some("true") { Output::headless(format) } else { Output::new(format) };
            capture(search, output, &id, format, permit)
        }
        What::Packets => {
            let view = View::of(&parameter);
            let frames = parameter("showFrames").as_deref() == Some("true");
            let link = format!("/api/session/raw/{}/3@{id}.png", shared.node);
            let turns = conversation(search, frames, permit).await?;
            Ok(html(&fragment::render(&turns, view, &link)))
        }
        What::Raw | What::Picture => {
            let side = if parameter("type").as_deref() == Some("dst") { Side::Destination } else { Side::Source };
            let turns = conversation(search, false, permit).await?;
            let turns = turns.iter().filter(|turn| turn.side == side);
            if what == What::Picture {
                return Ok(([(header::CONTENT_TYPE, "image/png")], picture::draw(turns)).into_response());
            }
            let bytes: Vec<u8> = turns.flat_map(|turn| turn.bytes.iter().copied()).collect();
            Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
        }
        What::Hunt => Ok(hunt()),
    }
}

/// A hunt names no more than its id; what it looks for lies in OpenSearch, which the viewer does not ask. The central viewer
/// pauses the hunt and shows this.
fn hunt() -> Response {
    let error = "this sensor does not hunt: it cannot look up what the hunt looks for; download the sessions as PCAP instead";
    axum::Json(json!({ "matched": false, "error": error })).into_response()
}

fn question([filter, from, to]: [Option<String>; 3], tagged: bool) -> Result<Question, Refusal> {
    let wrong = |message: String| refusal(StatusCode::BAD_REQUEST, &message);
    let compile = if tagged { Filter::compile_behind_tags } else { Filter::compile };
    let filter = compile(&filter.unwrap_or_default()).map_err(|error| wrong(error.to_string()))?;
    let now = Time(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX));
    let time = |text: Option<String>| {
        let text = text.filter(|text| !text.trim().is_empty());
        text.map(|text| time::parse(&text, now)).transpose().map_err(|error| wrong(error.to_string()))
    };
    let (from, to) = (time(from)?, time(to)?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(wrong("the time from which on is later than that until which: nothing can be found".to_owned()));
    }
    Ok(Question { filter, from, to })
}

/// Does what may wait for the disk, with a fresh look at the folder.
async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    act: impl FnOnce(Store) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let folder = shared.folder.clone();
    let done = tokio::task::spawn_blocking(move || Store::open(&folder).map_err(|error| unreadable(&error)).and_then(act));
    done.await.unwrap_or_else(|_| Err(broken()))
}

fn unreadable(error: &std::io::Error) -> Refusal {
    tracing::error!(%error, "captures cannot be read: the viewer's user must be in the group of pcap.folder");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "the captures cannot be read: see the log of tenrec viewer on the sensor")
}

fn permit(shared: &Shared) -> Result<OwnedSemaphorePermit, Refusal> {
    let busy = |_| refusal(StatusCode::SERVICE_UNAVAILABLE, "too many searches are under way: try again when one has ended");
    Arc::clone(&shared.searches).try_acquire_owned().map_err(busy)
}

fn capture(search: Search, output: Output, name: &str, format: Format, permit: OwnedSemaphorePermit) -> Result<Response, Refusal> {
    let (kind, ending) = match format {
        Format::Pcapng => ("application/x-pcapng", "pcapng"),
        Format::Pcap | Format::PcapMicroseconds => ("application/vnd.tcpdump.pcap", "pcap"),
    };
    let name: String = name.chars().filter(|char| char.is_ascii_alphanumeric() || "-_".contains(*char)).take(64).collect();
    let response = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{ending}\""))
        .body(streaming::body(search, output, permit));
    response.map_err(|_| broken())
}

async fn conversation(mut search: Search, frames: bool, permit: OwnedSemaphorePermit) -> Result<Vec<Turn>, Refusal> {
    let gathered = tokio::task::spawn_blocking(move || {
        let mut conversation = Conversation::default();
        while let Some(found) = search.packet()
            && conversation.push(found.record.at, found.record.data)
        {}
        drop(permit);
        if frames { conversation.frames() } else { conversation.turns() }
    });
    gathered.await.map_err(|_| broken())
}

fn html(text: &str) -> Response {
    // A page of its own it is not; should someone open it as one, nothing in it runs.
    let policy = (header::CONTENT_SECURITY_POLICY, "default-src 'none'; img-src 'self'");
    ([policy, (header::CONTENT_TYPE, "text/html; charset=utf-8")], text.to_owned()).into_response()
}

/// Why there is nothing, in plain words.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    text: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from(format!("{}\n", self.text))).into_response()
    }
}

fn refusal(status: StatusCode, text: &str) -> Refusal {
    Refusal { status, text: text.to_owned() }
}

/// A task of ours panicked.
fn broken() -> Refusal {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "something broke: please report what the log of tenrec viewer says")
}
