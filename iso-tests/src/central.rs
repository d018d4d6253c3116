//! The centre that the sensor delivers to: our own collector with both protocols over TLS, on ports of this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use collector::certificates::{self, Files, Keys};
use collector::opensearch::{self, Server};
use collector::{Collector, Counts, Options, Tls};
use settings::ClientCertificates;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::wait::wait_for;

/// User and password of the sensor.
pub(crate) const USER: &str = "sensor";
pub(crate) const PASSWORD: &str = "of the sensor alone";

/// A running centre. It ends when it is dropped.
pub(crate) struct Central {
    pub(crate) files: Files,
    /// Port for log lines.
    pub(crate) logs: u16,
    /// Port for sessions.
    pub(crate) sessions: u16,
    folder: PathBuf,
    counts: [watch::Receiver<Counts>; 2],
    _runtime: Runtime,
}

impl Central {
    /// Starts it, with certificates of its own; what it receives is kept in `folder`.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let files = certificates::ensure(&folder.join("certs"), Keys::Ecdsa)?;
        let tls = Tls {
            certificate: files.server.clone(),
            key: files.server_key.clone(),
            ca: files.ca.clone(),
            clients: ClientCertificates::Required,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let folder = folder.join("received");
        let (collector, server) = runtime.block_on(async {
            let options = Options { listen: "127.0.0.1:0".parse()?, folder: folder.clone(), tls: Some(tls.clone()) };
            let collector = Collector::bind(&options).await?;
            let mut options = opensearch::Options::new("127.0.0.1:0".parse()?, folder.join("opensearch"));
            // The sensor proves itself by its password there, as at Malcolm's.
            options.tls = Some(Tls { clients: ClientCertificates::Optional, ..tls });
            options.user = Some((USER.to_owned(), PASSWORD.to_owned()));
            anyhow::Ok((collector, Server::bind(&options).await?))
        })?;
        let (logs, sessions) = (collector.address().port(), server.address().port());
        let counts = [collector.counts(), server.counts()];
        runtime.spawn(collector.run(std::future::pending()));
        runtime.spawn(server.run(std::future::pending()));
        Ok(Self { files, logs, sessions, folder, counts, _runtime: runtime })
    }

    /// The lines of a log (`conn`), or of an index (`arkime_sessions3-261124`), as JSON text.
    pub(crate) fn lines(&self, stream: &str) -> Vec<String> {
        let paths = [self.folder.join(format!("{stream}.ndjson")), self.folder.join("opensearch").join(format!("{stream}.ndjson"))];
        let text = paths.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The streams whose name begins so, with how much came of each.
    pub(crate) fn received(&self, beginning: &str) -> Vec<(String, u64)> {
        let all = self.counts.iter().flat_map(|counts| counts.borrow().clone());
        all.filter(|(stream, _)| stream.starts_with(beginning)).collect()
    }

    /// Waits for a line of a stream whose name begins so, in which all `words` stand.
    pub(crate) fn wait_for_line(&self, beginning: &str, words: &[&str], deadline: Duration) -> anyhow::Result<String> {
        let has_all = |line: &String| words.iter().all(|word| line.contains(word));
        let found = wait_for(&format!("a record of {beginning} with {words:?}"), deadline, || {
            Ok(self.received(beginning).iter().find_map(|(stream, _)| self.lines(stream).into_iter().find(has_all)))
        });
        found.with_context(|| format!("what came: {:?}", self.received("")))
    }
}
