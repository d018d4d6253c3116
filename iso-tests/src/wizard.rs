//! The first boot's wizard, clicked through as an operator would.

use std::time::Duration;

use anyhow::ensure;

use crate::browser::Browser;
use crate::central::{Central, PASSWORD, USER};
use crate::guest::{CAPTURE, CENTRAL, Guest};

/// The sensor's name at the collector.
pub(crate) const NODE: &str = "iso-test-sensor";

/// The administrator's password.
pub(crate) const ADMIN: &str = "correct horse battery staple";

/// How long a page of the emulated machine may take, and the work behind it.
const PAGE: Duration = Duration::from_secs(180);

/// What the operator knows.
pub(crate) struct Answers<'a> {
    pub(crate) central: &'a Central,
    pub(crate) code: String,
    /// Password for OpenSearch.
    pub(crate) password: String,
}

impl<'a> Answers<'a> {
    pub(crate) fn towards(central: &'a Central, code: &str) -> Self {
        Self { central, code: code.to_owned(), password: PASSWORD.to_owned() }
    }
}

/// From the setup code to a sensor that captures and delivers. Each page is kept as it looks before it is sent.
pub(crate) fn go_through(browser: &mut Browser, sensor: &Guest, answers: &Answers<'_>) -> anyhow::Result<()> {
    up_to_the_probe(browser, sensor, answers)?;
    browser.wait_for_text("Every link works", PAGE)?;
    browser.screenshot("probe")?;
    browser.open(&sensor.url("/setup/summary"))?;
    browser.screenshot("summary")?;
    let summary = browser.text()?;
    for expected in [NODE, CAPTURE, CENTRAL] {
        ensure!(summary.contains(expected), "the summary leaves out {expected}: {summary}");
    }
    ensure!(!summary.contains(PASSWORD), "the summary shows a password");
    press(browser, "apply")?;
    browser.wait_for_path("/setup/finished", PAGE)?;
    browser.screenshot("finished")
}

/// From the setup code to the page that tries the links.
pub(crate) fn up_to_the_probe(browser: &mut Browser, sensor: &Guest, answers: &Answers<'_>) -> anyhow::Result<()> {
    browser.open(&sensor.url("/"))?;
    browser.wait_for_path("/setup/code", PAGE)?;
    browser.screenshot("code")?;
    browser.fill("code", &answers.code)?;
    browser.click("main form button")?;

    browser.wait_for_path("/setup/password", PAGE)?;
    browser.fill("password", ADMIN)?;
    browser.fill("password_again", ADMIN)?;
    browser.screenshot("password")?;
    browser.click("main form button")?;

    browser.wait_for_path("/setup/network", PAGE)?;
    browser.fill("host_name", NODE)?;
    browser.screenshot("network")?;
    press(browser, "next")?;

    browser.wait_for_path("/setup/time", PAGE)?;
    browser.screenshot("time")?;
    press(browser, "next")?;

    browser.wait_for_path("/setup/interfaces", PAGE)?;
    browser.tick("interface", CAPTURE)?;
    browser.screenshot("interfaces")?;
    press(browser, "next")?;

    browser.wait_for_path("/setup/packets", PAGE)?;
    browser.screenshot("packets")?;
    press(browser, "next")?;

    browser.wait_for_path("/setup/files", PAGE)?;
    browser.select("carving", "all")?;
    browser.screenshot("files")?;
    press(browser, "next")?;

    browser.wait_for_path("/setup/collector", PAGE)?;
    let files = &answers.central.files;
    browser.fill("hosts", CENTRAL)?;
    browser.choose_file("ca_file", &files.ca)?;
    browser.choose_file("certificate_file", &files.client)?;
    browser.choose_file("key_file", &files.client_key)?;
    browser.fill("user", USER)?;
    browser.fill("opensearch_password", &answers.password)?;
    browser.fill("secret", "shared with the central viewer")?;
    browser.fill("node_name", NODE)?;
    browser.screenshot("collector")?;
    press(browser, "next")?;
    browser.wait_for_path("/setup/probe", PAGE)
}

/// The button of a form that does this.
fn press(browser: &Browser, action: &str) -> anyhow::Result<()> {
    browser.click(&format!("main form button[name='action'][value='{action}']"))
}
