//! For the tests of pages: a web UI over made-up servers, and a browser.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::{Extension, Router};
use settings::control::{Connection, File, Status};
use tower::ServiceExt as _;

use crate::auth::Peer;
use crate::history::Watch;
use crate::made_up::{self, World};
use crate::{Options, Shared};

/// The code that the made-up console shows.
pub(crate) const CODE: &str = "ABCDE-FGHJK";

/// A web UI with what it asks.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    app: Router,
    shared: Shared,
    world: World,
}

impl Site {
    /// An appliance at its first boot.
    pub(crate) async fn appliance() -> Self {
        let site = Self::start(|_| {}, true);
        std::fs::write(site.folder().join("setup-code"), format!("{CODE}\n")).unwrap();
        site
    }

    /// A machine that is no appliance.
    pub(crate) async fn plain() -> Self {
        Self::start(|_| {}, false)
    }

    /// A machine that is no appliance, with a password.
    pub(crate) async fn with_password(password: &str) -> Self {
        let site = Self::start(|_| {}, false);
        std::fs::write(site.folder().join("web.password"), crate::auth::password::hash(password).unwrap()).unwrap();
        site
    }

    /// One that anyone may see, over a daemon with this state.
    pub(crate) async fn open(status: Status, connections: Vec<Connection>, files: Vec<File>) -> Self {
        let site = Self::start(|options| options.open = true, false);
        site.world.daemon(|daemon| (daemon.status, daemon.connections, daemon.files) = (status, connections, files));
        site
    }

    fn start(change: impl FnOnce(&mut Options), appliance: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let world = made_up::start(folder.path());
        let mut options = Options {
            control: path("control.sock"),
            viewer: path("viewer.sock"),
            appliance: appliance.then(|| path("appliance.sock")),
            settings: path("tenrec.toml"),
            password_file: path("web.password"),
            setup_code: appliance.then(|| path("setup-code")),
            state: Some(folder.path().to_owned()),
            ..Options::default()
        };
        change(&mut options);
        let watch = Watch::start(options.control.clone(), options.appliance.clone());
        let shared = crate::shared(options, watch);
        let peer = Peer { address: IpAddr::from([192, 0, 2, 9]), encrypted: false };
        let app = crate::app(shared.clone()).layer(Extension(peer));
        Self { folder, app, shared, world }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { app: self.app.clone(), cookies: BTreeMap::new(), last_cookie: String::new() }
    }

    /// A browser whose session has the password.
    pub(crate) fn administrator(&self) -> Browser {
        self.logged_in(crate::auth::session::Standing::Administrator)
    }

    /// A browser whose session has the setup code.
    pub(crate) async fn setup(&self) -> Browser {
        self.logged_in(crate::auth::session::Standing::Setup)
    }

    fn logged_in(&self, standing: crate::auth::session::Standing) -> Browser {
        let mut browser = self.browser();
        let id = self.shared.gate.sessions.begin(standing, None, std::time::Instant::now()).unwrap();
        browser.cookies.insert("tenrec".to_owned(), id);
        browser
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) policy: String,
    pub(crate) location: String,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: String,
}

impl Page {
    /// Where it leads.
    pub(crate) fn redirect(&self) -> &str {
        assert!(self.status.is_redirection(), "{}: {}", self.status, self.body);
        &self.location
    }
}

/// Keeps cookies, and sends forms as a browser does.
pub(crate) struct Browser {
    app: Router,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) last_cookie: String,
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, "").await
    }

    /// Sends a form, with the token that its page would have.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf();
        let all = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied());
        let encoded = all.map(|(name, value)| format!("{}={}", crate::format::encoded(name), crate::format::encoded(value)));
        let body = encoded.collect::<Vec<_>>().join("&");
        self.send("POST", path, &body).await
    }

    pub(crate) fn csrf(&self) -> String {
        let basis = self.cookies.get("tenrec").or_else(|| self.cookies.get("tenrec-form"));
        basis.map(|basis| crate::auth::form::token(basis)).unwrap_or_default()
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> Page {
        let kind = "application/x-www-form-urlencoded";
        self.ask(Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind), body.to_owned()).await
    }

    pub(crate) async fn ask(&mut self, request: axum::http::request::Builder, body: impl Into<Body>) -> Page {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut request = request.header(header::COOKIE, cookies).body(body.into()).unwrap();
        if !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
        }
        let response = self.app.clone().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            self.last_cookie = cookie.to_str().unwrap().to_owned();
            let (name, value) = self.last_cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let (parts, body) = response.into_parts();
        let text = |name: header::HeaderName| parts.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        let (policy, location) = (text(header::CONTENT_SECURITY_POLICY), text(header::LOCATION));
        // The live status never ends.
        let bytes = if parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
            Vec::new()
        } else {
            to_bytes(body, 64 << 20).await.unwrap().to_vec()
        };
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Page { status: parts.status, policy, location, headers: parts.headers, bytes, body }
    }

    /// Loads a page until it is as it should be.
    pub(crate) async fn until(&mut self, path: &str, done: impl Fn(&Page) -> bool) -> Page {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let page = self.get(path).await;
                if done(&page) {
                    return page;
                }
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{path} never became as it should be"))
    }
}

/// A self-signed certificate, and its key.
pub(crate) fn key_pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["collector".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A certificate.
pub(crate) fn certificate() -> String {
    key_pair().0
}
