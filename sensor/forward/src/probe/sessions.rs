//! The way of Arkime's sessions: HTTPS to OpenSearch, who may write there, what time it has, and whether Arkime is set up.

use hyper::StatusCode;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::json;
use settings::appliance::{Link, Outcome};
use settings::{Node, OpenSearch, Url};

use super::{PATIENCE, Trial, reach};
use crate::opensearch::{Answer, Broken, Client, Item, Operation, Outcome as Taken, Reply, denied, pass, record};
use crate::tls::Trust;

/// Seconds that clocks may differ without a word: HTTP tells whole seconds, and a busy host answers late.
const CLOSE: f64 = 3.0;
/// Seconds from which on records of the sensor are misplaced for whoever looks at "the last minutes".
const FAR: f64 = 60.0;

pub(super) async fn probe(node: &Node, opensearch: &OpenSearch, url: &Url) -> Link {
    let steps = &["settings", "name", "port", "tls", "credentials", "clock", "database", "record"];
    let mut trial = Trial::new("sessions", url, steps);
    let _ = converse(&mut trial, node, opensearch, url).await;
    trial.link
}

async fn converse(trial: &mut Trial, node: &Node, opensearch: &OpenSearch, url: &Url) -> Option<()> {
    let stream = reach(trial, url.host(), url.is_encrypted(), Trust::from(opensearch)).await?;
    let mut client = trial.take(Client::over(stream, opensearch, url, PATIENCE).await)?;

    let reply = trial.take(client.get("/").await.map_err(|broken| words(broken, url)))?;
    let known = match reply.status.as_u16() {
        200 if opensearch.user.is_empty() && opensearch.password_file.is_none() => Ok("it asks for no user and no password"),
        200 => Ok("user and password are accepted"),
        // Who may only write is not told what this is.
        403 => Ok("user and password are known"),
        401 => Err(denied(url, reply.status, "").reason),
        status => Err(format!("{url} answers {status} where OpenSearch tells its version: is it OpenSearch, and ready?")),
    };
    let known = trial.take(known)?;
    trial.good(known);

    let (outcome, said) = clock(&reply);
    trial.note(outcome, said);

    trial.take(pass(&mut client, url).await.map_err(|trouble| trouble.reason))?;
    trial.good("Arkime has set it up");

    let written = client.bulk(state(node)).await.map_err(|broken| words(broken, url)).and_then(|reply| taken(&reply, url));
    trial.take(written)?;
    trial.good(format!("a test document was taken: the state of {} in arkime_stats", node.name));
    Some(())
}

fn words(broken: Broken, url: &Url) -> String {
    match broken {
        Broken::Idle => {
            format!("{url} closed the connection before it answered: does it expect a client certificate (opensearch.certificate)?")
        }
        Broken::Failed(reason) => reason,
    }
}

/// How far the clocks are apart, by the answer's `Date` (RFC 9110 §6.6.1: whole seconds, when the answer was made).
fn clock(reply: &Reply) -> (Outcome, String) {
    let Some(theirs) = reply.date.as_deref().and_then(|date| rfc2822::parse(date).ok()) else {
        return (Outcome::Skipped, "it does not tell its time".to_owned());
    };
    judge(theirs.timestamp().as_second() as f64 + 0.5 - Timestamp::now().as_millisecond() as f64 / 1e3)
}

/// `ahead` is how many seconds the collector's clock is ahead of ours.
fn judge(ahead: f64) -> (Outcome, String) {
    let apart = ahead.abs();
    if apart <= CLOSE {
        return (Outcome::Good, "both clocks agree to a few seconds".to_owned());
    }
    let way = if ahead > 0.0 { "behind" } else { "ahead of" };
    let said = format!(
        "this sensor's clock is {} {way} the collector's: set the time servers (system.time_servers) of one or the other",
        span(apart)
    );
    (if apart <= FAR { Outcome::Doubtful } else { Outcome::Failed }, said)
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} seconds"),
        s if s < 7200.0 => format!("{:.0} minutes", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} hours", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// The sensor's newest state, as it is written each second once it runs; a state that is newer stays.
fn state(node: &Node) -> Vec<u8> {
    let now = Timestamp::now();
    let host = if node.host.is_empty() { &node.name } else { &node.host };
    let document = json!({
        "ver": concat!("tenrec-", env!("CARGO_PKG_VERSION")),
        "nodeName": node.name,
        "hostname": host,
        "interval": 1,
        "currentTime": now.as_second(),
    });
    let version = u64::try_from(now.as_millisecond()).unwrap_or(1);
    record(Operation::IndexVersion(version), "arkime_stats", &node.name, document.to_string().as_bytes())
}

fn taken(reply: &Reply, url: &Url) -> Result<(), String> {
    match reply.status.as_u16() {
        200 => {}
        401 | 403 => return Err(denied(url, reply.status, "write to arkime_stats").reason),
        status => return Err(format!("{url} answers {status} to a bulk request: is it OpenSearch, and ready?")),
    }
    let answer = Answer::parse(&reply.body).map_err(|error| format!("{url}: {error}"))?;
    let outcome = answer.items.into_iter().next().map(|item: Item| item.outcome(None));
    match outcome {
        // 409: the running sensor has written a newer one.
        Some(Taken::Taken | Taken::Refused(409, _)) => Ok(()),
        Some(Taken::Later(403, _)) => Err(denied(url, StatusCode::FORBIDDEN, "write to arkime_stats").reason),
        Some(Taken::Refused(status, reason) | Taken::Later(status, reason)) => {
            Err(format!("{url} did not take a test document ({status}): {}", reason.text()))
        }
        None => Err(format!("{url} answered to no document: is it OpenSearch?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_judged_by_how_far_they_are_apart() {
        assert_eq!(judge(0.7).0, Outcome::Good);
        assert!(matches!(judge(-40.0), (Outcome::Doubtful, words) if words.contains("40 seconds ahead of")));
        assert!(matches!(judge(7200.0 * 5.0), (Outcome::Failed, words) if words.contains("10 hours behind")));
        assert!(judge(86_400.0 * 400.0).1.contains("400 days"));
    }
}
