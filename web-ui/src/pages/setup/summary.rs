//! Everything that was said, then its application, then the end of the setup.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use settings::appliance::{Request, State};
use settings::edit::Draft;
use settings::{InterfaceAddress, Problem, Settings};

use crate::auth::Who;
use crate::auth::form::Fields;
use crate::frame::Frame;
use crate::pages::job::{self, View};
use crate::wizard::Outline;
use crate::wizard::step::{self, Visit};

#[derive(Template)]
#[template(path = "setup/summary.html")]
struct Page {
    frame: Frame,
    outline: Outline,
    error: String,
    problems: Vec<(String, String, &'static str)>,
    data: bool,
    parts: Vec<Part>,
    place: String,
    moves: bool,
    /// Whether the web UI gets another certificate, which names the machine.
    certificate: bool,
}

struct Part {
    title: &'static str,
    path: &'static str,
    rows: Vec<(&'static str, String)>,
}

/// The summary.
pub(crate) async fn page(visit: Visit) -> Response {
    match visit.draft().await {
        Ok(draft) => show(&visit, &draft, String::new()).await,
        Err(response) => response,
    }
}

async fn show(visit: &Visit, draft: &Draft, error: String) -> Response {
    let state = match visit.state().await {
        Ok(state) => state,
        Err(response) => return response,
    };
    let (problems, parts) = match checked(draft) {
        Ok(settings) => (Vec::new(), parts(&settings, draft)),
        Err(problems) => (problems, Vec::new()),
    };
    let status = step::status(!error.is_empty());
    let (place, moves) = place(draft, &state);
    let name = draft.shown("system", "host_name");
    let renamed = !name.is_empty() && name != state.host_name;
    let problems = problems.into_iter().map(|problem| {
        let path = where_from(&problem.key);
        (problem.key, problem.what, path)
    });
    let page = Page {
        frame: visit.frame.clone(),
        outline: Outline::at("/setup/summary"),
        error,
        problems: problems.collect(),
        data: state.data,
        parts,
        place,
        moves,
        certificate: moves || renamed,
    };
    super::super::render(status, &page)
}

/// The settings, which also must name an interface.
fn checked(draft: &Draft) -> Result<Settings, Vec<Problem>> {
    let settings = draft.check(step::PATH.as_ref())?;
    settings.check_for_capture(step::PATH.as_ref()).map_err(|error| error.problems().to_vec())?;
    Ok(settings)
}

/// The step that asks for a key.
fn where_from(key: &str) -> &'static str {
    match key.split('.').next().unwrap_or_default() {
        "system" if key == "system.time_servers" => "/setup/time",
        "system" => "/setup/network",
        "capture" if key == "capture.interfaces" => "/setup/interfaces",
        "capture" | "pcap" => "/setup/packets",
        "files" => "/setup/files",
        "forward" | "opensearch" | "viewer" | "node" => "/setup/collector",
        _ => "",
    }
}

fn parts(s: &Settings, draft: &Draft) -> Vec<Part> {
    let part = |title, path, rows| Part { title, path, rows };
    let or = |text: String, empty: &str| if text.is_empty() { empty.to_owned() } else { text };
    let join = |list: Vec<String>| list.join(", ");
    let texts = |list: &[std::net::IpAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut network = vec![
        ("Host name", or(s.system.host_name.clone(), "tenrec- with the end of the MAC address")),
        ("Management interface", or(s.system.management.clone(), "the first wired one with a link")),
        ("Address", s.system.address.to_string().replace("dhcp", "by DHCP")),
    ];
    network.extend(s.system.gateway.map(|gateway| ("Gateway", gateway.to_string())));
    network.push(("Name servers", or(join(texts(&s.system.name_servers)), "those of DHCP")));
    let minutes = if s.pcap.rotate_minutes == 0 { String::new() } else { format!(" or {} minutes", s.pcap.rotate_minutes) };
    let pcap = match (s.pcap.enabled, s.pcap.budget_megabytes) {
        (false, _) => "not kept".to_owned(),
        (true, 0) => format!("a file each {} MB{minutes}, as much as the disk has", s.pcap.rotate_megabytes),
        (true, budget) => format!("a file each {} MB{minutes}, {budget} MB together", s.pcap.rotate_megabytes),
    };
    let collector = if s.forward.enabled || s.opensearch.enabled {
        let password =
            if draft.has("opensearch", "password_file") || draft.has("opensearch", "password") { ", with a password" } else { "" };
        vec![
            ("Logs to", or(join(s.forward.hosts.iter().map(ToString::to_string).collect()), "nobody")),
            (
                "Sessions to",
                if s.opensearch.enabled { join(s.opensearch.hosts.iter().map(ToString::to_string).collect()) } else { "nobody".to_owned() },
            ),
            ("Certificate check", s.forward.verify.to_string()),
            ("CA", certificate(draft, "certs/ca.crt", draft.has("forward", "ca"))),
            ("Own certificate", certificate(draft, "certs/client.crt", s.forward.certificate.is_some())),
            ("OpenSearch user", format!("{}{password}", or(s.opensearch.user.clone(), "none"))),
            (
                "passwordSecret",
                if draft.has("viewer", "secret_file") || draft.has("viewer", "secret") {
                    "set"
                } else {
                    "not set: the collector cannot get packets back"
                }
                .to_owned(),
            ),
        ]
    } else {
        vec![("Collector", "none: this sensor stands alone".to_owned())]
    };
    let sensor =
        [("Name", s.node.name.clone()), ("Tags", or(join(s.node.tags.clone()), "none")), ("NetBox site", or(s.node.site.clone(), "none"))];
    vec![
        part("Network", "/setup/network", network),
        part("Time", "/setup/time", vec![("Time servers", or(join(s.system.time_servers.clone()), "those of DHCP"))]),
        part("Capture", "/setup/interfaces", vec![("Interfaces", join(s.capture.interfaces.clone()))]),
        part("Packets", "/setup/packets", vec![("PCAP", pcap), ("Filter", or(s.capture.filter.clone(), "none: everything is captured"))]),
        part("Files", "/setup/files", vec![("Carved", s.files.carving.to_string()), ("Kept", s.files.preservation.to_string())]),
        part("Collector", "/setup/collector", collector.into_iter().chain(sensor).collect()),
    ]
}

fn certificate(draft: &Draft, name: &str, set: bool) -> String {
    match draft.attached().get(name).map(|text| crate::pem::certificates(text)) {
        Some(Ok(chain)) => {
            chain.first().map_or_else(String::new, |it| format!("{}, until {}", it.subject, crate::format::time(it.until as f64)))
        }
        Some(Err(error)) => error,
        None if set => "set before, stays".to_owned(),
        None => "none".to_owned(),
    }
}

/// Where the sensor is found afterwards, and whether that is elsewhere than now.
fn place(draft: &Draft, state: &State) -> (String, bool) {
    let port = crate::APPLIANCE_PORT;
    let url =
        |address: &str| if address.contains(':') { format!("https://[{address}]:{port}/") } else { format!("https://{address}:{port}/") };
    let bare = |address: &String| address.split('/').next().unwrap_or_default().to_owned();
    match draft.shown("system", "address").parse() {
        Ok(InterfaceAddress::Fixed { address, .. }) => {
            let there = state.addresses.iter().any(|known| bare(known) == address.to_string());
            (url(&address.to_string()), !there)
        }
        _ => {
            // A link-local address of IPv6 cannot be typed into a browser.
            let typed = state.addresses.iter().filter(|known| !known.starts_with("fe80:"));
            let now: Vec<_> = typed.map(|known| url(&bare(known))).collect();
            (format!("{} as long as DHCP gives the same address; the console shows another", now.join(" or ")), false)
        }
    }
}

/// Applies it.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let draft = match visit.draft().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    if fields.get("action") != "apply" || checked(&draft).is_err() {
        return show(&visit, &draft, String::new()).await;
    }
    let ordered = visit.order(Request::Apply { text: draft.text() }, "settings applied", "by the setup").await;
    match ordered {
        Ok(()) => Redirect::to("/setup/apply").into_response(),
        Err(error) => show(&visit, &draft, error).await,
    }
}

/// How far it is.
pub(crate) async fn applying(visit: Visit) -> Response {
    let job = match visit.job().await {
        Ok(job) => View::of(job),
        Err(response) => return response,
    };
    if job.over && job.error.is_empty() {
        return Redirect::to("/setup/finished").into_response();
    }
    let note = match (visit.look(|wizard| Some(wizard.draft.clone())), visit.state().await) {
        (Some(draft), Ok(state)) => match place(&draft, &state) {
            (place, true) => format!("If this page stops answering, the address has changed: go on at {place}"),
            _ => String::new(),
        },
        _ => String::new(),
    };
    let links = vec![("/setup/summary", "Back to the summary"), ("/", "To the status")];
    super::super::render(StatusCode::OK, &job::Page { frame: visit.frame.clone(), title: "Applying the settings", job, note, links })
}

#[derive(Template)]
#[template(path = "setup/finished.html")]
struct Finished {
    frame: Frame,
    place: String,
    remarks: Vec<String>,
}

/// The end.
pub(crate) async fn finished(visit: Visit) -> Response {
    let job = match visit.job().await {
        Ok(job) => View::of(job),
        Err(response) => return response,
    };
    if !job.over || !job.error.is_empty() {
        return Redirect::to("/setup/apply").into_response();
    }
    // Who came with the code alone has set the password by the file.
    if matches!(visit.caller.who, Who::Setup(_)) && visit.shared.gate.has_password() {
        return Redirect::to("/login").into_response();
    }
    let state = match visit.state().await {
        Ok(state) => state,
        Err(response) => return response,
    };
    let draft = match visit.in_force().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    visit.forget();
    let page = Finished { frame: visit.frame.clone(), place: place(&draft, &state).0, remarks: job.remarks };
    super::super::render(StatusCode::OK, &page)
}

#[cfg(test)]
mod tests {
    use settings::appliance::Job;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn what_is_missing_leads_to_its_step_and_is_not_applied() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let page = browser.get("/setup/summary").await;
        assert!(page.body.contains("no interface to capture from") && page.body.contains("href=\"/setup/interfaces\""), "{}", page.body);
        browser.submit("/setup/summary", &[("action", "apply")]).await;
        assert!(!site.world().was_asked("\"request\":\"apply\""));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_leads_back() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        browser.submit("/setup/interfaces", &[("interface", "eth1")]).await;
        browser.submit("/setup/summary", &[("action", "apply")]).await;
        site.world().job(Job { name: "apply".into(), over: true, error: "the filter is not understood".into(), ..Job::default() });
        let page = browser.get("/setup/apply").await;
        assert!(page.body.contains("the filter is not understood") && page.body.contains("href=\"/setup/summary\""), "{}", page.body);
        assert_eq!(browser.get("/setup/finished").await.redirect(), "/setup/apply");
    }
}
