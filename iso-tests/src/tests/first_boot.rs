//! The first boot, from power-on to records at the collector.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::browser::Browser;
use crate::central::Central;
use crate::guest::{Firmware, Guest, Plan};
use crate::https;
use crate::lab::Lab;
use crate::traffic::{self, MARKER};
use crate::wizard::{self, Answers};

/// For records to come all the way: flows end first, and the guest is slow.
const DELIVERY: Duration = Duration::from_secs(300);

pub(super) fn bios_boot_wizard_and_forwarding(lab: &Lab) -> anyhow::Result<()> {
    let central = Central::start(&lab.folder)?;
    let mut sensor = Plan::new(lab, "sensor").reaches(5044, central.logs).reaches(9200, central.sessions).start()?;
    let (_, fingerprint) = sensor.wait_for_web()?;
    let code = setup_code(&sensor, &fingerprint)?;
    sensor.screenshot("console")?;

    let mut browser = Browser::start(lab, true)?;
    let answers = Answers::towards(&central, &code);
    sensor.or_screenshot(|sensor| wizard::go_through(&mut browser, sensor, &answers))?;

    let page = b"<!doctype html><title>page</title>".to_vec();
    let marked = format!("<!doctype html><p>{MARKER}</p>").into_bytes();
    for number in 0..20 {
        send(&sensor, &traffic::dns(number, "www.example.org", Ipv4Addr::new(198, 51, 100, 20)))?;
        send(&sensor, &traffic::http(number, "www.example.org", "/page", "text/html", &page))?;
    }
    send(&sensor, &traffic::http(500, "www.example.org", "/marked", "text/html", &marked))?;

    central.wait_for_line("http", &["/marked", "iso-tests"], DELIVERY)?;
    central.wait_for_line("dns", &["www.example.org"], DELIVERY)?;
    central.wait_for_line("conn", &["192.0.2.10"], DELIVERY)?;
    central.wait_for_line("filescan", &["Tenrec_Demo_Marker"], DELIVERY)?;
    central.wait_for_line("arkime_sessions3-", &["www.example.org", wizard::NODE], DELIVERY)?;

    let status = browser_status(&mut browser, &sensor)?;
    ensure!(status.contains("xdp-native"), "XDP is not attached natively: the status page says {status}");
    ensure!(status.contains("holds"), "frames are not accounted for: the status page says {status}");
    Ok(())
}

pub(super) fn secure_boot_reaches_the_wizard(lab: &Lab) -> anyhow::Result<()> {
    let mut sensor = Plan::new(lab, "secure").firmware(Firmware::SecureBoot).start()?;
    let (_, fingerprint) = sensor.wait_for_web()?;
    setup_code(&sensor, &fingerprint)?;
    sensor.screenshot("console")?;
    let answer = https::get(sensor.web, "/setup/code", None)?;
    ensure!(answer.status == 200, "/setup/code answers {}: {}", answer.status, answer.body);
    Ok(())
}

/// The code that the console shows, which also shows the certificate that the browser will see.
pub(super) fn setup_code(sensor: &Guest, fingerprint: &str) -> anyhow::Result<String> {
    let code = sensor.console.wait_for_after("Setup code", Duration::from_secs(60))?;
    let code = code.trim_start_matches([':', ' ']).to_owned();
    let shown: String = sensor.console.text().chars().filter(char::is_ascii_hexdigit).collect();
    let digits = fingerprint.replace(':', "");
    ensure!(shown.to_ascii_uppercase().contains(&digits), "the console does not show the fingerprint {fingerprint}");
    Ok(code)
}

pub(super) fn send(sensor: &Guest, frames: &[Vec<u8>]) -> anyhow::Result<()> {
    for frame in frames {
        sensor.capture.send(frame)?;
        // 400 frames a second: more than an emulated machine's port has room for would be lost before the sensor.
        std::thread::sleep(Duration::from_micros(2500));
    }
    Ok(())
}

fn browser_status(browser: &mut Browser, sensor: &Guest) -> anyhow::Result<String> {
    browser.open(&sensor.url("/"))?;
    browser.wait_for_text("packets analysed", Duration::from_secs(60)).context("the status page")?;
    browser.screenshot("status")?;
    browser.text()
}
