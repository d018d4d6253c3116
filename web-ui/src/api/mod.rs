//! The same as the pages, as JSON, and what describes it.
//!
//! One table ([`ROUTES`]) makes the router and the description, so that neither has what the other lacks. Errors are
//! `application/problem+json` (RFC 9457), with what to do in `detail`.

mod appliance;
mod metrics;
mod openapi;
mod sensor;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Shared;

/// What can be asked.
pub(crate) struct Route {
    method: &'static str,
    pub(crate) path: &'static str,
    summary: &'static str,
    /// Parameters of the query: name and meaning.
    query: &'static [(&'static str, &'static str)],
    /// An example of what is sent, if anything.
    body: Option<fn() -> Value>,
    /// Whether an update bundle is sent instead.
    bundle: bool,
    answer: Answer,
    pub(crate) handler: fn() -> MethodRouter<Shared>,
}

/// What comes back.
enum Answer {
    /// JSON like this example.
    Json(fn() -> Value),
    /// Bytes of this media type.
    Bytes(&'static str),
    /// Work has begun; `/api/job` tells of it.
    Begun,
}

impl Route {
    const fn get(path: &'static str, summary: &'static str, answer: Answer, handler: fn() -> MethodRouter<Shared>) -> Self {
        Self { method: "get", path, summary, query: &[], body: None, bundle: false, answer, handler }
    }

    const fn post(path: &'static str, summary: &'static str, answer: Answer, handler: fn() -> MethodRouter<Shared>) -> Self {
        Self { method: "post", path, summary, query: &[], body: None, bundle: false, answer, handler }
    }

    const fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    const fn body(mut self, body: fn() -> Value) -> Self {
        self.body = Some(body);
        self
    }
}

fn text_of_settings() -> Value {
    json!({ "text": "[capture]\ninterfaces = [\"eth1\"]\n" })
}

/// Everything that can be asked.
pub(crate) static ROUTES: &[Route] = &[
    Route::get("/api/status", "Counters and states of the sensor", Answer::Json(sensor::status_example), || get(sensor::status)),
    Route::get("/api/history", "The last hour, a sample each two seconds, oldest first", Answer::Json(sensor::history_example), || {
        get(sensor::history)
    }),
    Route::get(
        "/api/interfaces",
        "Interfaces that are captured from, and the machine's ports",
        Answer::Json(sensor::interfaces_example),
        || get(sensor::interfaces),
    ),
    Route::get("/api/connections", "The flows that ended last, newest first", Answer::Json(sensor::connections_example), || {
        get(sensor::connections)
    })
    .query(&[("search", "words that all must be in it: address, port, service, state, uid"), ("limit", "rows, 1 to 1000")]),
    Route::get("/api/files", "The files seen last, newest first, with their verdicts", Answer::Json(sensor::files_example), || {
        get(sensor::files)
    })
    .query(&[("limit", "rows, 1 to 1000")]),
    Route::get("/api/files/{fuid}", "A carved file, in a zip file with the password infected", Answer::Bytes("application/zip"), || {
        get(sensor::file)
    }),
    Route::get("/api/packets", "Packets from the captures", Answer::Bytes("application/vnd.tcpdump.pcap"), || get(sensor::packets)).query(
        &[
            ("filter", "in tcpdump's language"),
            ("from", "a time, or how long ago: -10m"),
            ("to", "likewise"),
            ("tagged", "true: also behind VLAN tags"),
        ],
    ),
    Route::get("/api/settings", "The settings, without secrets", Answer::Json(text_of_settings), || get(appliance::settings)),
    Route {
        method: "put",
        ..Route::post("/api/settings", "Puts settings in force; secrets that they leave out stay", Answer::Begun, || put(appliance::apply))
    }
    .body(text_of_settings),
    Route::post("/api/settings/check", "What is wrong with settings", Answer::Json(appliance::problems_example), || post(appliance::check))
        .body(text_of_settings),
    Route::post(
        "/api/probe",
        "Tries every link to the collector, with the settings in force",
        Answer::Json(appliance::links_example),
        || post(appliance::probe),
    ),
    Route::get("/api/system", "What the machine is and how it does", Answer::Json(appliance::state_example), || get(appliance::state)),
    Route::get("/api/services", "The services", Answer::Json(appliance::services_example), || get(appliance::services)),
    Route::get("/api/services/{unit}/journal", "The last lines of a service", Answer::Json(appliance::journal_example), || {
        get(appliance::journal)
    })
    .query(&[("lines", "1 to 1000")]),
    Route::post("/api/services/{unit}/restart", "Starts a service again", Answer::Json(appliance::done_example), || {
        post(appliance::restart)
    }),
    Route { bundle: true, ..Route::post("/api/updates", "Installs a bundle", Answer::Begun, || post(appliance::install)) },
    Route::get("/api/updates", "The two slots of the system", Answer::Json(appliance::slots_example), || get(appliance::slots)),
    Route::post("/api/updates/fetch", "Installs the newest version from system.update_url", Answer::Begun, || post(appliance::fetch)),
    Route::get("/api/job", "How the long work that runs, or ran last, is doing", Answer::Json(appliance::job_example), || {
        get(appliance::job)
    }),
    Route::get("/api/audit", "Who did what, newest first", Answer::Json(appliance::audit_example), || get(appliance::audit)),
    Route::post("/api/reboot", "Starts the machine again", Answer::Json(appliance::done_example), || post(appliance::reboot)),
    Route::get("/api/openapi.json", "This description", Answer::Json(openapi::example), || get(openapi::description)),
    Route::get("/metrics", "Counters for Prometheus", Answer::Bytes("application/openmetrics-text"), || get(metrics::page)),
];

/// An answer that says what is wrong and what to do.
pub(crate) fn problem(status: StatusCode, what: &str, to_do: &str) -> Response {
    problems(status, what, to_do, &[])
}

/// The same, with every single thing that is wrong with what was sent.
fn problems(status: StatusCode, what: &str, to_do: &str, all: &[settings::Problem]) -> Response {
    let mut body = json!({ "type": "about:blank", "title": what, "status": status.as_u16(), "detail": to_do });
    if let (Some(body), false) = (body.as_object_mut(), all.is_empty()) {
        body.insert("problems".to_owned(), all.iter().map(|it| json!({ "key": it.key, "what": it.what })).collect());
    }
    (status, [(axum::http::header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

/// The parameters of a query; what is wrong with them is told as every error is.
struct Params<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(problem(error.status(), &error.body_text(), "/api/openapi.json has the parameters")),
        }
    }
}

/// An answer.
fn answer(value: impl Serialize) -> Response {
    Json(value).into_response()
}

/// An example of an answer, from a value.
fn example(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};
    use serde_json::Value;

    use super::ROUTES;
    use crate::pages::testing::{Browser, Page, Site};

    async fn ask(browser: &mut Browser, method: &str, path: &str, body: &str) -> Page {
        let csrf = browser.csrf();
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json").header("x-csrf-token", csrf);
        browser.ask(request, body.to_owned()).await
    }

    #[tokio::test]
    async fn every_route_is_described_and_what_is_described_answers() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let description: Value = serde_json::from_str(&browser.get("/api/openapi.json").await.body).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        for route in ROUTES {
            let operation = &description["paths"][route.path][route.method];
            assert_eq!(operation["summary"], route.summary, "{} {}", route.method, route.path);
            let path = route.path.replace("{fuid}", "F1").replace("{unit}", "tenrec.service");
            let body = route.body.map_or_else(|| if route.bundle { "bundle".to_owned() } else { String::new() }, |body| body().to_string());
            let page = ask(&mut browser, &route.method.to_uppercase(), &path, &body).await;
            let kind = page.headers.get("content-type").map(|kind| kind.to_str().unwrap()).unwrap_or_default();
            assert!(
                !kind.starts_with("text/html") && page.status != StatusCode::METHOD_NOT_ALLOWED,
                "{path}: {} {}",
                page.status,
                page.body
            );
            assert!(page.status.is_success() || path == "/api/files/F1", "{path}: {} {}", page.status, page.body);
            // The answer has the fields that the description has.
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            if let (Some(described), Ok(Value::Object(answered))) = (schema["properties"].as_object(), serde_json::from_str(&page.body)) {
                assert!(answered.keys().all(|key| described.contains_key(key)), "{path}: {} has what {schema} lacks", page.body);
            }
        }
        let described: usize = description["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, ROUTES.len());
    }

    #[tokio::test]
    async fn an_error_is_json_with_what_to_do() {
        let site = Site::appliance().await;
        std::fs::remove_file(site.folder().join("control.sock")).unwrap();
        let page = site.administrator().get("/api/connections").await;
        assert_eq!(
            (page.status, page.headers["content-type"].to_str().unwrap()),
            (StatusCode::SERVICE_UNAVAILABLE, "application/problem+json")
        );
        let problem: Value = serde_json::from_str(&page.body).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("systemctl"), "{problem}");
        let page = site.administrator().get("/api/nothing").await;
        assert!(page.status == StatusCode::NOT_FOUND && page.body.contains("/api/openapi.json"), "{}", page.body);
        for (method, path, body) in
            [("PUT", "/api/settings", "{"), ("GET", "/api/files?limit=many", ""), ("POST", "/api/services/cron.service/restart", "")]
        {
            let page = ask(&mut site.administrator(), method, path, body).await;
            assert!(page.status.is_client_error() && page.headers["content-type"] == "application/problem+json", "{path}: {}", page.body);
        }
    }

    #[tokio::test]
    async fn settings_are_checked_key_by_key_and_secrets_stay() {
        let site = Site::appliance().await;
        site.world().put("[viewer]\nsecret = \"hunter2\"\n");
        let mut browser = site.administrator();
        assert!(!browser.get("/api/settings").await.body.contains("hunter2"));
        let wrong = ask(&mut browser, "PUT", "/api/settings", r#"{"text":"[pcap]\nrotate_minutes = 99999\n"}"#).await;
        assert!(
            wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.body.contains("\"key\":\"pcap.rotate_minutes\""),
            "{}",
            wrong.body
        );
        let wrong = ask(&mut browser, "PUT", "/api/settings", r#"{"text":"[capture]\nfilter = \"bad\"\n"}"#).await;
        assert!(wrong.body.contains("\"key\":\"capture.filter\""), "{}", wrong.body);
        let right = ask(&mut browser, "PUT", "/api/settings", r#"{"text":"[pcap]\nrotate_minutes = 9\n"}"#).await;
        assert_eq!(right.status, StatusCode::ACCEPTED, "{}", right.body);
        let settings = site.world().settings();
        assert_eq!((settings.pcap.rotate_minutes, settings.viewer.secret.reveal()), (9, "hunter2"));
    }
}
