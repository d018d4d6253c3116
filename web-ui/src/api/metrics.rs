//! The counters for Prometheus, in the OpenMetrics text format.
//!
//! Each scrape asks the daemon anew and writes what it says; nothing is counted here.

use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use settings::appliance;
use settings::control::Status;

use crate::Shared;

/// Names and values of a metric's labels.
type Labels = Vec<(&'static str, String)>;

/// What is exposed.
pub(super) async fn page(State(shared): State<Shared>) -> Response {
    let seen = shared.watch.now().await;
    let status = seen.status.and_then(Result::ok);
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &registry(status.as_deref(), seen.state.as_deref())) {
        return super::problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            &error.to_string(),
            "this is a fault of the web UI: tell whoever maintains it",
        );
    }
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

struct Writer {
    registry: Registry,
}

impl Writer {
    fn counter(&mut self, name: &str, help: &str, unit: Option<Unit>, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            let counter = family.get_or_create_owned(&labels);
            counter.inc_by(value);
            if labels.is_empty() {
                return self.register(name, help, unit, counter);
            }
        }
        self.register(name, help, unit, family);
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<Unit>, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            let gauge = family.get_or_create_owned(&labels);
            gauge.set(value);
            if labels.is_empty() {
                return self.register(name, help, unit, gauge);
            }
        }
        self.register(name, help, unit, family);
    }

    fn register(&mut self, name: &str, help: &str, unit: Option<Unit>, metric: impl prometheus_client::registry::Metric) {
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric),
            None => self.registry.register(name, help, metric),
        }
    }
}

fn one<T>(value: T) -> [(Labels, T); 1] {
    [(Labels::new(), value)]
}

fn registry(status: Option<&Status>, state: Option<&appliance::State>) -> Registry {
    let mut out = Writer { registry: Registry::with_prefix("tenrec") };
    out.gauge("up", "Whether the sensor answers", None, one(f64::from(u8::from(status.is_some()))));
    if let Some(status) = status {
        sensor(&mut out, status);
    }
    if let Some(state) = state {
        machine(&mut out, state);
    }
    out.registry
}

fn sensor(out: &mut Writer, s: &Status) {
    let of = |name: &str| vec![("interface", name.to_owned())];
    let mut interfaces = |name, help, of_one: fn(&settings::control::Interface) -> u64| {
        out.counter(name, help, None, s.interfaces.iter().map(|i| (of(&i.name), of_one(i))));
    };
    interfaces("packets_received", "Packets that reached the capture program", |i| i.received);
    interfaces("packets_captured", "Packets handed to a worker", |i| i.captured);
    interfaces("packets_filtered", "Packets that the capture filter left out", |i| i.filtered);
    interfaces("packets_shunted", "Packets of flows that analysis had asked to cut off", |i| i.shunted);
    out.counter("captured", "Bytes captured, on the wire", Some(Unit::Bytes), s.interfaces.iter().map(|i| (of(&i.name), i.bytes)));
    out.counter("packets_analysed", "Packets that analysis has finished", None, one(s.packets_analysed));
    out.counter("analysed", "Bytes of those packets on the wire", Some(Unit::Bytes), one(s.bytes_analysed));
    let lost = s.drops.places().map(|(place, what, count)| (vec![("place", place.to_owned()), ("what", what.to_owned())], count));
    out.counter("lost", "What was lost, by the place where it was lost", None, lost);
    out.gauge("uptime", "Since the sensor started", Some(Unit::Seconds), one(s.uptime));
    out.gauge("flows_active", "Flows in the tables", None, one(s.flows.active as f64));
    out.counter("flows", "Flows since the start", None, one(s.flows.total));
    out.counter("log_lines", "Lines written, by log", None, s.logs.iter().map(|(log, lines)| (vec![("log", log.clone())], *lines)));
    let files = [
        ("seen", s.files.seen),
        ("carved", s.files.carved),
        ("scanned", s.files.scanned),
        ("matched", s.files.matched),
        ("failed", s.files.failed),
    ];
    out.counter(
        "files",
        "Files in the traffic, by what became of them",
        None,
        files.map(|(what, count)| (vec![("outcome", what.to_owned())], count)),
    );
    out.gauge("pcap_files", "Capture files on disk", None, one(s.pcap.files as f64));
    out.gauge("pcap", "Bytes of them", Some(Unit::Bytes), one(s.pcap.total_bytes as f64));
    let to = |name: &str| vec![("destination", name.to_owned())];
    out.gauge(
        "spool_records",
        "Records that wait for the collector",
        None,
        s.destinations.iter().map(|d| (to(&d.name), d.spool.records as f64)),
    );
    out.gauge("spool", "Bytes of them on disk", Some(Unit::Bytes), s.destinations.iter().map(|d| (to(&d.name), d.spool.bytes as f64)));
    out.counter(
        "records_acknowledged",
        "Records that the collector took",
        None,
        s.destinations.iter().map(|d| (to(&d.name), d.spool.acknowledged)),
    );
    let connected = s.destinations.iter().map(|d| (to(&d.name), f64::from(u8::from(d.is_connected()))));
    out.gauge("collector_connected", "Whether a collector takes records", None, connected);
}

fn machine(out: &mut Writer, s: &appliance::State) {
    out.gauge("disk_size", "Size of the file system with the data", Some(Unit::Bytes), one(s.data_bytes as f64));
    out.gauge("disk_free", "What is free of it", Some(Unit::Bytes), one(s.data_free as f64));
    out.gauge("memory_size", "Memory", Some(Unit::Bytes), one(s.memory_bytes as f64));
    out.gauge("memory_used", "Memory in use, caches left out", Some(Unit::Bytes), one(s.memory_used as f64));
    out.gauge("cpu_used", "Share of the processors in use", Some(Unit::Ratios), one(s.cpu));
    out.gauge("temperature", "Highest temperature of a sensor", Some(Unit::Celsius), s.temperature.map(|degrees| (Labels::new(), degrees)));
    out.gauge("clock_synchronized", "Whether the clock follows a time server", None, one(f64::from(u8::from(s.synchronized))));
}

#[cfg(test)]
mod tests {
    use settings::control::{Drops, Interface, Status};

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn counters_have_their_unit_and_total_in_their_names() {
        let site = Site::appliance().await;
        let interface = Interface { name: "eth1".into(), received: 12, bytes: 3456, ..Interface::default() };
        let drops = Drops { ring: 7, ..Drops::default() };
        site.world().daemon(|daemon| daemon.status = Status { interfaces: vec![interface], drops, ..Status::default() });
        let page = site.administrator().get("/metrics").await;
        for line in [
            "tenrec_up 1.0",
            "tenrec_packets_received_total{interface=\"eth1\"} 12",
            "tenrec_captured_bytes_total{interface=\"eth1\"} 3456",
            "tenrec_lost_total{place=\"ring\",what=\"packets\"} 7",
            "tenrec_disk_free_bytes 420000000000.0",
            "tenrec_temperature_celsius 47.5",
            "# EOF",
        ] {
            assert!(page.body.contains(line), "{line} in {}", page.body);
        }
    }

    #[tokio::test]
    async fn a_sensor_that_is_down_is_said_to_be() {
        let site = Site::appliance().await;
        std::fs::remove_file(site.folder().join("control.sock")).unwrap();
        let page = site.administrator().get("/metrics").await.body;
        assert!(page.contains("tenrec_up 0.0") && !page.contains("packets_received"), "{page}");
    }
}
