//! Which interfaces are captured from, with what is seen on each.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use settings::appliance::{self, Interface, Preview, Request};
use settings::edit::Draft;

use crate::ask::answer;
use crate::auth::form::Fields;
use crate::format;
use crate::frame::Frame;
use crate::wizard::Outline;
use crate::wizard::step::{self, Visit, error_of};

/// Seconds that an interface is listened to.
const SECONDS: u32 = 2;
/// Interfaces that are listened to at once; a machine with more is rare, and each takes a thread.
const MAX_LISTENED: usize = 16;
/// Talkers that are shown.
const TALKERS: usize = 5;
/// Seconds that a light blinks.
const BLINK: u32 = 10;

#[derive(Template)]
#[template(path = "setup/interfaces.html")]
struct Page {
    frame: Frame,
    outline: Outline,
    seconds: u32,
    said: String,
    error: String,
    ports: Vec<Port>,
}

struct Port {
    name: String,
    mac: String,
    driver: String,
    speed: u32,
    carrier: bool,
    management: bool,
    chosen: bool,
    seen: Option<Seen>,
    deaf: String,
}

struct Seen {
    packets: String,
    bits: String,
    talkers: Vec<(String, String)>,
}

/// The form, after listening.
pub(crate) async fn page(visit: Visit) -> Response {
    let draft = match visit.draft().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    let chosen = chosen(&draft);
    match listen(&visit).await {
        Ok(interfaces) => show(&visit, interfaces, &chosen, String::new(), String::new()),
        Err(response) => response,
    }
}

fn chosen(draft: &Draft) -> Vec<String> {
    draft.shown("capture", "interfaces").lines().map(str::to_owned).collect()
}

/// Listens to all interfaces at once, and keeps what was seen.
async fn listen(visit: &Visit) -> Result<Vec<Interface>, Response> {
    let interfaces = visit.interfaces().await?;
    let heard = interfaces.iter().filter(|interface| !interface.management).take(MAX_LISTENED).map(|interface| async {
        let request = Request::Preview { interface: interface.name.clone(), seconds: SECONDS };
        let preview = answer!(&visit.socket, request => appliance::Response::Preview(preview) => preview);
        (interface.name.clone(), preview.map_err(|error| crate::history::explain(&error)))
    });
    let previews: BTreeMap<String, Result<Preview, String>> = futures_util::future::join_all(heard).await.into_iter().collect();
    visit.keep(|wizard| wizard.previews = previews);
    Ok(interfaces)
}

fn show(visit: &Visit, interfaces: Vec<Interface>, chosen: &[String], said: String, error: String) -> Response {
    let previews = visit.look(|wizard| wizard.previews.clone());
    let ports = interfaces.into_iter().map(|interface| {
        let heard = previews.get(&interface.name);
        Port {
            chosen: chosen.contains(&interface.name),
            seen: heard.and_then(|heard| heard.as_ref().ok()).map(seen),
            deaf: heard.and_then(|heard| heard.as_ref().err()).cloned().unwrap_or_default(),
            name: interface.name,
            mac: interface.mac,
            driver: interface.driver,
            speed: interface.speed,
            carrier: interface.carrier,
            management: interface.management,
        }
    });
    let status = step::status(!error.is_empty());
    let page = Page {
        frame: visit.frame.clone(),
        outline: Outline::at("/setup/interfaces"),
        seconds: SECONDS,
        said,
        error,
        ports: ports.collect(),
    };
    super::super::render(status, &page)
}

fn seen(preview: &Preview) -> Seen {
    Seen {
        packets: format::count(preview.packets.round() as u64),
        bits: format::bit_rate(preview.bits),
        talkers: preview.talkers.iter().take(TALKERS).map(|talker| (talker.address.clone(), format::bit_rate(talker.bits))).collect(),
    }
}

/// Lets a light blink, listens again, or takes the choice over.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let mut draft = match visit.draft().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    let chosen: Vec<_> = fields.all("interface").map(str::to_owned).collect();
    if fields.has("blink") {
        let interface = fields.get("blink").to_owned();
        let blink = visit.order(Request::Blink { interface: interface.clone(), seconds: BLINK }, "light blinks", &interface).await;
        let (said, error) = match blink {
            Ok(()) => (format!("The light of {interface} blinks for {BLINK} seconds."), String::new()),
            Err(error) => (String::new(), error),
        };
        return match visit.interfaces().await {
            Ok(interfaces) => show(&visit, interfaces, &chosen, said, error),
            Err(response) => response,
        };
    }
    let unknown = draft.put("capture", "interfaces", &chosen.join("\n")).err();
    if fields.get("action") == "refresh" {
        visit.keep(|wizard| wizard.draft = draft);
        return Redirect::to("/setup/interfaces").into_response();
    }
    let interfaces = match visit.interfaces().await {
        Ok(interfaces) => interfaces,
        Err(response) => return response,
    };
    let mut problems = step::wrong_with(&draft, &["capture.interfaces", "system.management"]);
    problems.extend(unknown);
    let missing = chosen.iter().find(|name| !interfaces.iter().any(|interface| interface.name == **name));
    let error = match interfaces.iter().find(|interface| interface.management && chosen.contains(&interface.name)) {
        _ if chosen.is_empty() => "choose one interface at least: a sensor that sees nothing is none".to_owned(),
        None if missing.is_some() => format!("this machine has no interface {}", missing.map_or("", String::as_str)),
        Some(management) => format!("the web UI is reached by {}: nothing can be captured from it", management.name),
        None => [error_of("capture.interfaces", &problems), error_of("system.management", &problems)]
            .into_iter()
            .find(|e| !e.is_empty())
            .unwrap_or_default(),
    };
    if !error.is_empty() {
        return show(&visit, interfaces, &chosen, String::new(), error);
    }
    visit.keep(|wizard| wizard.draft = draft);
    Redirect::to("/setup/packets").into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn what_is_seen_on_each_interface_is_shown_and_a_light_blinks() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let page = browser.get("/setup/interfaces").await;
        for text in ["1\u{202f}234", "10.0.0.1", "The web UI is reached by it"] {
            assert!(page.body.contains(text), "{text} in {}", page.body);
        }
        let page = browser.submit("/setup/interfaces", &[("interface", "eth1"), ("blink", "eth2")]).await;
        assert!(page.body.contains("The light of eth2 blinks") && page.body.contains("value=\"eth1\" checked"), "{}", page.body);
        assert!(site.world().was_asked("\"request\":\"blink\",\"interface\":\"eth2\""));
    }

    #[tokio::test]
    async fn one_interface_at_least_and_not_the_one_of_the_web_ui() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        for (typed, says) in [
            (&[][..], "choose one interface"),
            (&[("interface", "eth0")][..], "reached by eth0"),
            (&[("interface", "eth9")][..], "no interface eth9"),
        ] {
            let answer = browser.submit("/setup/interfaces", typed).await;
            assert!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.body.contains(says), "{}", answer.body);
        }
    }
}
