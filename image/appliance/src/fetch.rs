//! Over HTTPS: the newest update bundle of `system.update_url`, and whether our own web UI answers.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use settings::System;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::bundle;
use crate::firewall::WEB_PORT;
use crate::job::Progress;
use crate::places::Places;

/// CAs of the public web, where no CA is named.
const PUBLIC_CAS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Bytes of `latest.json` at most.
const MAX_LATEST: u64 = 64 << 10;
/// Bytes of a bundle at most: a system, and a little for the tar around it.
const MAX_BUNDLE: u64 = bundle::MAX_SYSTEM + (1 << 20);
/// How long a bundle may take on a slow line.
const DOWNLOAD: Duration = Duration::from_secs(4 * 3600);
/// How long any other answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is newest: `latest.json`.
#[derive(Debug, Deserialize)]
struct Latest {
    version: String,
    /// File name or address of the bundle.
    bundle: String,
}

/// Fetches the newest bundle, if it is newer than what runs.
///
/// # Errors
/// When there is none, it is not newer, or it cannot be fetched whole.
pub(crate) fn newest(places: &Places, system: &System, running: &str, to: &Path, progress: &mut Progress) -> anyhow::Result<()> {
    let Some(base) = &system.update_url else { bail!("no address to fetch updates from: set system.update_url") };
    progress.step(format!("Ask {base}"));
    let agent = agent(tls(places, system.update_ca.as_deref())?, PATIENCE);
    let latest = latest_address(base);
    let mut answer = agent.get(&latest).call().with_context(|| format!("cannot get {latest}"))?;
    let text = answer.body_mut().with_config().limit(MAX_LATEST).read_to_vec().with_context(|| format!("cannot get {latest}"))?;
    let found: Latest = serde_json::from_slice(&text).with_context(|| format!("{latest} is not understood"))?;
    if !bundle::is_later(&found.version, running)? {
        bail!("the newest version there is {}, and {running} runs: there is nothing to do", found.version);
    }
    let address = bundle_address(&latest, &found.bundle)?;

    progress.step(format!("Fetch version {}", found.version));
    let agent = self::agent(tls(places, system.update_ca.as_deref())?, DOWNLOAD);
    let mut answer = agent.get(&address).call().with_context(|| format!("cannot get {address}"))?;
    let whole = answer.body().content_length().unwrap_or(0);
    if whole > MAX_BUNDLE {
        bail!("{address} has {whole} bytes, and a bundle has {MAX_BUNDLE} at most");
    }
    let mut body = answer.body_mut().with_config().limit(MAX_BUNDLE).reader();
    drop(fs::remove_file(to));
    let mut file = File::create_new(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut buffer = vec![0; 1 << 18];
    let mut done = 0;
    loop {
        let length = body.read(&mut buffer).with_context(|| format!("{address} broke off after {done} bytes"))?;
        if length == 0 {
            break;
        }
        file.write_all(buffer.get(..length).unwrap_or_default()).with_context(|| format!("cannot write {}", to.display()))?;
        done += length as u64;
        progress.fraction(done, whole);
    }
    Ok(file.sync_all()?)
}

/// `latest.json` in the folder that is named, or the file that is named.
fn latest_address(base: &str) -> String {
    if base.ends_with(".json") { base.to_owned() } else { format!("{}/latest.json", base.trim_end_matches('/')) }
}

/// Beside `latest.json`, or an address of its own, never without TLS.
fn bundle_address(latest: &str, bundle: &str) -> anyhow::Result<String> {
    if bundle.starts_with("https://") {
        return Ok(bundle.to_owned());
    }
    let is_name = !bundle.is_empty()
        && !bundle.starts_with('.')
        && bundle.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
    let folder = latest.rsplit_once('/').map(|(folder, _)| folder);
    match folder {
        Some(folder) if is_name => Ok(format!("{folder}/{bundle}")),
        _ => bail!("{bundle:?} is neither the name of a bundle nor an https address"),
    }
}

/// Whether the web UI of this machine answers. Its certificate is self-signed and not looked at: nothing is told to it.
///
/// # Errors
/// When it does not.
pub(crate) fn web_answers() -> anyhow::Result<()> {
    let tls = provider().disable_verification(true).build();
    let address = format!("https://127.0.0.1:{WEB_PORT}/healthz");
    // Its word on the sensor is not asked for here: any answer is one.
    let question = agent(tls, PATIENCE).get(&address).config().http_status_as_error(false).build();
    question.call().context("the web UI does not answer")?;
    Ok(())
}

fn provider() -> ureq::tls::TlsConfigBuilder {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

fn tls(places: &Places, ca: Option<&Path>) -> anyhow::Result<TlsConfig> {
    let path = ca.map_or_else(|| places.at(PUBLIC_CAS), PathBuf::from);
    let pem = fs::read(&path).with_context(|| format!("cannot read the CA's certificate {}", path.display()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        bail!("{} has no certificate in it", path.display());
    }
    Ok(provider().root_certs(RootCerts::from(certificates)).build())
}

fn agent(tls: TlsConfig, patience: Duration) -> Agent {
    Agent::config_builder()
        .https_only(true)
        .max_redirects(3)
        .timeout_connect(Some(PATIENCE))
        .timeout_global(Some(patience))
        .tls_config(tls)
        .user_agent("tenrec-appliance")
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use rcgen::{CertificateParams, KeyPair};
    use rustls_pki_types::PrivateKeyDer;

    use super::*;
    use crate::job;

    /// A site over TLS that answers paths with these bodies; its certificate and address.
    fn site(pages: &'static [(&'static str, &'static [u8])]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let listener = TcpListener::bind("localhost:0").unwrap();
        let address = format!("https://localhost:{}/tenrec/", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            let config = Arc::new(config);
            for stream in listener.incoming().flatten() {
                let mut tls = rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
                let mut lines = BufReader::new(&mut tls).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { continue };
                lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
                drop(lines);
                let body = pages.iter().find(|(path, _)| first.contains(path)).map(|(_, body)| *body);
                let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
                let body = body.unwrap_or_default();
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                drop(tls.write_all(&[head.as_bytes(), body].concat()));
                tls.conn.send_close_notify();
                drop(tls.flush());
            }
        });
        (certificate.pem(), address)
    }

    fn fetch(ca: &str, address: &str, running: &str) -> anyhow::Result<Vec<u8>> {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        let ca_file = root.path().join("ca.crt");
        fs::write(&ca_file, ca).unwrap();
        let system = System { update_url: Some(address.to_owned()), update_ca: Some(ca_file), ..System::default() };
        let to = root.path().join("bundle");
        let mut progress = Progress::begin(&places, "update");
        newest(&places, &system, running, &to, &mut progress)?;
        assert!(job::read(&job::file(&places)).steps.len() >= 2);
        Ok(fs::read(to)?)
    }

    #[test]
    fn the_newest_bundle_is_fetched_and_nothing_that_is_not_newer() {
        let (ca, address) = site(&[("/latest.json", br#"{"version":"1.2","bundle":"b.tenrec"}"#), ("/b.tenrec", b"a bundle")]);
        assert_eq!(fetch(&ca, &address, "1.1").unwrap(), b"a bundle");
        assert!(fetch(&ca, &address, "1.2").unwrap_err().to_string().contains("nothing to do"));
        assert!(fetch(&ca, &address, "1.3").is_err());
    }

    #[test]
    fn a_site_that_the_ca_did_not_sign_is_not_asked_and_a_missing_bundle_is_named() {
        let (ca, address) = site(&[("/latest.json", br#"{"version":"1.2","bundle":"gone.tenrec"}"#)]);
        let (another, _) = site(&[]);
        assert!(format!("{:#}", fetch(&another, &address, "1.1").unwrap_err()).contains("latest.json"));
        assert!(format!("{:#}", fetch(&ca, &address, "1.1").unwrap_err()).contains("gone.tenrec"));
        assert!(fetch("no certificate", &address, "1.1").unwrap_err().to_string().contains("no certificate"));
    }

    #[test]
    fn a_bundle_is_beside_its_list_or_at_an_encrypted_address() {
        let latest = latest_address("https://u.example/tenrec/");
        assert_eq!(latest, "https://u.example/tenrec/latest.json");
        assert_eq!(latest_address("https://u.example/x.json"), "https://u.example/x.json");
        assert_eq!(bundle_address(&latest, "tenrec-1.2+g1.tenrec").unwrap(), "https://u.example/tenrec/tenrec-1.2+g1.tenrec");
        assert_eq!(bundle_address(&latest, "https://cdn.example/b").unwrap(), "https://cdn.example/b");
        for name in ["", "http://u.example/b", "../b", "a/b", ".x", "file:///etc/passwd"] {
            assert!(bundle_address(&latest, name).is_err(), "{name}");
        }
    }
}
