//! Settings as one file, in place of the questions.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use settings::edit::Draft;

use crate::auth::Who;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::frame::Frame;
use crate::wizard::step::{self, Visit};

#[derive(Template)]
#[template(path = "setup/import.html")]
struct Page {
    frame: Frame,
    problems: Vec<String>,
    file: Control,
    text: Control,
}

/// The form.
pub(crate) async fn page(visit: Visit) -> Response {
    show(visit, Vec::new())
}

fn show(visit: Visit, problems: Vec<String>) -> Response {
    let status = step::status(!problems.is_empty());
    let page =
        Page { frame: visit.frame.clone(), problems, file: Control::file("file", "File"), text: Control::lines("text", "Or its text", 8) };
    super::super::render(status, &page)
}

/// Reads it; the summary shows what is in it.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let text = if fields.get("file").trim().is_empty() { fields.get("text") } else { fields.get("file") };
    if text.trim().is_empty() {
        return show(visit, vec!["choose a file, or paste its text".to_owned()]);
    }
    let path = std::path::Path::new("settings file");
    let mut draft = match Draft::parse(text, path) {
        Ok(draft) => draft,
        Err(problem) => return show(visit, vec![problem.to_string()]),
    };
    // Of this machine's own file without secrets they stay.
    if let Ok(before) = visit.in_force().await {
        draft.keep_secrets(&before);
    }
    if let Err(problems) = draft.check(path) {
        return show(visit, problems.iter().map(ToString::to_string).collect());
    }
    let has_password = draft.attached().contains_key("web.password") || matches!(visit.caller.who, Who::Administrator(_));
    visit.note("settings file read", "", true);
    visit.keep(|wizard| {
        wizard.draft = draft;
        wizard.imported = true;
    });
    Redirect::to(if has_password { "/setup/summary" } else { "/setup/password" }).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    const FILE: &str = "[capture]\ninterfaces = [\"eth2\"]\n[system]\nhost_name = \"old-7\"\n";

    #[tokio::test]
    async fn a_file_leads_to_the_summary_by_way_of_a_password_if_it_has_none() {
        let site = Site::appliance().await;
        let mut browser = site.setup().await;
        assert_eq!(browser.submit("/setup/import", &[("text", FILE)]).await.redirect(), "/setup/password");
        let password = [("password", "of many words"), ("password_again", "of many words")];
        assert_eq!(browser.submit("/setup/password", &password).await.redirect(), "/setup/summary");
        assert!(browser.get("/setup/summary").await.body.contains("old-7"));
        assert_eq!(browser.submit("/setup/summary", &[("action", "apply")]).await.redirect(), "/setup/apply");
        assert_eq!(site.world().settings().capture.interfaces, ["eth2"]);
    }

    #[tokio::test]
    async fn a_file_with_a_password_sets_up_everything() {
        let site = Site::appliance().await;
        let mut browser = site.setup().await;
        let hash = crate::auth::password::hash("of many words").unwrap();
        let file = format!("{FILE}[attached]\n\"web.password\" = \"{hash}\"\n");
        assert_eq!(browser.submit("/setup/import", &[("text", &file)]).await.redirect(), "/setup/summary");
        browser.submit("/setup/summary", &[("action", "apply")]).await;
        let after = browser.until("/setup/apply", |page| page.status.is_redirection()).await;
        assert_eq!(after.redirect(), "/setup/finished");
        assert_eq!(browser.get("/setup/finished").await.redirect(), "/login", "the code alone opens nothing else");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_file_is_told_line_by_line() {
        let site = Site::appliance().await;
        let mut browser = site.setup().await;
        for (text, says) in [
            ("", "choose a file"),
            ("[capture", "not TOML"),
            ("[captur]\n", "did you mean [capture]"),
            ("[pcap]\nrotate_minutes = \"x\"\n", "rotate_minutes"),
        ] {
            let answer = browser.submit("/setup/import", &[("text", text)]).await;
            assert!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.body.contains(says), "{says} in {}", answer.body);
        }
    }
}
