//! The way of log lines: Lumberjack, with one test record that has to be acknowledged.

use lumberjack::{Acks, Progress, encode_window};
use serde_json::json;
use settings::appliance::Link;
use settings::{Forward, Host, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{PATIENCE, Trial, reach};
use crate::dial::Stream;
use crate::event::Envelope;
use crate::tls::{Trust, explain};

pub(super) async fn probe(node: &Node, forward: &Forward, host: &Host) -> Link {
    let mut trial = Trial::new("logs", host, &["settings", "name", "port", "tls", "record"]);
    let trust = Trust::from(forward);
    if let Some(stream) = reach(&mut trial, host, forward.tls, trust).await {
        let sent = timeout(PATIENCE, deliver(stream, &record(node), forward.compression, trust, host)).await;
        let silent = || {
            Err(format!(
                "{host} takes the connection and does not acknowledge a record within {} seconds: is it a Beats input of Logstash, and not busy or blocked?",
                PATIENCE.as_secs()
            ))
        };
        if trial.take(sent.unwrap_or_else(|_| silent())).is_some() {
            trial.good(format!("a test record was acknowledged: look for the notice {NOTE} of {}", node.name));
        }
    }
    trial.link
}

const NOTE: &str = "Tenrec::Probe";

/// A line of notice.log, in the envelope of all others.
fn record(node: &Node) -> Vec<u8> {
    let now = jiff::Timestamp::now().as_nanosecond();
    let line = json!({
        "ts": now as f64 / 1e9,
        "note": NOTE,
        "msg": format!("test record of the sensor {}", node.name),
        "actions": ["Notice::ACTION_LOG"],
    });
    let mut event = Vec::new();
    Envelope::new(node, now).zeek("notice", now, line.to_string().as_bytes(), &mut event);
    event
}

async fn deliver(mut stream: Stream, event: &[u8], compression: u32, trust: Trust<'_>, host: &Host) -> Result<(), String> {
    let mut window = Vec::new();
    encode_window(std::iter::once(event), compression, &mut window).map_err(|error| error.to_string())?;
    // With TLS 1.3 a certificate of ours that is refused shows here, after the handshake.
    let failed = |error: std::io::Error| explain(&error, trust, &host.to_string());
    stream.write_all(&window).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut acks = Acks::default();
    acks.expect(1);
    let mut bytes = [0; 256];
    loop {
        let read = stream.read(&mut bytes).await.map_err(failed)?;
        if read == 0 {
            return Err(format!("{host} closed the connection in place of an acknowledgement: is it a Beats input of Logstash?"));
        }
        acks.feed(bytes.get(..read).unwrap_or_default());
        while let Some(progress) = acks.next().map_err(|error| format!("{host} does not answer as a Beats input does: {error}"))? {
            if matches!(progress, Progress::Done(_)) {
                return Ok(());
            }
        }
    }
}
