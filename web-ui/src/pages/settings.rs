//! All settings, section by section, as forms that are made of the settings' own documentation.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use settings::appliance::Request;
use settings::edit::{Draft, Kind};
use settings::{Problem, SECTIONS, Section};

use crate::Shared;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::frame::Frame;
use crate::machine::Machine;
use crate::wizard::step::{PATH, error_of};

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    frame: Frame,
    appliance: bool,
    file: String,
    error: String,
    sections: Vec<(&'static str, String)>,
}

/// The list of sections.
pub(crate) async fn page(State(shared): State<Shared>, frame: Frame) -> Response {
    let appliance = shared.appliance.is_some();
    let error = match std::fs::read_to_string(&shared.settings).map(|text| Draft::parse(&text, &shared.settings)) {
        Ok(Err(problem)) if !appliance => problem.to_string(),
        _ => String::new(),
    };
    let sections = SECTIONS.iter().map(|section| (section.name, first_sentence(section.doc))).collect();
    super::render(StatusCode::OK, &Page { frame, appliance, file: shared.settings.display().to_string(), error, sections })
}

/// A doc comment as a paragraph. That a variable of the environment says the same is for who writes the file.
fn prose(doc: &[&str]) -> String {
    let text = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    text.split("(Environment:").next().unwrap_or_default().trim().to_owned()
}

fn first_sentence(doc: &[&str]) -> String {
    let prose = prose(doc);
    prose.split_once(". ").map_or(prose.clone(), |(first, _)| format!("{first}."))
}

#[derive(Template)]
#[template(path = "settings_section.html")]
struct SectionPage {
    frame: Frame,
    appliance: bool,
    name: &'static str,
    doc: String,
    error: String,
    others: Vec<String>,
    controls: Vec<Control>,
}

fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// A section.
pub(crate) async fn form(State(shared): State<Shared>, frame: Frame, Path(name): Path<String>) -> Response {
    let Some(section) = section(&name) else { return super::missing::page(frame).await };
    let appliance = shared.appliance.is_some();
    let draft = match &shared.appliance {
        Some(socket) => crate::machine::in_force(socket).await,
        // On a plain machine the file is shown, as far as the web UI may read it.
        None => match std::fs::read_to_string(&shared.settings) {
            Ok(text) => Draft::parse(&text, &shared.settings).map_err(|problem| problem.to_string()),
            Err(_) => Ok(Draft::default()),
        },
    };
    match draft {
        Ok(draft) => show(frame, appliance, section, &draft, None, &[], String::new()),
        Err(why) => super::appliance_down(frame, why),
    }
}

fn show(
    frame: Frame,
    appliance: bool,
    section: &'static Section,
    draft: &Draft,
    typed: Option<&Fields>,
    problems: &[Problem],
    error: String,
) -> Response {
    let mut controls = Vec::new();
    for key in section.keys {
        let (kind, path) = (Kind::of(section.name, key), format!("{}.{}", section.name, key.name));
        let value = typed.map_or_else(|| draft.shown(section.name, key.name), |typed| typed.get(key.name).to_owned());
        let is_set = draft.has(section.name, key.name);
        let kept = if kind == Kind::Secret && is_set { "\nIt is set. Empty: it stays." } else { "" };
        let control = Control::of(kind, key.name, key.name).placeholder(key.example.trim_matches('"')).value(value);
        controls.push(control.help(prose(key.doc) + kept).error(error_of(&path, problems)));
        if kind == Kind::Secret && is_set {
            controls.push(Control::tick(&format!("remove_{}", key.name), &format!("Remove the {}", key.name)));
        }
    }
    let here = |problem: &&Problem| section.keys.iter().any(|key| problem.key == format!("{}.{}", section.name, key.name));
    let others = problems.iter().filter(|problem| !here(problem)).map(ToString::to_string).collect();
    let status = crate::wizard::step::status(!problems.is_empty() || !error.is_empty());
    let page = SectionPage { frame, appliance, name: section.name, doc: prose(section.doc), error, others, controls };
    super::render(status, &page)
}

/// Puts a section in force.
pub(crate) async fn submit(machine: Machine, Path(name): Path<String>, fields: Fields) -> Response {
    let Some(section) = section(&name) else { return super::missing::page(machine.frame).await };
    let mut draft = match machine.in_force().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    let before = draft.text();
    let mut problems: Vec<_> =
        section.keys.iter().filter_map(|key| draft.put(section.name, key.name, fields.get(key.name)).err()).collect();
    for key in section.keys.iter().filter(|key| fields.get(&format!("remove_{}", key.name)) == "true") {
        draft.unset(section.name, key.name);
    }
    problems.extend(draft.check(PATH.as_ref()).err().unwrap_or_default());
    if section.name == "capture" {
        problems.extend(crate::filter::problem(&machine.shared.viewer, &draft).await);
    }
    if !problems.is_empty() {
        return show(machine.frame, true, section, &draft, Some(&fields), &problems, String::new());
    }
    let text = draft.text();
    if text == before {
        return Redirect::to("/settings").into_response();
    }
    match machine.order(Request::Apply { text }, "settings applied", section.name).await {
        Ok(()) => {
            // A setup that was left halfway would put its older settings in force.
            if let Some(key) = machine.caller.who.key() {
                machine.shared.gate.sessions.wizard(key, |wizard| *wizard = None);
            }
            Redirect::to("/job").into_response()
        }
        Err(error) => show(machine.frame, true, section, &draft, Some(&fields), &[], error),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use settings::SECTIONS;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn every_key_of_every_section_has_its_field_with_its_documentation() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let list = browser.get("/settings").await.body;
        for section in SECTIONS {
            assert!(list.contains(&format!("href=\"/settings/{}\"", section.name)));
            let page = browser.get(&format!("/settings/{}", section.name)).await;
            assert_eq!(page.status, StatusCode::OK);
            for key in section.keys {
                assert!(page.body.contains(&format!(" name=\"{}\"", key.name)), "{}.{}", section.name, key.name);
                assert!(page.body.contains(&format!("id=\"{}-help\"", key.name)), "{}.{}", section.name, key.name);
            }
        }
        assert_eq!(browser.get("/settings/nothing").await.status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_key_is_changed_with_the_comments_kept_and_a_mistake_is_told_at_its_field() {
        let site = Site::appliance().await;
        site.world().put("# mine\n[pcap]\nrotate_minutes = 5 # so\n");
        let mut browser = site.administrator();
        let typed = |minutes: &'static str| {
            [
                ("enabled", "true"),
                ("folder", "/var/lib/tenrec/pcap"),
                ("rotate_megabytes", "4096"),
                ("rotate_minutes", minutes),
                ("compression", "none"),
                ("budget_megabytes", "0"),
            ]
        };
        let answer = browser.submit("/settings/pcap", &typed("20000")).await;
        assert!(
            answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.body.contains("id=\"rotate_minutes-error\""),
            "{}",
            answer.body
        );
        assert_eq!(browser.submit("/settings/pcap", &typed("7")).await.redirect(), "/job");
        assert!(site.world().was_asked(r##"# mine\n[pcap]\nrotate_minutes = 7 # so\n"##));
    }

    #[tokio::test]
    async fn secrets_are_not_shown_and_stay_until_they_are_removed() {
        let site = Site::appliance().await;
        site.world().put("[viewer]\nsecret = \"hunter2\"\n");
        let mut browser = site.administrator();
        let page = browser.get("/settings/viewer").await.body;
        assert!(!page.contains("hunter2") && page.contains("remove_secret"), "{page}");
        let listen = ("listen", "0.0.0.0:8006");
        let rest = [("certificates", "/var/lib/tenrec-viewer/certs"), ("socket", "/run/tenrec-viewer/viewer.sock")];
        browser.submit("/settings/viewer", &[listen, rest[0], rest[1]]).await;
        assert_eq!(site.world().settings().viewer.secret.reveal(), "hunter2");
        browser.submit("/settings/viewer", &[listen, rest[0], rest[1], ("remove_secret", "true")]).await;
        assert!(site.world().settings().viewer.secret.is_empty());
    }

    #[tokio::test]
    async fn on_a_plain_machine_settings_are_shown_and_not_changed() {
        let site = Site::with_password("of many words").await;
        std::fs::write(site.folder().join("tenrec.toml"), "[node]\nname = \"plain-7\"\n").unwrap();
        let mut browser = site.administrator();
        let page = browser.get("/settings/node").await.body;
        assert!(page.contains("plain-7") && !page.contains("<button>Apply"), "{page}");
        assert!(browser.submit("/settings/node", &[("name", "other")]).await.body.contains("no appliance"));
    }
}
