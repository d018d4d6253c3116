//! The status page: counters, losses by place, rates, and the state of everything; live where JavaScript runs.

use std::convert::Infallible;
use std::time::Instant;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::stream::{Stream, StreamExt as _};
use settings::appliance;
use settings::control::{Drops, Interface, Status};
use tokio_stream::wrappers::WatchStream;

use crate::auth::Caller;
use crate::chart::{Chart, Of};
use crate::frame::Frame;
use crate::history::Sample;
use crate::{Shared, format};

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    frame: Frame,
    body: Body,
}

#[derive(Template)]
#[template(path = "status_body.html")]
struct Body {
    node: String,
    version: String,
    uptime: String,
    tiles: Vec<Tile>,
    charts: Vec<Chart>,
    interfaces: Vec<InterfaceRow>,
    drops: Vec<Drop>,
    logs: Vec<(String, String)>,
    verdicts: Vec<Verdict>,
    pcap: Vec<(&'static str, String)>,
    destinations: Vec<Destination>,
}

struct Destination {
    name: String,
    collectors: Vec<Collector>,
    queue: Vec<(&'static str, String)>,
}

struct Collector {
    address: String,
    state: String,
    class: &'static str,
    last_error: String,
}

struct Tile {
    label: &'static str,
    value: String,
    note: String,
    alarm: bool,
}

struct InterfaceRow {
    name: String,
    mode: String,
    received: String,
    captured: String,
    filtered: String,
    shunted: String,
    too_big: String,
    ring_full: String,
    balanced: bool,
}

struct Drop {
    place: &'static str,
    count: String,
    unit: &'static str,
    alarm: bool,
}

struct Verdict {
    time: String,
    file: String,
    rules: String,
}

/// The page.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    let seen = shared.watch.now().await;
    match &seen.status {
        Some(Ok(status)) => super::render(StatusCode::OK, &Page { frame, body: body(status, &shared.watch.samples()) }),
        // An appliance without settings has no sensor yet: the setup is what comes next.
        _ if is_to_be_set_up(&shared).await => Redirect::to("/setup/network").into_response(),
        Some(Err(why)) => super::down(frame, why.clone()),
        None => super::down(frame, "the daemon was not asked yet".to_owned()),
    }
}

async fn is_to_be_set_up(shared: &Shared) -> bool {
    let Some(socket) = &shared.appliance else { return false };
    let state = crate::ask::answer!(socket, appliance::Request::State => appliance::Response::State(state) => *state);
    state.is_ok_and(|state| !state.configured)
}

/// The body of the page again, at every new answer of the daemon.
pub(crate) async fn events(State(shared): State<Shared>, caller: Caller) -> impl IntoResponse {
    Sse::new(stream(shared, caller)).keep_alive(KeepAlive::default())
}

fn stream(shared: Shared, caller: Caller) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let watch = shared.watch.clone();
    // It ends with the session, which it does not keep alive.
    let lasts = move || caller.who.key().is_none_or(|key| shared.gate.sessions.lasts(key, Instant::now()));
    let seen = WatchStream::new(watch.seen.clone()).take_while(move |_| std::future::ready(lasts()));
    seen.filter_map(move |seen| {
        let event = match &seen.status {
            Some(Ok(status)) => body(status, &watch.samples()).render().ok().map(|html| Ok(Event::default().event("status").data(html))),
            Some(Err(why)) => Some(Ok(Event::default().event("down").data(why.replace('\n', " ")))),
            None => None,
        };
        std::future::ready(event)
    })
}

fn body(status: &Status, samples: &[Sample]) -> Body {
    let (bits, packets) = samples.last().map(|sample| (sample.bits, sample.packets)).unwrap_or_default();
    let lost = packets_lost(&status.drops);
    let tile = |label, value, note: String| Tile { label, value, note, alarm: false };
    Body {
        node: status.node.clone(),
        version: status.version.clone(),
        uptime: format::span(status.uptime),
        tiles: vec![
            tile("traffic", format::bit_rate(bits), format!("{} packets/s", format::count(packets as u64))),
            tile("packets analysed", format::count(status.packets_analysed), format::bytes(status.bytes_analysed)),
            Tile { label: "packets lost", value: format::count(lost), note: share(lost, status.packets_analysed), alarm: lost > 0 },
            tile("flows", format::count(status.flows.active), format!("{} since the start", format::count(status.flows.total))),
            tile("log lines", format::count(status.logs.values().sum()), format!("in {} logs", status.logs.len())),
            Tile {
                label: "files",
                value: format::count(status.files.seen),
                note: format!(
                    "{} carved, {} scanned, {} matched",
                    format::count(status.files.carved),
                    format::count(status.files.scanned),
                    format::count(status.files.matched)
                ),
                alarm: status.files.matched > 0,
            },
        ],
        charts: charts(samples),
        interfaces: status.interfaces.iter().map(interface).collect(),
        drops: status
            .drops
            .places()
            .into_iter()
            .map(|(place, unit, n)| Drop { place, count: format::count(n), unit, alarm: n > 0 })
            .collect(),
        logs: status.logs.iter().map(|(name, lines)| (name.clone(), format::count(*lines))).collect(),
        verdicts: status
            .verdicts
            .iter()
            .map(|v| Verdict { time: format::time(v.time), file: v.file.clone(), rules: v.rules.join(", ") })
            .collect(),
        pcap: pcap(status),
        destinations: status.destinations.iter().map(destination).collect(),
    }
}

fn packets_lost(drops: &Drops) -> u64 {
    drops.nic.saturating_add(drops.ring).saturating_add(drops.worker)
}

fn share(lost: u64, analysed: u64) -> String {
    match analysed.saturating_add(lost) {
        0 => "none seen yet".to_owned(),
        all => format!("{:.3} % of all", lost as f64 / all as f64 * 100.0),
    }
}

fn interface(i: &Interface) -> InterfaceRow {
    let sum = [i.captured, i.filtered, i.shunted, i.too_big, i.ring_full].iter().fold(0u64, |sum, n| sum.saturating_add(*n));
    InterfaceRow {
        name: i.name.clone(),
        mode: i.mode.clone(),
        received: format::count(i.received),
        captured: format::count(i.captured),
        filtered: format::count(i.filtered),
        shunted: format::count(i.shunted),
        too_big: format::count(i.too_big),
        ring_full: format::count(i.ring_full),
        balanced: sum == i.received,
    }
}

fn pcap(status: &Status) -> Vec<(&'static str, String)> {
    let p = &status.pcap;
    if p.file.is_empty() && p.files == 0 {
        return vec![("state", "off".to_owned())];
    }
    vec![
        ("writing", p.file.clone()),
        ("in this file", format::bytes(p.bytes)),
        ("files kept", format::count(p.files)),
        ("on disk", format::bytes(p.total_bytes)),
        ("deleted for room", format::count(p.deleted)),
    ]
}

fn destination(of: &settings::control::Destination) -> Destination {
    let collectors = of.collectors.iter().map(|collector| Collector {
        address: collector.address.clone(),
        state: collector.state.clone(),
        class: if collector.state == "connected" { "good" } else { "bad" },
        last_error: collector.last_error.clone(),
    });
    let mut queue = vec![
        ("records waiting", format::count(of.spool.records)),
        ("spool on disk", format::bytes(of.spool.bytes)),
        ("acknowledged", format::count(of.spool.acknowledged)),
        ("lost", format::count(of.spool.lost)),
    ];
    if of.refused > 0 {
        queue.push(("refused, kept beside the spool", format::count(of.refused)));
    }
    Destination { name: of.name.clone(), collectors: collectors.collect(), queue }
}

fn charts(samples: &[Sample]) -> Vec<Chart> {
    let now = Instant::now();
    let count = |value: f64| format::count(value.round() as u64);
    let share = |value: f64| format!("{:.0} %", value * 100.0);
    // Packets alone: what is lost of files and records is in the table.
    let lost: &[Of] = &[
        ("nic", |s| s.lost.first().copied()),
        ("ring", |s| s.lost.get(1).copied()),
        ("worker", |s| s.lost.get(2).copied()),
        ("pcap", |s| s.lost.get(3).copied()),
    ];
    [
        Chart::draw("Traffic", samples, now, &[("traffic", |s| Some(s.bits))], None, format::bit_rate),
        Chart::draw("Packets a second", samples, now, &[("packets", |s| Some(s.packets))], None, count),
        Chart::draw("Packets lost a second", samples, now, lost, None, |value| format!("{value:.1}")),
        Chart::draw("Records waiting", samples, now, &[("records", |s| Some(s.spool))], None, count),
        Chart::draw("Disk in use", samples, now, &[("disk", |s| s.disk)], Some(1.0), share),
        Chart::draw("Processors", samples, now, &[("processors", |s| s.cpu)], Some(1.0), share),
        Chart::draw("Memory in use", samples, now, &[("memory", |s| s.memory)], None, |value| format::bytes(value as u64)),
        Chart::draw("Temperature", samples, now, &[("temperature", |s| s.temperature)], None, |value| format!("{value:.0} °C")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use axum::http::StatusCode;
    use futures_util::StreamExt as _;
    use settings::control::{CollectorState, Destination, Interface, Status};

    use crate::auth::session::{Key, Standing};
    use crate::auth::{Caller, Peer, Who};
    use crate::pages::testing::Site;

    fn status() -> Status {
        Status {
            node: "sensor-7".into(),
            packets_analysed: 12345,
            interfaces: vec![Interface { name: "eth9".into(), received: 10, captured: 9, ring_full: 1, ..Interface::default() }],
            logs: [("conn".to_owned(), 42)].into(),
            destinations: vec![Destination {
                name: "logs".into(),
                collectors: vec![CollectorState {
                    state: "waiting".into(),
                    last_error: "connection refused".into(),
                    ..CollectorState::default()
                }],
                ..Destination::default()
            }],
            ..Status::default()
        }
    }

    #[tokio::test]
    async fn the_page_shows_counters_and_works_without_script() {
        let site = Site::open(status(), Vec::new(), Vec::new()).await;
        let page = site.browser().get("/").await;
        assert_eq!(page.status, StatusCode::OK);
        let body = page.body;
        for text in ["sensor-7", "12\u{202f}345", "eth9", "connection refused", "conn", "<noscript>"] {
            assert!(body.contains(text), "{text} is on the page");
        }
        assert!(!body.contains("style=\"") && !body.contains("onclick"), "nothing inline that the policy would forbid");
    }

    #[tokio::test]
    async fn without_a_daemon_the_page_says_what_to_do() {
        let site = Site::open(status(), Vec::new(), Vec::new()).await;
        std::fs::remove_file(site.folder().join("control.sock")).unwrap();
        let page = site.browser().get("/").await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.body.contains("systemctl status tenrec"), "{}", page.body);
    }

    #[tokio::test]
    async fn the_live_status_ends_with_the_session() {
        let site = Site::appliance().await;
        let id = site.shared().gate.sessions.begin(Standing::Administrator, None, Instant::now()).unwrap();
        let key = Key::of(&id);
        let caller = Caller { who: Who::Administrator(key), peer: Peer::default(), csrf: String::new() };
        let mut events = Box::pin(super::stream(site.shared().clone(), caller));
        let deadline = Duration::from_secs(20);
        assert!(tokio::time::timeout(deadline, events.next()).await.unwrap().is_some());
        site.shared().gate.sessions.end(key);
        let rest = tokio::time::timeout(deadline, async { while events.next().await.is_some() {} });
        assert!(rest.await.is_ok(), "it goes on without the session");
    }
}
