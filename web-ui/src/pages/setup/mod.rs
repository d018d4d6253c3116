//! The setup, one file a step. See `wizard` for what the steps have in common.

pub(crate) mod code;
pub(crate) mod collector;
pub(crate) mod files;
pub(crate) mod import;
pub(crate) mod install;
pub(crate) mod interfaces;
pub(crate) mod network;
pub(crate) mod packets;
pub(crate) mod password;
pub(crate) mod probe;
pub(crate) mod summary;
pub(crate) mod time;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::control::Control;
use crate::frame::Frame;
use crate::wizard::Outline;

/// A step that is a form and nothing else.
#[derive(Template)]
#[template(path = "setup/step.html")]
struct Step {
    frame: Frame,
    outline: Outline,
    path: &'static str,
    title: &'static str,
    intro: String,
    error: String,
    controls: Vec<Control>,
    after: String,
}

impl Step {
    fn new(frame: Frame, path: &'static str, title: &'static str, intro: &str) -> Self {
        let outline = Outline::at(path);
        Self { frame, outline, path, title, intro: intro.to_owned(), error: String::new(), controls: Vec::new(), after: String::new() }
    }

    fn show(&self, status: StatusCode) -> Response {
        super::render(status, self)
    }
}

#[cfg(test)]
mod tests {
    use crate::pages::testing::Site;

    #[tokio::test]
    async fn the_setup_goes_from_the_code_to_a_configured_sensor() {
        let site = Site::appliance().await;
        let mut browser = site.browser();
        assert_eq!(browser.get("/").await.redirect(), "/setup/code");
        browser.get("/setup/code").await;
        assert_eq!(browser.submit("/setup/code", &[("code", "abcde fghjk")]).await.redirect(), "/setup/password");
        let password = [("password", "of many words"), ("password_again", "of many words")];
        assert_eq!(browser.submit("/setup/password", &password).await.redirect(), "/setup/network");
        let network = [
            ("host_name", "sensor-7"),
            ("management", "eth0"),
            ("address_mode", "fixed"),
            ("address", "192.0.2.7/24"),
            ("gateway", "192.0.2.1"),
        ];
        assert_eq!(browser.submit("/setup/network", &network).await.redirect(), "/setup/time");
        assert_eq!(browser.submit("/setup/time", &[("time_servers", "192.0.2.1")]).await.redirect(), "/setup/interfaces");
        let page = browser.get("/setup/interfaces").await;
        assert!(page.body.contains("eth1") && page.body.contains("10.0.0.1"), "{}", page.body);
        assert_eq!(browser.submit("/setup/interfaces", &[("interface", "eth1"), ("interface", "eth2")]).await.redirect(), "/setup/packets");
        let packets = [
            ("pcap_enabled", "true"),
            ("rotate_megabytes", "512"),
            ("rotate_minutes", "5"),
            ("budget_megabytes", "0"),
            ("filter", "not arp"),
        ];
        assert_eq!(browser.submit("/setup/packets", &packets).await.redirect(), "/setup/files");
        assert_eq!(browser.submit("/setup/files", &[("carving", "all"), ("preservation", "none")]).await.redirect(), "/setup/collector");
        let ca = crate::pages::testing::certificate();
        let collector = [
            ("hosts", "malcolm.example.org"),
            ("sessions", "true"),
            ("ca", ca.as_str()),
            ("user", "sensor"),
            ("opensearch_password", "hunter2 and more"),
            ("secret", "of the viewer"),
            ("tags", "plant"),
            ("node_name", "s7"),
            ("verify", "chain"),
        ];
        assert_eq!(browser.submit("/setup/collector", &collector).await.redirect(), "/setup/probe");
        let probe = browser.until("/setup/probe", |page| !page.body.contains("http-equiv=\"refresh\"")).await;
        assert!(probe.body.contains("the chain is good"), "{}", probe.body);
        let summary = browser.get("/setup/summary").await;
        for text in [
            "sensor-7",
            "192.0.2.7/24",
            "eth1",
            "not arp",
            "malcolm.example.org:5044",
            "https://malcolm.example.org:9200",
            "https://192.0.2.7:8443",
        ] {
            assert!(summary.body.contains(text), "{text} in {}", summary.body);
        }
        assert!(!summary.body.contains("hunter2") && !summary.body.contains("of the viewer"), "secrets are not shown");
        assert_eq!(browser.submit("/setup/summary", &[("action", "apply")]).await.redirect(), "/setup/apply");
        let job = browser.until("/setup/apply", |page| page.status.is_redirection()).await;
        assert_eq!(job.redirect(), "/setup/finished");
        assert!(browser.get("/setup/finished").await.body.contains("href=\"/\""));

        let settings = site.world().settings();
        assert_eq!(settings.capture.interfaces, ["eth1", "eth2"]);
        assert_eq!((settings.pcap.rotate_megabytes, settings.node.name.as_str(), settings.opensearch.user.as_str()), (512, "s7", "sensor"));
        let attached = site.world().attached();
        assert_eq!(attached["opensearch.password"], "hunter2 and more\n");
        assert_eq!((attached["viewer.secret"].as_str(), attached["certs/ca.crt"].as_str()), ("of the viewer\n", ca.as_str()));
        let log = std::fs::read_to_string(site.folder().join("audit.jsonl")).unwrap();
        assert!(log.contains("settings applied") && !log.contains("hunter2"), "{log}");
    }

    #[tokio::test]
    async fn what_was_said_stays_when_one_goes_back() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        browser.submit("/setup/network", &[("host_name", "sensor-7"), ("management", ""), ("address_mode", "dhcp")]).await;
        browser.submit("/setup/time", &[("time_servers", "time.example.org")]).await;
        assert!(browser.get("/setup/network").await.body.contains("value=\"sensor-7\""));
        assert!(browser.get("/setup/time").await.body.contains("time.example.org"));
        assert!(!site.world().is_configured(), "nothing is in force before the summary");
    }

    #[tokio::test]
    async fn nothing_of_the_setup_is_seen_without_the_code() {
        let site = Site::appliance().await;
        for step in crate::wizard::STEPS.iter().skip(1) {
            let mut browser = site.browser();
            assert_eq!(browser.get(step.path).await.redirect(), "/setup/code", "{}", step.path);
        }
    }
}
