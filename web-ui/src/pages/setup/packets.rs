//! Packets on disk: when a file is full, how much room there is, and the filter of the capture.

use axum::response::{IntoResponse, Redirect, Response};
use settings::Problem;
use settings::edit::Draft;

use super::Step;
use crate::auth::form::Fields;
use crate::wizard::step::{self, Field, Visit};

const PATH: &str = "/setup/packets";

const FIELDS: &[Field] = &[
    Field {
        name: "pcap_enabled",
        section: "pcap",
        key: "enabled",
        label: "Keep packets in PCAP files",
        help: "Without them, records have no packets to look at later.",
        example: "",
    },
    Field {
        name: "rotate_megabytes",
        section: "pcap",
        key: "rotate_megabytes",
        label: "A new file after this many megabytes",
        help: "1 to 1048576.",
        example: "4096",
    },
    Field {
        name: "rotate_minutes",
        section: "pcap",
        key: "rotate_minutes",
        label: "Or after this many minutes",
        help: "0: by size alone.",
        example: "10",
    },
    Field {
        name: "budget_megabytes",
        section: "pcap",
        key: "budget_megabytes",
        label: "Megabytes for all PCAP files together",
        help: "The oldest are deleted first. 0: as much as the disk has.",
        example: "0",
    },
    Field {
        name: "filter",
        section: "capture",
        key: "filter",
        label: "Capture filter",
        help: "In tcpdump's language; what does not match is neither kept nor analysed. Empty: everything.",
        example: "not (host 192.0.2.9 and port 5044)",
    },
];

const KEYS: &[&str] =
    &["pcap.enabled", "pcap.rotate_megabytes", "pcap.rotate_minutes", "pcap.budget_megabytes", "capture.filter", "analysis.mode"];

/// The form.
pub(crate) async fn page(visit: Visit) -> Response {
    match visit.draft().await {
        Ok(draft) => show(&visit, &draft, None, &[]).await,
        Err(response) => response,
    }
}

async fn show(visit: &Visit, draft: &Draft, typed: Option<&Fields>, problems: &[Problem]) -> Response {
    let state = match visit.state().await {
        Ok(state) => state,
        Err(response) => return response,
    };
    let room = format!("{} of {} are free on the disk.", crate::format::bytes(state.data_free), crate::format::bytes(state.data_bytes));
    let mut step = Step::new(visit.frame.clone(), PATH, "Packets", &room);
    step.controls = FIELDS.iter().map(|field| field.control(draft, typed, problems)).collect();
    step.show(step::status(!problems.is_empty()))
}

/// Takes it over.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let mut draft = match visit.draft().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    let mut problems = step::take(FIELDS, &fields, &mut draft);
    problems.extend(step::wrong_with(&draft, KEYS));
    problems.extend(crate::filter::problem(&visit.shared.viewer, &draft).await);
    if !problems.is_empty() {
        return show(&visit, &draft, Some(&fields), &problems).await;
    }
    visit.keep(|wizard| wizard.draft = draft);
    Redirect::to("/setup/files").into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn numbers_and_the_filter_are_checked_at_their_fields() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let typed = [
            ("pcap_enabled", "true"),
            ("rotate_megabytes", "0"),
            ("rotate_minutes", "soon"),
            ("budget_megabytes", ""),
            ("filter", "bad filter"),
        ];
        let answer = browser.submit("/setup/packets", &typed).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        for text in ["id=\"rotate_minutes-error\"", "id=\"rotate_megabytes-error\"", "id=\"filter-error\"", "value=\"soon\""] {
            assert!(answer.body.contains(text), "{text} in {}", answer.body);
        }
        let answer = browser.submit("/setup/packets", &[("rotate_megabytes", "10"), ("rotate_minutes", "0"), ("filter", "tcp")]).await;
        assert_eq!(answer.redirect(), "/setup/files");
    }
}
