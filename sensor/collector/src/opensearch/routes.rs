//! Paths and what they do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::answers::{Refusal, json_response, proxy_response};
use super::store::{Change, Done, Store};
use super::{bulk, filter, request, search};
use crate::Counts;
use crate::faults::{Faults, OpenSearch as Fault};

/// Parameters of writes.
const WRITING: &[&str] =
    &["refresh", "timeout", "version", "version_type", "routing", "op_type", "wait_for_active_shards", "retry_on_conflict"];
/// Parameters of bulk requests.
const BULK: &[&str] = &["refresh", "timeout", "routing", "pipeline", "wait_for_active_shards", "require_alias", "_source"];
/// Parameters of searches.
const SEARCHING: &[&str] =
    &["size", "from", "ignore_unavailable", "allow_no_indices", "expand_wildcards", "track_total_hits", "rest_total_hits_as_int"];

/// How long a body may take.
const LINGER: Duration = Duration::from_secs(30);

/// All that requests share.
pub(crate) struct Shared {
    pub(crate) store: Arc<Mutex<Store>>,
    pub(crate) counts: watch::Sender<Counts>,
    pub(crate) faults: Faults,
    pub(crate) user: Option<(String, String)>,
    pub(crate) max_request: usize,
    pub(crate) database_version: Option<u64>,
    /// Requests that are in memory at once.
    pub(crate) room: Semaphore,
}

/// The service.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new().fallback(serve).with_state(Arc::new(shared))
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let is_known = shared.user.as_ref().is_none_or(|user| request::is_from(&parts.headers, user));
    // Never closed, so it never fails.
    let _room = shared.room.acquire().await.ok();
    // Of a stranger's body nothing is kept.
    let body = match whole(body, if is_known { shared.max_request } else { 0 }).await {
        _ if !is_known => {
            let mut response = proxy_response(401, "Authorization Required");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tenrec\""));
            return response;
        }
        Ok(body) => body,
        Err(413) => return proxy_response(413, "Request Entity Too Large"),
        Err(status) => return proxy_response(status, "Bad Request"),
    };
    let path: Vec<String> = parts.uri.path().split('/').filter(|part| !part.is_empty()).map(request::decoded).collect();
    let parameters = request::parameters(parts.uri.query());
    let is_bulk = path.last().is_some_and(|last| last == "_bulk");
    if is_bulk && let Some(answer) = fail(&shared).await {
        return answer;
    }
    let wanted = parameters.get("filter_path").cloned();
    let call = Call { method: parts.method, path, parameters, headers: parts.headers, body };
    let head = call.method == Method::HEAD;
    let worker = Arc::clone(&shared);
    // The disk may take its time without holding up other connections.
    let answered = tokio::task::spawn_blocking(move || answer(&worker, &call)).await;
    let answered = answered.unwrap_or_else(|error| Err(Refusal::new(500, "exception", error.to_string())));
    let (status, mut value) = answered.unwrap_or_else(|refusal| refusal.answer());
    if let Some(patterns) = wanted
        && status < 400
    {
        value = filter::filter(value, &patterns);
    }
    if is_bulk && shared.faults.opensearch(|fault| *fault == Fault::Cut).is_some() {
        return cut(&value);
    }
    if head {
        return json_response(status, &Value::Null).map(|_| Body::empty());
    }
    json_response(status, &value)
}

/// A body of at most so many bytes. What is more is read all the same and thrown away: who is still sending would not see
/// the answer otherwise. nginx calls it lingering, and does so for as long.
///
/// # Errors
/// The status to answer with.
async fn whole(mut body: Body, most: usize) -> Result<Bytes, u16> {
    let mut kept = BytesMut::new();
    let mut length = 0_usize;
    let read = async {
        while let Some(frame) = body.frame().await {
            // Cut off: a half of a request must not be obeyed.
            let Ok(data) = frame.map_err(|_| 400_u16)?.into_data() else { continue };
            length = length.saturating_add(data.len());
            if length <= most {
                kept.extend_from_slice(&data);
            }
        }
        Ok(())
    };
    tokio::time::timeout(LINGER, read).await.unwrap_or(Err(408_u16))?;
    if length > most { Err(413) } else { Ok(kept.freeze()) }
}

/// What is to go wrong before the request is obeyed.
async fn fail(shared: &Shared) -> Option<Response> {
    match shared.faults.opensearch(|fault| matches!(fault, Fault::Stall | Fault::Status(_)))? {
        Fault::Stall => std::future::pending().await,
        Fault::Status(status @ (429 | 503)) => {
            let mut response = json_response(status, &Refusal::new(status, "rejected_execution_exception", "on purpose").answer().1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            Some(response)
        }
        Fault::Status(status) => Some(proxy_response(status, "On Purpose")),
        Fault::Partial(..) | Fault::Cut => None,
    }
}

/// Half an answer, and then the connection breaks.
fn cut(value: &Value) -> Response {
    let text = value.to_string();
    let half = Bytes::from(text.get(..text.len() / 2).unwrap_or_default().to_owned());
    let broken = futures_util::stream::iter([Ok(half), Err(std::io::Error::other("on purpose"))]);
    let mut response = json_response(200, &Value::Null).map(|_| Body::from_stream(broken));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    response
}

/// One request.
struct Call {
    method: Method,
    path: Vec<String>,
    parameters: std::collections::BTreeMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        request::only(known, &self.parameters, &format!("/{}", self.path.join("/")))
    }

    /// The body as JSON; `{}` where there is none.
    fn json(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        request::is_json(&self.headers, false)?;
        let body = request::unpacked(&self.headers, self.body.clone())?;
        serde_json::from_slice(&body).map_err(|error| Refusal::new(400, "mapper_parsing_exception", format!("failed to parse: {error}")))
    }

    fn version(&self) -> Result<super::index::Version, Refusal> {
        let given = self
            .parameters
            .get("version")
            .map(|text| text.parse().map_err(|_| Refusal::illegal(format!("[version] {text:?} is no number"))));
        bulk::version_of(given.transpose()?, self.parameters.get("version_type").map(String::as_str))
    }
}

type Answered = Result<(u16, Value), Refusal>;

fn answer(shared: &Shared, call: &Call) -> Answered {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let reading = matches!(call.method, Method::GET | Method::HEAD);
    let asking = reading || call.method == Method::POST;
    let writing = matches!(call.method, Method::POST | Method::PUT);
    match path.as_slice() {
        [] if reading => Ok((200, greeting())),
        ["_cluster", "health"] if reading => Ok((200, json!({"cluster_name": "tenrec", "status": "green", "number_of_nodes": 1}))),
        ["_cat", "indices"] if reading => Ok((200, indices(&lock(shared)))),
        ["_template", name] => template(shared, call, name),
        ["_bulk"] if writing => bulk(shared, call, None),
        [index, "_bulk"] if writing => bulk(shared, call, Some(index)),
        [index, "_doc" | "_create", id] if writing => put(shared, call, index, Some(id), path.get(1) == Some(&"_create")),
        [index, "_doc"] if call.method == Method::POST => put(shared, call, index, None, false),
        [index, "_doc", id] if reading => get(shared, call, index, id),
        [index, "_doc", id] if call.method == Method::DELETE => {
            call.only(WRITING)?;
            let change = Change::Delete(call.version()?);
            write(shared, index, id, change)
        }
        [index, "_update", id] if call.method == Method::POST => {
            call.only(WRITING)?;
            write(shared, index, id, bulk::update(call.json()?)?)
        }
        ["_search"] | [_, "_search"] if asking => {
            call.only(SEARCHING)?;
            search::search(&lock(shared), pattern(&path), &asked(call)?).map(|found| (200, found))
        }
        ["_count"] | [_, "_count"] if asking => {
            call.only(SEARCHING)?;
            search::count(&lock(shared), pattern(&path), &call.json()?).map(|count| (200, count))
        }
        // Everything is found as soon as it is written.
        ["_refresh"] | [_, "_refresh"] if asking => Ok((200, json!({"_shards": search::shards()}))),
        [index] if call.method == Method::HEAD && !index.starts_with('_') => {
            Ok((if lock(shared).index(index).is_some() { 200 } else { 404 }, Value::Null))
        }
        [_] if matches!(call.method, Method::PUT | Method::DELETE) => {
            Err(Refusal::new(403, "security_exception", "a sensor may neither make nor delete indices here"))
        }
        _ => Err(Refusal::illegal(format!("no handler found for uri [/{}] and method [{}]", call.path.join("/"), call.method))),
    }
}

fn pattern<'a>(path: &[&'a str]) -> &'a str {
    match path {
        [index, _] => index,
        _ => "_all",
    }
}

/// A search may have its numbers in the query.
fn asked(call: &Call) -> Result<Value, Refusal> {
    let mut body = call.json()?;
    for name in ["size", "from"] {
        if let (Some(text), Some(body)) = (call.parameters.get(name), body.as_object_mut()) {
            let number: u64 =
                text.parse().map_err(|_| Refusal::illegal(format!("Failed to parse int parameter [{name}] with value [{text}]")))?;
            body.insert(name.to_owned(), json!(number));
        }
    }
    Ok(body)
}

fn bulk(shared: &Shared, call: &Call, index: Option<&str>) -> Answered {
    call.only(BULK)?;
    request::is_json(&call.headers, true)?;
    let body = request::unpacked(&call.headers, call.body.clone())?;
    let actions = bulk::parse(&body, index)?;
    let partial = shared.faults.opensearch(|fault| matches!(fault, Fault::Partial(..)));
    let interrupt = |at: usize| match partial {
        Some(Fault::Partial(status, every)) if (at + 1).is_multiple_of(every) => {
            let kind = if status == 400 { "mapper_parsing_exception" } else { "rejected_execution_exception" };
            Some(Refusal::new(status, kind, "on purpose"))
        }
        _ => None,
    };
    let mut store = lock(shared);
    let (items, errors) = bulk::apply(&mut store, actions, interrupt)?;
    shared.counts.send_replace(store.counts());
    Ok((200, json!({"took": 0, "errors": errors, "items": items})))
}

fn put(shared: &Shared, call: &Call, index: &str, id: Option<&str>, only_new: bool) -> Answered {
    call.only(WRITING)?;
    let source = call.json()?;
    if !source.is_object() {
        return Err(Refusal::new(400, "mapper_parsing_exception", "failed to parse: not an object"));
    }
    let only_new = only_new || call.parameters.get("op_type").is_some_and(|kind| kind == "create");
    let change = if only_new { Change::Create(source) } else { Change::Index(source, call.version()?) };
    let id = id.map_or_else(bulk::generated, str::to_owned);
    write(shared, index, &id, change)
}

fn write(shared: &Shared, index: &str, id: &str, change: Change) -> Answered {
    let mut store = lock(shared);
    let Done { result, status, version } = store.apply(index, id, change)?;
    store.sync()?;
    shared.counts.send_replace(store.counts());
    Ok((status, json!({"_index": index, "_id": id, "_version": version, "result": result, "_shards": search::shards()})))
}

fn get(shared: &Shared, call: &Call, index: &str, id: &str) -> Answered {
    call.only(&["realtime", "refresh", "routing", "_source"])?;
    Ok(match lock(shared).get(index, id)? {
        Some(found) => (200, json!({"_index": index, "_id": id, "_version": found.version, "found": true, "_source": found.source})),
        None => (404, json!({"_index": index, "_id": id, "found": false})),
    })
}

fn template(shared: &Shared, call: &Call, name: &str) -> Answered {
    const SESSIONS: &str = "arkime_sessions3_template";
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Err(Refusal::new(403, "security_exception", "a sensor may not change templates"));
    }
    match shared.database_version {
        Some(version) if filter::matches(name, SESSIONS) => Ok((
            200,
            json!({SESSIONS: {
                "order": 99, "index_patterns": ["arkime_sessions3-*"], "settings": {}, "aliases": {},
                "mappings": {"_meta": {"molochDbVersion": version}},
            }}),
        )),
        _ => Ok((404, json!({}))),
    }
}

fn greeting() -> Value {
    json!({
        "name": "tenrec", "cluster_name": "tenrec", "cluster_uuid": "tenrec",
        "version": {
            "distribution": "opensearch", "number": "2.19.0", "build_type": "rpm",
            "minimum_wire_compatibility_version": "7.10.0", "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "The OpenSearch Project: https://opensearch.org/",
    })
}

fn indices(store: &Store) -> Value {
    store.counts().into_iter().map(|(index, count)| json!({"index": index, "status": "open", "docs.count": count.to_string()})).collect()
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Store> {
    shared.store.lock().unwrap_or_else(PoisonError::into_inner)
}
