//! Single documents, for who wants to know something that lies in OpenSearch, or to note something there.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use settings::OpenSearch;

use super::client::{Broken, Client, Reply};

/// For the address, the connection and the handshake, each.
const CONNECT: Duration = Duration::from_secs(5);
/// Until a host has answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is in a document; nothing if it is not there. The hosts are asked in turn until one answers.
///
/// # Errors
/// In plain words, why none did.
pub async fn read(settings: &OpenSearch, index: &str, id: &str) -> Result<Option<Value>, String> {
    let mut said = "no OpenSearch is named: set opensearch.hosts".to_owned();
    for url in &settings.hosts {
        let asked = async {
            let mut client = Client::connect(settings, url, CONNECT, PATIENCE).await?;
            client.get(&format!("/{}/_doc/{}", encoded(index), encoded(id))).await.map_err(plain)
        };
        match asked.await {
            Ok(Reply { status: StatusCode::OK, body, .. }) => {
                let mut answer: Value =
                    serde_json::from_slice(&body).map_err(|error| format!("{url} answered with no document: {error}"))?;
                return Ok(answer.get_mut("_source").map(Value::take));
            }
            Ok(Reply { status: StatusCode::NOT_FOUND, .. }) => return Ok(None),
            Ok(Reply { status, .. }) => said = format!("{url} answered {status}"),
            Err(error) => said = error,
        }
    }
    Err(said)
}

/// Changes a document by a script with parameters. The hosts are asked in turn until one answers.
///
/// # Errors
/// In plain words, why it was not changed.
pub async fn change(settings: &OpenSearch, index: &str, id: &str, script: &str, parameters: Value) -> Result<(), String> {
    let action = json!({ "update": { "_index": index, "_id": id, "retry_on_conflict": 3 } });
    let change = json!({ "script": { "lang": "painless", "source": script, "params": parameters } });
    let body = format!("{action}\n{change}\n").into_bytes();
    let mut said = "no OpenSearch is named: set opensearch.hosts".to_owned();
    for url in &settings.hosts {
        let asked = async {
            let mut client = Client::connect(settings, url, CONNECT, PATIENCE).await?;
            client.bulk(body.clone()).await.map_err(plain)
        };
        match asked.await {
            Ok(Reply { status: StatusCode::OK, body, .. }) => {
                let answer: Value = serde_json::from_slice(&body).map_err(|error| format!("{url} did not answer with JSON: {error}"))?;
                let error = answer.pointer("/items/0/update/error");
                return error.map_or(Ok(()), |error| Err(format!("{url} did not change {id}: {error}")));
            }
            Ok(Reply { status, .. }) => said = format!("{url} answered {status}"),
            Err(error) => said = error,
        }
    }
    Err(said)
}

fn plain(broken: Broken) -> String {
    match broken {
        Broken::Idle => "the connection was closed".to_owned(),
        Broken::Failed(said) => said,
    }
}

/// Percent-encoded (RFC 3986 §2.3: what is unreserved stays).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
