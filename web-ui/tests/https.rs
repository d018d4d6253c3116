//! The web UI over HTTPS, as a browser has it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test may panic")]

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, SaltString};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use web_ui::Options;
use web_ui::tls::Identity;

/// Sends a request and gives the whole answer.
async fn ask(address: std::net::SocketAddr, certificate: &str, request: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn cookie(answer: &str, name: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ").filter(|set| set.starts_with(name)));
    line.unwrap_or_else(|| panic!("{name} is set by {answer}")).to_owned()
}

#[tokio::test]
async fn a_login_over_https_gets_a_cookie_that_plain_http_never_sees() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(path("web.crt"), made.cert.pem()).unwrap();
    std::fs::write(path("web.key"), made.signing_key.serialize_pem()).unwrap();
    let salt = SaltString::encode_b64(b"salt of this test").unwrap();
    let hash = argon2::Argon2::default().hash_password(b"of many words", &salt).unwrap().to_string();
    std::fs::write(path("web.password"), hash).unwrap();
    let options = Options { control: path("control.sock"), password_file: path("web.password"), ..Options::default() };
    let identity = Arc::new(Identity::load(&path("web.crt"), &path("web.key")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(web_ui::serve(listener, Some(identity), options));

    let certificate = made.cert.pem();
    let page = ask(address, &certificate, "GET /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("content-security-policy: default-src 'none'"), "{page}");
    let form = cookie(&page, "tenrec-form=");
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let body = format!("csrf={csrf}&password=of+many+words");
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: https://localhost\r\nCookie: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        form.split(';').next().unwrap(),
        body.len()
    );
    let answer = ask(address, &certificate, &request).await;
    let session = cookie(&answer, "__Host-tenrec=");
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(session.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{session}");
    let cookie = session.split(';').next().unwrap();
    let request = format!("GET /system HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n");
    assert!(ask(address, &certificate, &request).await.starts_with("HTTP/1.1 200"));
    let renamed = request.replace("__Host-tenrec", "tenrec");
    assert!(ask(address, &certificate, &renamed).await.starts_with("HTTP/1.1 303"));

    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"));
}
