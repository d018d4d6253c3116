use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::Faults;

const DEADLINE: Duration = Duration::from_secs(20);
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
const JSON: (&str, &str) = ("content-type", "application/json");

struct Running {
    address: SocketAddr,
    faults: Faults,
    _stop: oneshot::Sender<()>,
}

async fn start(folder: &Path, change: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options::new("127.0.0.1:0".parse().unwrap(), folder.to_owned());
    change(&mut options);
    let faults = Faults::default();
    let server = Server::bind(&options).await.unwrap().with_faults(faults.clone());
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Running { address, faults, _stop: stop }
}

impl Running {
    async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Result<(u16, Vec<u8>), hyper::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "c");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = tokio::time::timeout(DEADLINE, sender.send_request(request.body(body.into()).unwrap())).await.unwrap()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes().to_vec();
        Ok((status, body))
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, Value) {
        let (status, body) = self.raw(method, path, headers, body).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn a_bulk_request_is_on_disk_when_it_is_answered_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |_| {}).await;
    let body =
        "{\"index\":{\"_index\":\"arkime_x\",\"_id\":\"1\"}}\n{\"a\":1}\n{\"index\":{\"_index\":\"arkime_x\",\"_id\":\"2\"}}\n{\"a\":{}}\n";
    let (status, answer) = server.ask("POST", "/_bulk", &[NDJSON], body).await;
    assert_eq!((status, &answer["errors"]), (200, &json!(true)));
    assert_eq!(answer["items"][0]["index"]["status"], 201);
    assert_eq!(answer["items"][1]["index"]["error"]["type"], "mapper_parsing_exception");
    let written = std::fs::read_to_string(folder.path().join("arkime_x.ndjson")).unwrap();
    assert_eq!(written, "{\"_id\":\"1\",\"_version\":1,\"_source\":{\"a\":1}}\n");
    assert_eq!(server.ask("GET", "/arkime_x/_doc/1", &[], "").await.1["_source"], json!({"a": 1}));
    assert_eq!(server.ask("GET", "/arkime_x/_count", &[], "").await.1["count"], 1);
    assert_eq!(server.ask("GET", "/arkime_x/_doc/2", &[], "").await.0, 404);
    let (_, short) = server.ask("POST", "/_bulk?filter_path=errors,items.*.status", &[NDJSON], body).await;
    assert_eq!(short, json!({"errors": true, "items": [{"index": {"status": 200}}, {"index": {"status": 400}}]}));
}

#[tokio::test]
async fn what_opensearch_refuses_is_refused_with_its_status() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |options| options.max_request = 1000).await;
    let good = "{\"index\":{\"_index\":\"arkime_x\",\"_id\":\"1\"}}\n{}\n";
    for (path, headers, body, status) in [
        ("/_bulk", vec![NDJSON], good.trim_end().to_owned(), 400),
        ("/_bulk", vec![], good.to_owned(), 406),
        ("/_bulk", vec![("content-type", "text/plain")], good.to_owned(), 406),
        ("/_bulk", vec![NDJSON, ("content-encoding", "gzip")], good.to_owned(), 400),
        ("/_bulk?wrong=1", vec![NDJSON], good.to_owned(), 400),
        ("/_bulk", vec![NDJSON], good.repeat(100), 413),
        ("/arkime_x/_doc/1?version_type=external", vec![JSON], "{}".to_owned(), 400),
        ("/other/_doc/1", vec![JSON], "{}".to_owned(), 403),
        ("/arkime_x/_update/1", vec![JSON], "{\"doc\":{}}".to_owned(), 404),
        ("/arkime_x/_unknown", vec![JSON], "{}".to_owned(), 400),
    ] {
        assert_eq!(server.ask("POST", path, &headers, body).await.0, status, "{path} {headers:?}");
    }
    assert_eq!(server.ask("PUT", "/_template/arkime_sessions3_template", &[JSON], "{}").await.0, 403);
    assert_eq!(server.ask("PUT", "/arkime_x", &[JSON], "{}").await.0, 403);
    let written: u64 = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(written, 0);
}

#[tokio::test]
async fn without_the_right_password_nothing_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |options| options.user = Some(("Aladdin".into(), "open sesame".into()))).await;
    assert_eq!(server.ask("GET", "/", &[], "").await.0, 401);
    assert_eq!(server.ask("GET", "/", &[("authorization", "Basic QWxhZGRpbjpvcGVu")], "").await.0, 401);
    let (status, greeting) = server.ask("GET", "/", &[("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")], "").await;
    assert_eq!((status, &greeting["version"]["distribution"]), (200, &json!("opensearch")));
}

#[tokio::test]
async fn the_template_tells_the_version_of_arkimes_database() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |_| {}).await;
    let (status, meta) = server.ask("GET", "/_template/arkime_sessions3_template?filter_path=**._meta", &[], "").await;
    assert_eq!((status, meta), (200, json!({"arkime_sessions3_template": {"mappings": {"_meta": {"molochDbVersion": 86}}}})));
    let folder = tempfile::tempdir().unwrap();
    let bare = start(folder.path(), |options| options.database_version = None).await;
    assert_eq!(bare.ask("GET", "/_template/arkime_sessions3_template", &[], "").await.0, 404);
}

#[tokio::test]
async fn versions_of_single_documents_must_rise() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |_| {}).await;
    let put = |version: u64| format!("/arkime_sequence/_doc/fn-s?version_type=external&version={version}");
    assert_eq!(server.ask("POST", &put(100), &[JSON], "{}").await.0, 201);
    assert_eq!(server.ask("POST", &put(100), &[JSON], "{}").await.0, 409);
    let (_, bumped) = server.ask("POST", "/arkime_sequence/_doc/fn-s", &[JSON], "{}").await;
    assert_eq!(bumped["_version"], 101);
    assert_eq!(server.ask("DELETE", "/arkime_sequence/_doc/fn-s", &[], "").await.1["result"], "deleted");
}

#[tokio::test]
async fn faults_strike_bulk_requests_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |_| {}).await;
    let body = "{\"index\":{\"_index\":\"arkime_x\",\"_id\":\"1\"}}\n{}\n";
    for fault in ["status=429*1", "cut*1", "partial=503/1*1"] {
        server.faults.add_text(fault).unwrap();
    }
    assert_eq!(server.ask("GET", "/", &[], "").await.0, StatusCode::OK.as_u16());
    assert_eq!(server.ask("POST", "/_bulk", &[NDJSON], body).await.0, 429);
    assert!(server.raw("POST", "/_bulk", &[NDJSON], body).await.is_err(), "cut");
    server.faults.clear();
    server.faults.add_text("partial=503/1*1").unwrap();
    assert_eq!(server.ask("POST", "/_bulk", &[NDJSON], body).await.1["items"][0]["index"]["status"], 503);
    assert_eq!(server.ask("POST", "/_bulk", &[NDJSON], body).await.1["errors"], false);
}

#[tokio::test]
async fn a_request_that_is_cut_off_between_two_documents_is_not_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), |_| {}).await;
    let half = "{\"index\":{\"_index\":\"arkime_x\",\"_id\":\"1\"}}\n{}\n";
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("POST /_bulk HTTP/1.1\r\nHost: c\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n", half.len() * 2);
    stream.write_all(format!("{head}{half}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap();
    assert!(!answer.contains("200 OK"), "{answer}");
    assert_eq!(server.ask("GET", "/arkime_x/_doc/1", &[], "").await.0, 404);
}
