//! What the daemon and the viewer know.

use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use settings::appliance::{self, Request};
use settings::control::{self, ClientError, CollectorState, Connection, Destination, File, MAX_ROWS, Status, Verdict, Worker};

use super::{Params, answer, example, problem};
use crate::Shared;
use crate::ask::answer as ask;
use crate::auth::Caller;
use crate::history::{Sample, explain};
use crate::pages::{connections, packets};

/// While the daemon does not answer.
fn down(error: &ClientError) -> Response {
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        &explain(error),
        "`systemctl status tenrec` tells whether the sensor runs, `journalctl -u tenrec` why it does not",
    )
}

pub(super) fn status_example() -> Value {
    example(Status {
        interfaces: vec![control::Interface::default()],
        workers: vec![Worker::default()],
        logs: [("conn".to_owned(), 1)].into(),
        verdicts: vec![Verdict { rules: vec![String::new()], ..Verdict::default() }],
        destinations: vec![Destination { collectors: vec![CollectorState::default()], ..Destination::default() }],
        ..Status::default()
    })
}

pub(super) async fn status(State(shared): State<Shared>) -> Response {
    crate::ask::status(&shared.control).await.map_or_else(|error| down(&error), answer)
}

pub(super) fn history_example() -> Value {
    json!({ "samples": [sample(&Sample {
        at: Instant::now(), bits: 0.5, packets: 0.5, lost: [0.5; 10], spool: 0.5,
        disk: Some(0.5), cpu: Some(0.5), memory: Some(0.5), temperature: Some(0.5),
    })] })
}

pub(super) async fn history(State(shared): State<Shared>) -> Response {
    answer(json!({ "samples": shared.watch.samples().iter().map(sample).collect::<Vec<_>>() }))
}

fn sample(s: &Sample) -> Value {
    let places = control::Drops::default().places();
    let lost: serde_json::Map<_, _> = places.iter().zip(s.lost).map(|((place, ..), rate)| ((*place).to_owned(), rate.into())).collect();
    json!({
        "seconds_ago": s.at.elapsed().as_secs_f64(), "bits_per_second": s.bits, "packets_per_second": s.packets, "lost_per_second": lost,
        "records_waiting": s.spool, "disk_used": s.disk, "cpu_used": s.cpu, "memory_bytes": s.memory, "temperature_celsius": s.temperature,
    })
}

pub(super) fn interfaces_example() -> Value {
    let port = appliance::Interface { addresses: vec![String::new()], ..appliance::Interface::default() };
    json!({ "captured": [control::Interface::default()], "ports": [port] })
}

pub(super) async fn interfaces(State(shared): State<Shared>) -> Response {
    let captured = match crate::ask::status(&shared.control).await {
        Ok(status) => status.interfaces,
        // An appliance that is not set up has ports all the same.
        Err(_) if shared.appliance.is_some() => Vec::new(),
        Err(error) => return down(&error),
    };
    let ports = match &shared.appliance {
        Some(socket) => ask!(socket, Request::Interfaces => appliance::Response::Interfaces { interfaces } => interfaces),
        None => Ok(Vec::new()),
    };
    match ports {
        Ok(ports) => answer(json!({ "captured": captured, "ports": ports })),
        Err(error) => super::appliance::down(&error),
    }
}

/// How much is asked for.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    search: String,
    limit: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self { search: String::new(), limit: 100 }
    }
}

pub(super) fn connections_example() -> Value {
    json!({ "connections": [Connection::default()] })
}

pub(super) async fn connections(State(shared): State<Shared>, Params(asked): Params<Asked>) -> Response {
    match crate::ask::connections(&shared.control, MAX_ROWS).await {
        Ok(all) => {
            let found: Vec<_> = all.into_iter().filter(|it| connections::matches(it, &asked.search)).take(asked.limit).collect();
            answer(json!({ "connections": found }))
        }
        Err(error) => down(&error),
    }
}

pub(super) fn files_example() -> Value {
    json!({ "files": [File { rules: vec![String::new()], ..File::default() }] })
}

pub(super) async fn files(State(shared): State<Shared>, Params(asked): Params<Asked>) -> Response {
    match crate::ask::files(&shared.control, asked.limit.min(MAX_ROWS)).await {
        Ok(files) => answer(json!({ "files": files })),
        Err(error) => down(&error),
    }
}

pub(super) async fn file(State(shared): State<Shared>, caller: Caller, Path(fuid): Path<String>) -> Response {
    let zipped = crate::quarantine::zip(&shared.control, &fuid).await;
    shared.audit.note(caller.peer.address, &caller.who.name(), "file fetched", &fuid, zipped.is_ok());
    match zipped {
        Ok((_, body)) => ([(header::CONTENT_TYPE, "application/zip")], body).into_response(),
        Err(why) => problem(StatusCode::NOT_FOUND, &why, "/api/files lists those seen last; `extracted` is empty where nothing was carved"),
    }
}

pub(super) async fn packets(State(shared): State<Shared>, Params(asked): Params<packets::Asked>) -> Response {
    match packets::fetch(&shared.viewer, &asked).await {
        Ok(response) => response,
        Err((status, why)) => problem(status, &why, "filter is in tcpdump's language, from and to are times or how long ago: -10m"),
    }
}
