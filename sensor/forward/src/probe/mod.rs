//! Trying every link to the collector once, step by step, with the code that delivers; what each step found, in plain words.
//!
//! ```text
//! logs      settings, name, port, tls, record
//! sessions  settings, name, port, tls, credentials, clock, database, record
//! packets   settings, name
//! ```
//! A step that fails ends its link: what would come after it is told as skipped. The clock alone is told and gone past, since
//! records of a sensor with a wrong clock are delivered all the same. The test record is one that a sensor sends anyway: a
//! line of notice.log (`Tenrec::Probe`), and the sensor's own state in `arkime_stats`.

mod logs;
mod packets;
mod sessions;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use settings::appliance::{Link, Outcome, Step};
use settings::{Host, Settings};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::dial;
use crate::tls::{self, Trust};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// Hosts of one destination that are tried at most; more are named as skipped.
const MAX_HOSTS: usize = 16;

/// Tries all links that `settings` name, all hosts at once. Takes under a minute.
pub async fn probe(settings: &Settings) -> Vec<Link> {
    let mut tried = JoinSet::new();
    let logs: Vec<Host> = if settings.forward.enabled { settings.forward.hosts.clone() } else { Vec::new() };
    let sessions = if settings.opensearch.enabled { settings.opensearch.hosts.clone() } else { Vec::new() };
    let total = logs.len().min(MAX_HOSTS) + sessions.len().min(MAX_HOSTS);
    for (place, host) in logs.into_iter().take(MAX_HOSTS).enumerate() {
        let (node, forward) = (settings.node.clone(), settings.forward.clone());
        tried.spawn(async move { (place, logs::probe(&node, &forward, &host).await) });
    }
    for (place, url) in sessions.into_iter().take(MAX_HOSTS).enumerate() {
        let (node, opensearch) = (settings.node.clone(), settings.opensearch.clone());
        tried.spawn(async move { (MAX_HOSTS + place, sessions::probe(&node, &opensearch, &url).await) });
    }
    let mut links = Vec::with_capacity(total + 1);
    while let Some(link) = tried.join_next().await {
        // A probe that panicked has told its reason on standard error; the others stand.
        links.extend(link.ok());
    }
    links.sort_by_key(|(place, _)| *place);
    let mut links: Vec<Link> = links.into_iter().map(|(_, link)| link).collect();
    if settings.opensearch.enabled {
        links.push(packets::probe(settings).await);
    }
    links
}

/// A link in the making: steps are added until one fails.
struct Trial {
    link: Link,
    /// What is still to be tried, in order.
    ahead: &'static [&'static str],
}

impl Trial {
    fn new(name: &str, address: impl ToString, ahead: &'static [&'static str]) -> Self {
        Self { link: Link { name: name.to_owned(), address: address.to_string(), steps: Vec::new() }, ahead }
    }

    /// Notes how the next step went.
    fn note(&mut self, outcome: Outcome, words: impl Into<String>) {
        let Some((name, rest)) = self.ahead.split_first() else { return };
        self.ahead = rest;
        self.link.steps.push(Step { name: (*name).to_owned(), outcome, words: words.into() });
    }

    fn good(&mut self, words: impl Into<String>) {
        self.note(Outcome::Good, words);
    }

    /// The value of a step that went well; else notes why it did not, and that nothing more was tried.
    fn take<T>(&mut self, tried: Result<T, String>) -> Option<T> {
        match tried {
            Ok(value) => Some(value),
            Err(words) => {
                self.note(Outcome::Failed, words);
                while !self.ahead.is_empty() {
                    self.note(Outcome::Skipped, "not tried, since a step before it failed");
                }
                None
            }
        }
    }
}

/// The steps that all links share: settings, name, port, and with TLS the handshake. `None` when one failed.
async fn reach(trial: &mut Trial, host: &Host, encrypted: bool, trust: Trust<'_>) -> Option<dial::Stream> {
    let config = if encrypted { Some(trial.take(tls::client_config(trust))?) } else { None };
    trial.good(if encrypted { "the certificates and keys that are named can be read" } else { "no certificate is needed" });
    let found = trial.take(dial::resolve(host, trust, PATIENCE).await)?;
    let addresses: Vec<_> = found.iter().take(4).map(|address| address.ip().to_string()).collect();
    trial.good(addresses.join(", "));
    let tcp = trial.take(dial::reach(host, &found, trust, PATIENCE).await)?;
    trial.good(match tcp.peer_addr() {
        Ok(address) => format!("{address} takes connections"),
        Err(_) => "it takes connections".to_owned(),
    });
    let Some(config) = config else {
        trial.note(Outcome::Doubtful, "records go unencrypted: whoever is in between can read and change them");
        return Some(dial::Stream::Plain(tcp));
    };
    let stream = trial.take(dial::shake_hands(host, tcp, config, trust, PATIENCE).await)?;
    let (outcome, words) = handshake(&stream, trust);
    trial.note(outcome, words);
    Some(dial::Stream::Tls(Box::new(stream)))
}

/// What the handshake came to: version, whose certificate, by whom, until when.
fn handshake(stream: &TlsStream<TcpStream>, trust: Trust<'_>) -> (Outcome, String) {
    let (_, session) = stream.get_ref();
    let version = session.protocol_version().map_or_else(String::new, |version| format!("{version:?}").replace("TLSv1_", "TLS 1."));
    let certificate = session.peer_certificates().and_then(<[CertificateDer<'_>]>::first).and_then(|der| described(der));
    let words = match certificate {
        Some(certificate) => format!("{version}; {certificate}"),
        None => version,
    };
    if trust.is_checked() {
        return (Outcome::Good, words);
    }
    let section = trust.section();
    (Outcome::Doubtful, format!("{words}. The certificate was not checked ({section}.verify = \"none\"): anyone could answer in its place"))
}

fn described(der: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let until = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
    Some(format!("certificate {}, signed by {}, valid until {}", certificate.subject(), certificate.issuer(), until.strftime("%Y-%m-%d")))
}
