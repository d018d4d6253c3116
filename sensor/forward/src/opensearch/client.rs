//! HTTP/1.1 towards one host, over a connection that is kept alive.

use std::io::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use settings::{OpenSearch, Url};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::answer::FILTER;
use crate::dial::{Stream, dial};
use crate::tls::Trust;

/// Bytes of an answer at most: of ten thousand documents, each refused with a long reason.
const MAX_ANSWER: usize = 64 << 20;

/// A connection that ends after so long without a request was closed for being idle. Sooner, something is wrong.
const IDLE: Duration = Duration::from_secs(1);

/// Bytes of a password file at most.
const MAX_PASSWORD_FILE: u64 = 64 << 10;

/// A connection to one host.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection.
    driver: AbortHandle,
    url: Url,
    authorization: Option<HeaderValue>,
    compression: u32,
    patience: Duration,
    /// When the last request was answered.
    answered: Option<Instant>,
}

/// What a host answered.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// How long the host asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// When it says that it answered.
    pub(crate) date: Option<String>,
    pub(crate) body: Bytes,
}

/// Why there was no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The host has closed a connection that was idle: no trouble, a new one is made.
    Idle,
    /// In plain words.
    Failed(String),
}

impl Client {
    /// Dials a host.
    ///
    /// # Errors
    /// In plain words, with the key to look at.
    pub(crate) async fn connect(settings: &OpenSearch, url: &Url, connect: Duration, patience: Duration) -> Result<Self, String> {
        let stream = dial(url.host(), url.is_encrypted(), Trust::from(settings), connect).await?;
        Self::over(stream, settings, url, patience).await
    }

    /// Speaks HTTP over a connection that stands.
    ///
    /// # Errors
    /// In plain words, with the key to look at.
    pub(crate) async fn over(stream: Stream, settings: &OpenSearch, url: &Url, patience: Duration) -> Result<Self, String> {
        let authorization = authorization(settings)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| format!("{url} does not speak HTTP ({error}): check opensearch.hosts"))?;
        // Its errors reach whoever waits for an answer.
        let driver = tokio::spawn(async {
            let _ = connection.await;
        })
        .abort_handle();
        Ok(Self { sender, driver, url: url.clone(), authorization, compression: settings.compression, patience, answered: None })
    }

    /// Whether the host has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// `GET` of a path below the host's.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Reply, Broken> {
        let request = self.request(Method::GET, path).body(Full::default());
        self.send(request).await
    }

    /// One bulk request of whole records: actions and documents, each line ended.
    pub(crate) async fn bulk(&mut self, body: Vec<u8>) -> Result<Reply, Broken> {
        let mut request =
            self.request(Method::POST, &format!("/_bulk?filter_path={FILTER}")).header(header::CONTENT_TYPE, "application/x-ndjson");
        let body = match self.compression {
            0 => body,
            level => {
                request = request.header(header::CONTENT_ENCODING, "gzip");
                // Tens of milliseconds for four megabytes: too long for the runtime's thread.
                let packed = tokio::task::spawn_blocking(move || gzip(&body, level)).await;
                packed.map_err(|error| Broken::Failed(format!("a request was not packed: {error}")))?
            }
        };
        self.send(request.body(Full::from(body))).await
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url.path()))
            .header(header::HOST, self.url.host().to_string())
            .header(header::USER_AGENT, concat!("tenrec/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json");
        match &self.authorization {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        }
    }

    async fn send(&mut self, request: Result<Request<Full<Bytes>>, hyper::http::Error>) -> Result<Reply, Broken> {
        let request = request.map_err(|error| Broken::Failed(format!("a request to {} cannot be made: {error}", self.url)))?;
        let outcome = timeout(self.patience, self.exchange(request)).await;
        match outcome {
            Ok(Ok(reply)) => {
                self.answered = Some(Instant::now());
                Ok(reply)
            }
            Ok(Err(None)) if self.answered.is_some_and(|last| last.elapsed() >= IDLE) => Err(Broken::Idle),
            Ok(Err(said)) => {
                let said = said.unwrap_or_else(|| "before it answered".to_owned());
                Err(Broken::Failed(format!("{} broke the connection: {said}", self.url)))
            }
            Err(_) => {
                self.driver.abort();
                Err(Broken::Failed(format!("{} has not answered for {} seconds", self.url, self.patience.as_secs_f32())))
            }
        }
    }

    /// The error is `None` where the connection was found closed and the request cannot have been taken.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Option<String>> {
        if self.sender.ready().await.is_err() {
            return Err(None);
        }
        let response = self.sender.send_request(request).await.map_err(|error| {
            // A connection that was closed for being idle, at the moment when the request left.
            if error.is_canceled() || error.is_incomplete_message() { None } else { Some(causes(&error)) }
        })?;
        let status = response.status();
        let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let date = response.headers().get(header::DATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Some(format!("in the middle of its answer ({error})")))?.to_bytes();
        Ok(Reply { status, retry_after: seconds.map(Duration::from_secs), date, body })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn causes(error: &hyper::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        said = format!("{said}: {deeper}");
        cause = deeper.source();
    }
    said
}

fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(level));
    // Writing into a Vec does not fail.
    let _ = packed.write_all(bytes);
    packed.finish().unwrap_or_default()
}

/// HTTP Basic. Files are read anew at each connect, so that a changed password is taken over.
fn authorization(settings: &OpenSearch) -> Result<Option<HeaderValue>, String> {
    let (user, password) = match &settings.password_file {
        None => (settings.user.clone(), settings.password.reveal().to_owned()),
        Some(path) => {
            let unreadable =
                |said: String| format!("cannot read the password from {}: {said}: check opensearch.password_file", path.display());
            let length = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
            if length > MAX_PASSWORD_FILE {
                return Err(unreadable(format!("it has {length} bytes")));
            }
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
            match curlrc(&text) {
                // A name in the settings says whom we want to be.
                Some((user, password)) if settings.user.is_empty() || settings.user == user => (user, password),
                Some((user, _)) => return Err(unreadable(format!("it is that of {user}, and opensearch.user is {}", settings.user))),
                None => (settings.user.clone(), text.lines().next().unwrap_or_default().to_owned()),
            }
        }
    };
    if user.is_empty() {
        return Ok(None);
    }
    let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::from_str(&text).map_err(|error| format!("opensearch.user cannot be sent: {error}"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Name and password of curl's configuration: `user: "name:password"`, also with `=` and without quotes.
fn curlrc(text: &str) -> Option<(String, String)> {
    for line in text.lines() {
        let Some(rest) = line.trim_start().strip_prefix("user") else { continue };
        let Some(value) = rest.trim_start().strip_prefix([':', '=']) else { continue };
        let value = value.trim();
        let unescaped = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
            // curl(1), --config: \\ and \" stand for themselves within quotes.
            Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
            None => value.to_owned(),
        };
        return unescaped.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malcolms_curlrc_and_a_bare_password_are_both_understood() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(curlrc("user: \"malcolm:pass:word\"\ninsecure\n"), pair("malcolm", "pass:word"));
        assert_eq!(curlrc("# no\nuser = a:b\n"), pair("a", "b"));
        assert_eq!(curlrc("user: \"a:\\\"q\\\\\"\n"), pair("a", "\"q\\"));
        assert_eq!(curlrc("hunter2\n"), None);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let sent = |user: &str, text: &str| {
            std::fs::write(&path, text).unwrap();
            let settings = OpenSearch { user: user.to_owned(), password_file: Some(path.clone()), ..OpenSearch::default() };
            authorization(&settings).map(|value| value.map(|value| value.to_str().unwrap().to_owned()))
        };
        // "Aladdin:open sesame" of RFC 7617.
        assert_eq!(sent("Aladdin", "open sesame\n").unwrap().as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(sent("", "user: \"Aladdin:open sesame\"").unwrap().as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert!(sent("other", "user: \"Aladdin:open sesame\"").unwrap_err().contains("opensearch.user"));
    }
}
