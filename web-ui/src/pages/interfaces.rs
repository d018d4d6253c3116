//! The interfaces: what became of the packets of each, and on the appliance the ports of the machine.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use settings::appliance::{self, Request};
use settings::control;

use crate::ask::answer;
use crate::frame::Frame;
use crate::history::explain;
use crate::{Shared, format};

#[derive(Template)]
#[template(path = "interfaces.html")]
struct Page {
    frame: Frame,
    error: String,
    captured: Vec<Captured>,
    ports: Option<Vec<Port>>,
}

struct Captured {
    name: String,
    rows: Vec<(&'static str, String)>,
}

struct Port {
    name: String,
    use_: &'static str,
    link: String,
    mac: String,
    driver: String,
    addresses: String,
    packets: String,
    bytes: String,
    dropped: String,
}

/// The page.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    let (captured, error) = match crate::ask::status(&shared.control).await {
        Ok(status) => (status.interfaces, String::new()),
        Err(error) => (Vec::new(), explain(&error)),
    };
    let mut page = Page { frame, error, captured: captured.iter().map(row).collect(), ports: None };
    if let Some(socket) = &shared.appliance {
        match answer!(socket, Request::Interfaces => appliance::Response::Interfaces { interfaces } => interfaces) {
            Ok(interfaces) => page.ports = Some(interfaces.into_iter().map(|interface| port(interface, &captured)).collect()),
            Err(error) => page.error = format!("{} {}", page.error, explain(&error)),
        }
    }
    super::render(StatusCode::OK, &page)
}

fn row(i: &control::Interface) -> Captured {
    let share = |part: u64| if i.received == 0 { String::new() } else { format!(" ({:.3} %)", part as f64 / i.received as f64 * 100.0) };
    let part = |count: u64| format!("{}{}", format::count(count), share(count));
    let rows = vec![
        ("taken by", format!("{}, {} queues", i.mode, i.queues)),
        ("received", format::count(i.received)),
        ("captured", part(i.captured)),
        ("left out by the filter", part(i.filtered)),
        ("of flows that were cut off", part(i.shunted)),
        ("too big for a ring's slot", part(i.too_big)),
        ("lost, since a ring was full", part(i.ring_full)),
        ("lost by the card before", format::count(i.nic_dropped)),
        ("bytes captured", format::bytes(i.bytes)),
    ];
    Captured { name: i.name.clone(), rows }
}

fn port(interface: appliance::Interface, captured: &[control::Interface]) -> Port {
    let link = match (interface.carrier, interface.speed) {
        (false, _) => "none".to_owned(),
        (true, 0) => "yes".to_owned(),
        (true, speed) => format!("{speed} Mbit/s"),
    };
    let is_captured = captured.iter().any(|known| known.name == interface.name);
    Port {
        use_: if interface.management {
            "management"
        } else if is_captured {
            "capture"
        } else {
            "–"
        },
        link,
        addresses: interface.addresses.join(", "),
        packets: format::count(interface.packets),
        bytes: format::bytes(interface.bytes),
        dropped: format::count(interface.dropped),
        name: interface.name,
        mac: interface.mac,
        driver: interface.driver,
    }
}

#[cfg(test)]
mod tests {
    use settings::control::{Interface, Status};

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn what_became_of_the_packets_is_shown_beside_the_ports() {
        let site = Site::appliance().await;
        let interface = Interface { name: "eth1".into(), received: 200, captured: 150, filtered: 50, ..Interface::default() };
        site.world().daemon(|daemon| daemon.status = Status { interfaces: vec![interface], ..Status::default() });
        let page = site.administrator().get("/interfaces").await;
        for text in ["50 (25.000 %)", "management", "capture", "02:00:00:00:00:02"] {
            assert!(page.body.contains(text), "{text} in {}", page.body);
        }
    }

    #[tokio::test]
    async fn the_ports_are_shown_also_while_the_sensor_is_down() {
        let site = Site::appliance().await;
        std::fs::remove_file(site.folder().join("control.sock")).unwrap();
        let page = site.administrator().get("/interfaces").await;
        assert!(page.body.contains("not running") && page.body.contains("eth2"), "{}", page.body);
    }
}
