//! Name and address of the machine on the management network.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use settings::Problem;
use settings::appliance::{Interface, State};
use settings::edit::Draft;

use super::Step;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::wizard::step::{self, Field, Visit, error_of};

const PATH: &str = "/setup/network";

const FIELDS: &[Field] = &[
    Field {
        name: "host_name",
        section: "system",
        key: "host_name",
        label: "Host name",
        help: "Letters, digits and hyphens. Empty: tenrec- with the end of the MAC address.",
        example: "sensor-7",
    },
    Field {
        name: "gateway",
        section: "system",
        key: "gateway",
        label: "Gateway",
        help: "With a fixed address; empty if there is none.",
        example: "192.0.2.1",
    },
    Field {
        name: "name_servers",
        section: "system",
        key: "name_servers",
        label: "Name servers",
        help: "One address a line. Empty: those that DHCP names.",
        example: "",
    },
];

/// The form.
pub(crate) async fn page(visit: Visit) -> Response {
    match visit.draft().await {
        Ok(draft) => show(&visit, &draft, None, &[]).await,
        Err(response) => response,
    }
}

async fn show(visit: &Visit, draft: &Draft, typed: Option<&Fields>, problems: &[Problem]) -> Response {
    let (state, interfaces) = match (visit.state().await, visit.interfaces().await) {
        (Ok(state), Ok(interfaces)) => (state, interfaces),
        (Err(response), _) | (_, Err(response)) => return response,
    };
    let intro = format!("The web UI is reached by {}, where it is now {}.", state.management, addresses(&state));
    let mut step = Step::new(visit.frame.clone(), PATH, "Network", &intro);
    let value = |name: &str, known: String| typed.map_or(known, |typed| typed.get(name).to_owned());
    let address = draft.shown("system", "address");
    let mode = if address == "dhcp" { "dhcp" } else { "fixed" };
    let chosen = draft.shown("system", "management");
    let management = if chosen.is_empty() { state.management.clone() } else { chosen };
    let mut controls: Vec<_> = FIELDS.iter().map(|field| field.control(draft, typed, problems)).collect();
    let ports = interfaces.iter().map(|interface| (interface.name.clone(), port(interface)));
    controls.splice(
        1..1,
        [
            Control::choice(
                "management",
                "Management interface",
                [(String::new(), "the first wired one with a link".to_owned())].into_iter().chain(ports),
            )
            .help("Nothing is captured from it.")
            .value(value("management", management))
            .error(error_of("system.management", problems)),
            Control::choice("address_mode", "Address", [("dhcp", "by DHCP"), ("fixed", "fixed, as below")])
                .value(value("address_mode", mode.to_owned())),
            Control::line("address", "Fixed address")
                .help("With the length of the prefix.")
                .placeholder("192.0.2.7/24")
                .value(value("address", if mode == "dhcp" { String::new() } else { address }))
                .error(error_of("system.address", problems)),
        ],
    );
    step.controls = controls;
    step.after = "The address changes when everything is applied at the end, not before. The summary says where the sensor is found then."
        .to_owned();
    step.show(step::status(!problems.is_empty()))
}

fn addresses(state: &State) -> String {
    if state.addresses.is_empty() { "without an address".to_owned() } else { state.addresses.join(" and ") }
}

fn port(interface: &Interface) -> String {
    let link = if interface.carrier { "link" } else { "no link" };
    format!("{} ({}, {link})", interface.name, interface.mac)
}

/// Takes it over.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let mut draft = match visit.draft().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    let mut problems = step::take(FIELDS, &fields, &mut draft);
    let address = match fields.get("address_mode") {
        "fixed" => fields.get("address").trim(),
        _ => "dhcp",
    };
    draft.set("system", "address", address);
    problems.extend(draft.put("system", "management", fields.get("management")).err());
    let keys = ["system.host_name", "system.management", "system.address", "system.gateway", "system.name_servers"];
    problems.extend(step::wrong_with(&draft, &keys));
    // What is captured from is asked for later.
    problems.retain(|problem| problem.key != "system.management" || !problem.what.contains("captured from"));
    if !problems.is_empty() {
        return show(&visit, &draft, Some(&fields), &problems).await;
    }
    visit.keep(|wizard| wizard.draft = draft);
    (StatusCode::SEE_OTHER, Redirect::to("/setup/time")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn a_wrong_address_is_told_at_its_field_and_what_was_typed_stays() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let typed = [
            ("host_name", "sensor_7"),
            ("management", "eth0"),
            ("address_mode", "fixed"),
            ("address", "192.0.2.7"),
            ("gateway", "2001:db8::1"),
        ];
        let answer = browser.submit("/setup/network", &typed).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        for text in ["id=\"address-error\"", "value=\"sensor_7\"", "value=\"192.0.2.7\"", "with its prefix"] {
            assert!(answer.body.contains(text), "{text} in {}", answer.body);
        }
        let typed = [("host_name", "sensor_7"), ("address_mode", "fixed"), ("address", "192.0.2.7/24"), ("gateway", "2001:db8::1")];
        let answer = browser.submit("/setup/network", &typed).await;
        for text in ["id=\"host_name-error\"", "id=\"gateway-error\""] {
            assert!(answer.body.contains(text), "{text} in {}", answer.body);
        }
    }
}
