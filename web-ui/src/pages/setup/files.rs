//! Which files are carved from the traffic, and which of them stay.

use axum::response::{IntoResponse, Redirect, Response};
use settings::Problem;
use settings::edit::Draft;

use super::Step;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::wizard::step::{self, Visit, error_of};

const PATH: &str = "/setup/files";

const CARVING: &[(&str, &str)] = &[
    ("none", "none"),
    ("known", "known: whose MIME type is known"),
    ("mapped", "mapped: whose MIME type has a file name extension"),
    ("all", "all"),
    ("interesting", "interesting: types that carry attacks"),
    ("notcommtxt", "notcommtxt: all but common text"),
];

const PRESERVATION: &[(&str, &str)] =
    &[("quarantined", "quarantined: what a rule or a signature matched"), ("all", "all"), ("none", "none: they are scanned and deleted")];

/// The form.
pub(crate) async fn page(visit: Visit) -> Response {
    match visit.draft().await {
        Ok(draft) => show(&visit, &draft, None, &[]),
        Err(response) => response,
    }
}

fn show(visit: &Visit, draft: &Draft, typed: Option<&Fields>, problems: &[Problem]) -> Response {
    let intro = "Files that cross the wire are put together again and scanned with YARA rules.";
    let mut step = Step::new(visit.frame.clone(), PATH, "Files", intro);
    let choice = |name: &str, label: &str, choices: &'static [(&str, &str)]| {
        let value = typed.map_or_else(|| draft.shown("files", name), |typed| typed.get(name).to_owned());
        Control::choice(name, label, choices.iter().copied()).value(value).error(error_of(&format!("files.{name}"), problems))
    };
    step.controls = vec![
        choice("carving", "Which files are carved", CARVING),
        choice("preservation", "Which stay on disk after the scan", PRESERVATION)
            .help("They can be downloaded, as a zip file with the password infected."),
    ];
    step.show(step::status(!problems.is_empty()))
}

/// Takes it over.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let mut draft = match visit.draft().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    let put = ["carving", "preservation"].into_iter().filter_map(|key| draft.put("files", key, fields.get(key)).err());
    let mut problems: Vec<_> = put.collect();
    problems.extend(step::wrong_with(&draft, &["files.carving", "files.preservation"]));
    if !problems.is_empty() {
        return show(&visit, &draft, Some(&fields), &problems);
    }
    visit.keep(|wizard| wizard.draft = draft);
    Redirect::to("/setup/collector").into_response()
}

#[cfg(test)]
mod tests {
    use settings::{CarvingMode, Preservation};

    use super::{CARVING, PRESERVATION};

    #[test]
    fn every_mode_can_be_chosen() {
        let words = |choices: &[(&'static str, &str)]| choices.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        assert_eq!(words(CARVING), CarvingMode::WORDS);
        assert_eq!(words(PRESERVATION), Preservation::WORDS);
    }
}
