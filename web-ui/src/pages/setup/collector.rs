//! The collector: addresses, certificates, passwords, and how this sensor is called there.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use settings::edit::Draft;
use settings::{Place, Problem};

use super::probe;
use crate::auth::form::Fields;
use crate::control::Control;
use crate::frame::Frame;
use crate::pem;
use crate::wizard::Outline;
use crate::wizard::step::{self, Visit, error_of};

/// Files that come with the settings: field, name beneath /etc/tenrec, and what it is.
const CERTIFICATES: &[(&str, &str, &str)] = &[
    ("ca", "certs/ca.crt", "Certificate of the CA"),
    ("certificate", "certs/client.crt", "This sensor's certificate, if the collector wants one"),
    ("key", "certs/client.key", "Its private key"),
];
const FOLDER: &str = "/etc/tenrec/";
const PASSWORD: &str = "opensearch.password";
const SECRET: &str = "viewer.secret";

const KEYS: &[&str] = &[
    "forward.hosts",
    "forward.ca",
    "forward.certificate",
    "forward.key",
    "forward.verify",
    "opensearch.hosts",
    "opensearch.ca",
    "opensearch.certificate",
    "opensearch.key",
    "opensearch.user",
    "opensearch.password",
    "opensearch.password_file",
    "opensearch.verify",
    "viewer.secret",
    "viewer.secret_file",
    "node.tags",
    "node.name",
    "node.site",
];

#[derive(Template)]
#[template(path = "setup/collector.html")]
struct Page {
    frame: Frame,
    outline: Outline,
    error: String,
    groups: Vec<(&'static str, Vec<Control>)>,
}

/// The form.
pub(crate) async fn page(visit: Visit) -> Response {
    match visit.draft().await {
        Ok(draft) => show(&visit, &draft, None, &[]),
        Err(response) => response,
    }
}

fn show(visit: &Visit, draft: &Draft, typed: Option<&Fields>, problems: &[Problem]) -> Response {
    let value = |name: &str, known: String| typed.map_or(known, |typed| typed.get(name).to_owned());
    let shown = |section: &str, key: &str| draft.shown(section, key);
    let on = |section: &str| shown(section, "enabled") == "true";
    // Malcolm wants both; who has set one alone meant it.
    let sessions = (on("opensearch") || !on("forward")).to_string();
    let address = |control: Control, section: &str| control.error(error_of(&format!("{section}.hosts"), problems));
    let addresses = vec![
        address(Control::lines("hosts", "Addresses", 2), "forward")
            .help("One a line, host or host:port; without a port it is 5044. Of several the first that answers gets the records.")
            .placeholder("malcolm.example.org")
            .value(value("hosts", shown("forward", "hosts"))),
        Control::tick("sessions", "Send Arkime sessions to OpenSearch too").value(value("sessions", sessions)),
        address(Control::lines("opensearch", "OpenSearch", 2), "opensearch")
            .help("Empty: https on port 9200 of the addresses above.")
            .placeholder("https://malcolm.example.org:9200")
            .value(value("opensearch", shown("opensearch", "hosts"))),
        Control::choice(
            "verify",
            "How the collector's certificate is checked",
            [
                ("chain", "chain: signed by the CA (for Malcolm, whose certificate names no host)"),
                ("full", "full: signed by the CA, and naming the host"),
                ("none", "none: whoever answers gets the records"),
            ],
        )
        .value(value("verify", shown("forward", "verify")))
        .error(error_of("forward.verify", problems)),
    ];
    let mut certificates = Vec::new();
    for (field, name, label) in CERTIFICATES {
        let there = draft.attached().contains_key(*name) || draft.has("forward", field);
        let help = if there { "Set. What is given here takes its place." } else { "" };
        // A key is not written back into the page, also while something else is wrong.
        let pasted = if *field == "key" { String::new() } else { value(field, String::new()) };
        let error =
            [format!("forward.{field}"), format!("opensearch.{field}")].iter().map(|key| error_of(key, problems)).find(|e| !e.is_empty());
        certificates.push(Control::file(&format!("{field}_file"), label));
        certificates.push(
            Control::lines(field, &format!("{label}, as text"), 3)
                .placeholder("-----BEGIN …")
                .value(pasted)
                .help(help)
                .error(error.unwrap_or_default()),
        );
    }
    let kept = |there: bool| if there { "Set. Empty: it stays." } else { "" };
    let password_there = draft.has("opensearch", "password_file") || draft.has("opensearch", "password");
    let secret_there = draft.has("viewer", "secret_file") || draft.has("viewer", "secret");
    let error = |keys: &[&str]| keys.iter().map(|key| error_of(key, problems)).find(|e| !e.is_empty()).unwrap_or_default();
    let passwords = vec![
        Control::line("user", "OpenSearch user").value(value("user", shown("opensearch", "user"))).error(error(&["opensearch.user"])),
        Control::password("opensearch_password", "OpenSearch password", "off")
            .help(kept(password_there))
            .error(error(&["opensearch.password_file", "opensearch.password"])),
        Control::password("secret", "Arkime's passwordSecret", "off")
            .help(format!(
                "The same as on the collector (ARKIME_PASSWORD_SECRET): by it the collector gets packets back from here. {}",
                kept(secret_there)
            ))
            .error(error(&["viewer.secret_file", "viewer.secret"])),
    ];
    let name = if draft.has("node", "name") { shown("node", "name") } else { String::new() };
    let sensor = vec![
        Control::line("node_name", "Name of this sensor")
            .help("Empty: the host name.")
            .value(value("node_name", name))
            .error(error(&["node.name"])),
        Control::lines("tags", "Tags of every record", 2)
            .help("One a line.")
            .value(value("tags", shown("node", "tags")))
            .error(error(&["node.tags"])),
        Control::line("site", "NetBox site")
            .help("By name or number; empty for none.")
            .value(value("site", shown("node", "site")))
            .error(error(&["node.site"])),
    ];
    let groups = vec![("Addresses", addresses), ("Certificates", certificates), ("Passwords", passwords), ("This sensor", sensor)];
    let error = if problems.is_empty() { String::new() } else { "Something is missing or wrong; it is said at the field.".to_owned() };
    let page = Page { frame: visit.frame.clone(), outline: Outline::at("/setup/collector"), error, groups };
    super::super::render(step::status(!problems.is_empty()), &page)
}

/// The settings say what is wrong in their own keys; here it is said in the words of this page.
fn in_our_words(problem: Problem) -> Problem {
    let what = match problem.key.as_str() {
        "forward.hosts" | "opensearch.hosts" if problem.what.contains("no collector is named") => {
            "name a collector, or let this sensor stand alone (below)".to_owned()
        }
        "forward.ca" | "opensearch.ca" if problem.what.contains("needs the certificate") => {
            "this way of checking the collector needs the certificate of its CA: upload or paste it".to_owned()
        }
        "forward.key" if problem.what.contains("private key is not") => "the private key of the certificate above is missing".to_owned(),
        "forward.certificate" if problem.what.contains("its certificate is not") => {
            "the certificate of the key below is missing".to_owned()
        }
        _ => return problem,
    };
    Problem { what, ..problem }
}

/// Takes it over and tries the links, or leaves the sensor alone.
pub(crate) async fn submit(visit: Visit, fields: Fields) -> Response {
    let mut draft = match visit.draft().await {
        Ok(draft) => draft,
        Err(response) => return response,
    };
    if fields.get("action") == "alone" {
        draft.set("forward", "enabled", false);
        draft.set("opensearch", "enabled", false);
        visit.keep(|wizard| {
            wizard.draft = draft;
            wizard.alone = true;
            wizard.probe = crate::wizard::Probe::None;
        });
        return Redirect::to("/setup/summary").into_response();
    }
    let mut problems = take(&fields, &mut draft);
    problems.extend(step::wrong_with(&draft, KEYS).into_iter().map(in_our_words));
    if !problems.is_empty() {
        return show(&visit, &draft, Some(&fields), &problems);
    }
    visit.keep(|wizard| {
        wizard.draft = draft;
        wizard.alone = false;
    });
    probe::begin(&visit);
    Redirect::to("/setup/probe").into_response()
}

fn take(fields: &Fields, draft: &mut Draft) -> Vec<Problem> {
    let mut problems = Vec::new();
    let wrong = |key: &str, what: String| Problem { place: Place::File(step::PATH.into(), None), key: key.to_owned(), what };
    let mut put = |draft: &mut Draft, section: &str, key: &str, typed: &str| problems.extend(draft.put(section, key, typed).err());

    draft.set("forward", "enabled", true);
    put(draft, "forward", "hosts", fields.get("hosts"));
    for section in ["forward", "opensearch"] {
        put(draft, section, "verify", fields.get("verify"));
    }
    let sessions = fields.get("sessions") == "true";
    draft.set("opensearch", "enabled", sessions);
    if sessions {
        let typed = fields.get("opensearch").trim();
        put(draft, "opensearch", "hosts", if typed.is_empty() { derived(fields.get("hosts")) } else { typed.to_owned() }.as_str());
        put(draft, "opensearch", "user", fields.get("user"));
    }
    for (name, key) in [("tags", "tags"), ("node_name", "name"), ("site", "site")] {
        put(draft, "node", key, fields.get(name));
    }
    for (secret, name, section, key) in
        [("opensearch_password", PASSWORD, "opensearch", "password"), ("secret", SECRET, "viewer", "secret")]
    {
        let typed = fields.get(secret).trim();
        if !typed.is_empty() {
            draft.unset(section, key);
            draft.set(section, &format!("{key}_file"), format!("{FOLDER}{name}"));
            problems.extend(draft.attach(name, &format!("{typed}\n")).err().map(|what| wrong(&format!("{section}.{key}_file"), what)));
        }
    }
    for (field, name, _) in CERTIFICATES {
        let given = [format!("{field}_file"), (*field).to_owned()].iter().map(|it| fields.get(it).trim()).find(|text| !text.is_empty());
        if let Some(text) = given {
            let text = format!("{}\n", text.replace("\r\n", "\n"));
            let checked = if *field == "key" { pem::key(&text) } else { pem::certificates(&text).map(drop) };
            problems.extend(checked.and_then(|()| draft.attach(name, &text)).err().map(|what| wrong(&format!("forward.{field}"), what)));
            draft.set("forward", field, format!("{FOLDER}{name}"));
        }
        // Both links have the same CA and the same certificate, as at Malcolm.
        if sessions && draft.has("forward", field) {
            let path = draft.shown("forward", field);
            draft.set("opensearch", field, path);
        }
    }
    if let (Some(certificate), Some(key)) = (draft.attached().get("certs/client.crt"), draft.attached().get("certs/client.key")) {
        problems.extend(pem::pair(certificate, key).err().map(|what| wrong("forward.key", what)));
    }
    problems
}

/// OpenSearch beside a Lumberjack host.
fn derived(hosts: &str) -> String {
    let hosts = hosts.lines().filter_map(|line| line.trim().parse::<settings::Host>().ok());
    let url = |host: settings::Host| {
        if host.name().contains(':') { format!("https://[{}]:9200", host.name()) } else { format!("https://{}:9200", host.name()) }
    };
    hosts.map(url).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::{Site, certificate, key_pair};

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_told_at_its_field_and_no_secret_comes_back() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let typed = [
            ("hosts", "malcolm.example.org"),
            ("ca", "no certificate"),
            ("key", "-----BEGIN PRIVATE KEY-----\nsecret bits\n-----END PRIVATE KEY-----"),
            ("user", "a:b"),
            ("sessions", "true"),
            ("opensearch_password", "hunter2 and more"),
            ("verify", "chain"),
            ("tags", "plant"),
        ];
        let answer = browser.submit("/setup/collector", &typed).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        for text in ["id=\"ca-error\"", "id=\"key-error\"", "id=\"user-error\"", "malcolm.example.org</textarea>", "plant</textarea>"] {
            assert!(answer.body.contains(text), "{text} in {}", answer.body);
        }
        assert!(!answer.body.contains("hunter2") && !answer.body.contains("secret bits"));
        let answer = browser.submit("/setup/collector", &[("hosts", ""), ("verify", "none")]).await;
        assert!(answer.body.contains("id=\"hosts-error\"") && answer.body.contains("stand alone (below)"), "{}", answer.body);
        let answer = browser.submit("/setup/collector", &[("hosts", "192.0.2.9"), ("verify", "chain")]).await;
        assert!(answer.body.contains("upload or paste it") && !answer.body.contains("forward.ca"), "{}", answer.body);
    }

    #[tokio::test]
    async fn certificate_and_key_must_go_together() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        let ((certificate_one, key_one), (_, key_two)) = (key_pair(), key_pair());
        let ca = certificate();
        let typed = |key: &'static str| [("hosts", "192.0.2.9"), ("verify", "chain"), ("ca", "CA"), ("certificate", "CRT"), ("key", key)];
        let fill = |typed: [(&'static str, &'static str); 5], key: &str| {
            typed.map(|(name, value)| (name, value.replace("CA", &ca).replace("CRT", &certificate_one).replace("KEY", key)))
        };
        let filled = fill(typed("KEY"), &key_two);
        let answer = browser.submit("/setup/collector", &filled.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
        assert!(answer.body.contains("not the key of"), "{}", answer.body);
        let filled = fill(typed("KEY"), &key_one);
        let answer = browser.submit("/setup/collector", &filled.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
        assert_eq!(answer.redirect(), "/setup/probe");
    }

    #[tokio::test]
    async fn a_sensor_may_stand_alone() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        browser.submit("/setup/interfaces", &[("interface", "eth1")]).await;
        assert_eq!(browser.submit("/setup/collector", &[("action", "alone")]).await.redirect(), "/setup/summary");
        assert!(browser.get("/setup/summary").await.body.contains("stands alone"));
        browser.submit("/setup/summary", &[("action", "apply")]).await;
        assert!(!site.world().settings().forward.enabled);
    }
}
