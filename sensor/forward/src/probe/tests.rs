use std::net::SocketAddr;
use std::path::Path;

use collector::certificates::{self, Files, Keys};
use collector::opensearch::{self as peer, Server};
use collector::{Collector, Tls};
use settings::{ClientCertificates, Forward, Node, OpenSearch};

use super::*;

fn node() -> Node {
    Node { name: "probed".to_owned(), ..Node::default() }
}

fn tls(files: &Files, clients: ClientCertificates) -> Option<Tls> {
    Some(Tls { certificate: files.server.clone(), key: files.server_key.clone(), ca: files.ca.clone(), clients })
}

/// A collector of log lines; its address.
async fn logstash(folder: &Path, files: &Files, clients: ClientCertificates) -> SocketAddr {
    let options = collector::Options { listen: "127.0.0.1:0".parse().unwrap(), folder: folder.to_owned(), tls: tls(files, clients) };
    let collector = Collector::bind(&options).await.unwrap();
    let address = collector.address();
    tokio::spawn(collector.run(std::future::pending()));
    address
}

async fn opensearch(folder: &Path, files: &Files, change: impl FnOnce(&mut peer::Options)) -> SocketAddr {
    let mut options = peer::Options::new("127.0.0.1:0".parse().unwrap(), folder.to_owned());
    options.tls = tls(files, ClientCertificates::Optional);
    change(&mut options);
    let server = Server::bind(&options).await.unwrap();
    let address = server.address();
    tokio::spawn(server.run(std::future::pending()));
    address
}

async fn of_logs(address: SocketAddr, files: &Files, change: impl FnOnce(&mut Forward)) -> Link {
    let host: Host = address.to_string().parse().unwrap();
    let mut forward = Forward { enabled: true, hosts: vec![host.clone()], ca: Some(files.ca.clone()), ..Forward::default() };
    change(&mut forward);
    logs::probe(&node(), &forward, &host).await
}

async fn of_sessions(address: SocketAddr, files: &Files, change: impl FnOnce(&mut OpenSearch)) -> Link {
    let url: settings::Url = format!("https://{address}").parse().unwrap();
    let mut to = OpenSearch { enabled: true, hosts: vec![url.clone()], ca: Some(files.ca.clone()), ..OpenSearch::default() };
    change(&mut to);
    sessions::probe(&node(), &to, &url).await
}

/// Each step with how it went, as `name:good`.
fn course(link: &Link) -> Vec<String> {
    link.steps.iter().map(|step| format!("{}:{}", step.name, format!("{:?}", step.outcome).to_lowercase())).collect()
}

/// The step that failed, and its words.
fn failure(link: &Link) -> (&str, &str) {
    let failed = link.steps.iter().find(|step| step.outcome == Outcome::Failed).expect("a step fails");
    (&failed.name, &failed.words)
}

#[tokio::test]
async fn a_link_that_works_is_told_step_by_step_and_the_record_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(&folder.path().join("certs"), Keys::Ecdsa).unwrap();
    let received = folder.path().join("received");
    let link = of_logs(logstash(&received, &files, ClientCertificates::Optional).await, &files, |_| {}).await;
    assert_eq!(course(&link), ["settings:good", "name:good", "port:good", "tls:good", "record:good"], "{link:?}");
    assert!(link.steps[3].words.starts_with("TLS 1.3; certificate "), "{}", link.steps[3].words);
    assert!(std::fs::read_to_string(received.join("notice.ndjson")).unwrap().contains("Tenrec::Probe"));

    let indices = folder.path().join("indices");
    let link = of_sessions(opensearch(&indices, &files, |_| {}).await, &files, |_| {}).await;
    let all = ["settings:good", "name:good", "port:good", "tls:good", "credentials:good", "clock:good", "database:good", "record:good"];
    assert_eq!(course(&link), all, "{link:?}");
    assert!(std::fs::read_to_string(indices.join("arkime_stats.ndjson")).unwrap().contains("\"probed\""));
}

#[tokio::test]
async fn a_closed_port_a_wrong_ca_and_a_missing_file_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(&folder.path().join("certs"), Keys::Ecdsa).unwrap();
    let other = certificates::ensure(&folder.path().join("other"), Keys::Ecdsa).unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let link = of_logs(closed, &files, |_| {}).await;
    assert!(matches!(failure(&link), ("port", words) if words.contains("nothing listens on")), "{link:?}");
    assert_eq!(course(&link)[3..], ["tls:skipped", "record:skipped"]);

    let address = logstash(&folder.path().join("received"), &files, ClientCertificates::Required).await;
    let link = of_logs(address, &files, |forward| forward.ca = Some(other.ca.clone())).await;
    assert!(matches!(failure(&link), ("tls", words) if words.contains("is not signed by the CA in")), "{link:?}");

    let link = of_logs(address, &files, |_| {}).await;
    assert!(matches!(failure(&link), ("tls" | "record", words) if words.contains("wants a client certificate")), "{link:?}");

    let link = of_logs(address, &files, |forward| forward.ca = Some("/nonexistent/ca.crt".into())).await;
    assert!(matches!(failure(&link), ("settings", words) if words.contains("forward.ca")), "{link:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_told_with_both_dates() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::expired(&folder.path().join("certs"), Keys::Ecdsa).unwrap();
    let address = logstash(&folder.path().join("received"), &files, ClientCertificates::Optional).await;
    let link = of_logs(address, &files, |_| {}).await;
    let this_year = Timestamp::now().strftime("%Y-").to_string();
    assert!(matches!(failure(&link), ("tls", words) if words.contains("expired") && words.contains(&this_year)), "{link:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(&folder.path().join("certs"), Keys::Ecdsa).unwrap();
    let indices = folder.path().join("indices");
    let address = opensearch(&indices, &files, |options| options.user = Some(("sensor".to_owned(), "right".to_owned()))).await;
    let as_user = |password: &str| {
        let password = password.to_owned();
        move |to: &mut OpenSearch| (to.user, to.password) = ("sensor".to_owned(), password.into())
    };
    let link = of_sessions(address, &files, as_user("wrong")).await;
    assert!(matches!(failure(&link), ("credentials", words) if words.contains("does not know this user or password")), "{link:?}");
    assert!(!indices.join("arkime_stats.ndjson").exists());
    assert!(of_sessions(address, &files, as_user("right")).await.works());
}

#[tokio::test]
async fn a_service_of_another_kind_is_no_collector() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(&folder.path().join("certs"), Keys::Ecdsa).unwrap();
    let address = opensearch(&folder.path().join("indices"), &files, |_| {}).await;
    let link = of_logs(address, &files, |_| {}).await;
    assert!(matches!(failure(&link), ("record", words) if words.contains("Beats input")), "{link:?}");
}

#[tokio::test]
async fn all_hosts_are_tried_and_what_is_off_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates::ensure(&folder.path().join("certs"), Keys::Ecdsa).unwrap();
    let address = logstash(&folder.path().join("received"), &files, ClientCertificates::Optional).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!("[forward]\nenabled = true\nverify = \"none\"\nhosts = [\"{closed}\", \"{address}\"]\n[node]\nname = \"probed\"\n");
    let settings = Settings::parse(&text, Path::new("test"), |_| None).unwrap();
    let links = probe(&settings).await;
    assert_eq!(links.iter().map(Link::works).collect::<Vec<_>>(), [false, true], "{links:?}");
    assert_eq!(links[1].steps[3].outcome, Outcome::Doubtful, "a certificate that is not checked is told");
}
