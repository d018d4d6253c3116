//! Who may see what. [`guard`] stands in front of every page: what it lets pass is decided by the path and by what the
//! request proves, so that a new page is closed until someone opens it here.
//!
//! | who | proves it by | may |
//! |---|---|---|
//! | nobody | | log in, give the setup code, ask /healthz |
//! | setup | the code of the console | /setup, until there is a password |
//! | administrator | the password | everything |
//! | token | a token | /api and /metrics |
//! | open | `--open`, on loopback alone | everything |

pub(crate) mod form;
mod limit;
pub(crate) mod password;
pub(crate) mod random;
pub(crate) mod session;
pub(crate) mod token;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use self::limit::Limit;
use self::password::Hashing;
use self::session::{Key, Sessions, Standing};
use self::token::Tokens;
use crate::Shared;
use crate::api::problem;

/// Where a request comes from: put into it by the server, which knows the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Whether the connection is encrypted.
    pub(crate) encrypted: bool,
}

impl Default for Peer {
    fn default() -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), encrypted: false }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Who {
    /// Unknown.
    Nobody,
    /// Who knows the setup code.
    Setup(Key),
    /// Who knows the password.
    Administrator(Key),
    /// A program with a token; whether it may change anything.
    Token(String, bool),
    /// Anyone, since `--open` was said.
    Open,
}

impl Who {
    /// The session, if there is one.
    pub(crate) fn key(&self) -> Option<Key> {
        match self {
            Self::Setup(key) | Self::Administrator(key) => Some(*key),
            _ => None,
        }
    }

    /// For the audit log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Nobody => "nobody".to_owned(),
            Self::Setup(_) => "setup".to_owned(),
            Self::Administrator(_) => "administrator".to_owned(),
            Self::Token(name, _) => format!("token {name}"),
            Self::Open => "anyone".to_owned(),
        }
    }
}

/// What is known of a request once it has passed: who asks, from where, and the token for forms on the page.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    pub(crate) peer: Peer,
    pub(crate) csrf: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// What decides.
pub(crate) struct Gate {
    open: bool,
    password_file: PathBuf,
    code_file: Option<PathBuf>,
    pub(crate) sessions: Sessions,
    pub(crate) tokens: Tokens,
    pub(crate) hashing: Hashing,
    limit: Limit,
}

impl Gate {
    pub(crate) fn new(open: bool, password_file: PathBuf, code_file: Option<PathBuf>, state: Option<&Path>) -> Self {
        Self {
            open,
            password_file,
            code_file,
            sessions: Sessions::default(),
            tokens: Tokens::load(state),
            hashing: Hashing::default(),
            limit: Limit::default(),
        }
    }

    /// The file with the hash of the password.
    pub(crate) fn password_file(&self) -> &Path {
        &self.password_file
    }

    /// Whether there is a password.
    pub(crate) fn has_password(&self) -> bool {
        password::stored(&self.password_file).is_some()
    }

    /// The setup code, while there is no password.
    fn code(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.code_file.as_ref()?).ok()?;
        let code = plain(&text);
        (code.len() >= 8 && !self.has_password()).then_some(code)
    }

    /// Whether a setup code is waited for.
    pub(crate) fn wants_code(&self) -> bool {
        self.code().is_some()
    }

    /// Takes a try at a secret.
    ///
    /// # Errors
    /// In words when there were too many.
    fn try_once(&self, peer: Peer) -> Result<(), String> {
        self.limit
            .take(peer.address, Instant::now())
            .map_err(|seconds| format!("too many attempts; the next one is possible in {seconds} seconds"))
    }

    /// Begins a session for who gives the setup code.
    ///
    /// # Errors
    /// In words for who gave it.
    pub(crate) fn setup(&self, typed: &str, caller: &Caller) -> Result<String, String> {
        self.try_once(caller.peer)?;
        let code = self.code().ok_or("there is no setup code: the password is set already, or the appliance has not begun yet")?;
        if typed.len() > 64 || !random::same(&code, &plain(typed)) {
            return Err("this is not the code that the console shows".to_owned());
        }
        self.limit.give_back(caller.peer.address);
        self.sessions.begin(Standing::Setup, caller.who.key(), Instant::now()).map_err(|error| error.to_string())
    }

    /// Whether it is the password.
    ///
    /// # Errors
    /// In words for who gave it.
    pub(crate) async fn check(&self, password: &str, peer: Peer) -> Result<(), String> {
        self.try_once(peer)?;
        if !self.hashing.verify(&self.password_file, password.to_owned()).await {
            return Err("this is not the password".to_owned());
        }
        self.limit.give_back(peer.address);
        Ok(())
    }

    /// Begins a session for the administrator.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(crate) fn admit(&self, caller: &Caller) -> std::io::Result<String> {
        self.sessions.begin(Standing::Administrator, caller.who.key(), Instant::now())
    }

    fn who(&self, headers: &HeaderMap, session: Option<&str>) -> Who {
        if let Some(shown) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) {
            let token = shown.strip_prefix("Bearer ").and_then(|text| self.tokens.find(text.trim()));
            return token.map_or(Who::Nobody, |token| Who::Token(token.name, token.changes));
        }
        if self.open {
            return Who::Open;
        }
        let Some(key) = session.map(Key::of) else { return Who::Nobody };
        match self.sessions.standing(key, Instant::now()) {
            // The code is worth nothing once there is a password; what is being set up goes on until it is done.
            Some(Standing::Setup) => Who::Setup(key),
            Some(Standing::Administrator) => Who::Administrator(key),
            None => Who::Nobody,
        }
    }

    /// Where who is nobody has to go.
    fn entry(&self) -> &'static str {
        if self.wants_code() { "/setup/code" } else { "/login" }
    }
}

/// A code as it is compared: without what people put between its letters, which are upper case.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// Lets a request pass to its page, with [`Caller`] and the fields of its form, or answers in its place.
pub(crate) async fn guard(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or_default();
    let session = cookie(request.headers(), session_cookie(peer));
    let who = shared.gate.who(request.headers(), session.as_deref());
    let path = request.uri().path();
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if let Some(refusal) = refuse(&shared.gate, &who, path, changes) {
        return refusal;
    }
    let has_session = who.key().is_some();
    let (basis, fresh) = match session.filter(|_| has_session).or_else(|| cookie(request.headers(), FORM_COOKIE)) {
        Some(known) => (known, false),
        None => match random::text() {
            Ok(fresh) => (fresh, true),
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        },
    };
    let csrf = form::token(&basis);
    if changes && !matches!(who, Who::Token(..)) {
        let is_api = path.starts_with("/api");
        let most = if who == Who::Nobody { form::MAX_STRANGERS_FORM } else { form::MAX_FORM };
        request = match form::admit(request, &csrf, most).await {
            Ok(request) => request,
            Err((status, why)) if is_api => return problem(status, why, "send the header X-CSRF-Token, or use a token"),
            Err((status, why)) => return (status, format!("{why}\n")).into_response(),
        };
    }
    request.extensions_mut().insert(Caller { who, peer, csrf });
    let mut response = next.run(request).await;
    if fresh && let Ok(value) = HeaderValue::from_str(&set_cookie(FORM_COOKIE, &basis, peer)) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// The answer to who may not go there; none if they may.
fn refuse(gate: &Gate, who: &Who, path: &str, changes: bool) -> Option<Response> {
    let beneath = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if path == "/healthz" || beneath("/static") {
        return None;
    }
    let for_programs = beneath("/api") || path == "/metrics";
    let redirect = |to: &str| Some(Redirect::to(to).into_response());
    match who {
        Who::Open | Who::Administrator(_) => None,
        Who::Token(_, may_change) if for_programs => (changes && !may_change)
            .then(|| problem(StatusCode::FORBIDDEN, "this token may read and change nothing", "make one that may, on the page Access")),
        Who::Token(..) => Some(problem(StatusCode::FORBIDDEN, "tokens are for /api and /metrics", "log in with a browser")),
        _ if for_programs => Some(problem(StatusCode::UNAUTHORIZED, "who asks is not known", "send a token: Authorization: Bearer …")),
        Who::Setup(_) if beneath("/setup") || path == "/logout" => None,
        Who::Setup(_) => redirect(if gate.has_password() { "/login" } else { "/setup/password" }).filter(|_| path != "/login"),
        Who::Nobody if path == "/login" || path == "/setup/code" => None,
        Who::Nobody => redirect(gate.entry()),
    }
}

const FORM_COOKIE: &str = "tenrec-form";

/// Over HTTPS no other host and no plain HTTP can set or get it (RFC 6265bis §4.1.3.2).
fn session_cookie(peer: Peer) -> &'static str {
    if peer.encrypted { "__Host-tenrec" } else { "tenrec" }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    all.filter_map(|pair| pair.trim().split_once('=')).find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

fn set_cookie(name: &str, value: &str, peer: Peer) -> String {
    let secure = if peer.encrypted { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}")
}

/// Goes to a page with a session begun.
pub(crate) fn enter(id: &str, caller: &Caller, to: &str) -> Response {
    ([(header::SET_COOKIE, set_cookie(session_cookie(caller.peer), id, caller.peer))], Redirect::to(to)).into_response()
}

/// Goes to the login with the session ended.
pub(crate) fn leave(gate: &Gate, caller: &Caller) -> Response {
    if let Some(key) = caller.who.key() {
        gate.sessions.end(key);
    }
    let gone = format!("{}; Max-Age=0", set_cookie(session_cookie(caller.peer), "", caller.peer));
    // Also what the browser has kept of the pages (the button "back").
    ([(header::SET_COOKIE, gone), (header::HeaderName::from_static("clear-site-data"), "\"cache\"".to_owned())], Redirect::to("/login"))
        .into_response()
}
