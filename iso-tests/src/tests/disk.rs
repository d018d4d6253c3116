//! The appliance on a disk.

use std::io::Read as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::ensure;

use super::first_boot::send;
use crate::central::Central;
use crate::guest::{Firmware, Guest, Plan};
use crate::lab::Lab;
use crate::{provision, stick, traffic};

const SERIAL: &str = "TENREC-ISO-1";
const INSTALL: Duration = Duration::from_secs(900);
const DELIVERY: Duration = Duration::from_secs(300);

/// Installs, starts from the disk, and is set up without anyone's hand.
pub(super) fn unattended_install(lab: &Lab) -> anyhow::Result<()> {
    let central = Central::start(&lab.folder)?;
    let disk = lab.disk("disk", 16)?;
    let settings = provision::settings(&central)?;
    let boot = format!("set default=unattended\nset tenrec_disk=serial:{SERIAL}\n");
    let set = stick::with_files(lab, &[("tenrec-boot.cfg", &boot), ("tenrec-settings.toml", &settings)])?;
    let mut installer = Plan::new(lab, "installer").disk(&disk, SERIAL).disk(&set, "STICK").start()?;
    installer.or_screenshot(|guest| guest.wait_for_end(INSTALL))?;
    drop(installer);

    let mut sensor = installed(lab, "installed", &disk, &central)?;
    sensor.wait_for_web()?;
    ensure!(!sensor.console.text().contains("Setup code"), "a provisioned sensor asks for no setup");
    talk(&sensor, 0)?;
    central.wait_for_line("http", &["/page-0"], DELIVERY)?;
    sensor.power_off()?;

    // Nobody answers at the collector's address: records wait on the disk.
    let mut alone = Plan::new(lab, "alone").without_medium().disk(&disk, SERIAL).start()?;
    alone.wait_for_web()?;
    for number in 1..=20 {
        talk(&alone, number)?;
    }
    // The spool promises what is a second old; the flows need some seconds to end.
    std::thread::sleep(Duration::from_secs(30));
    talk(&alone, 900)?;
    alone.pull_the_plug();

    let mut again = installed(lab, "again", &disk, &central)?;
    again.wait_for_web()?;
    for number in 1..=20 {
        central.wait_for_line("http", &[&format!("/page-{number}\\\"")], DELIVERY)?;
    }
    again.power_off()
}

pub(super) fn refuses_without_exactly_one_disk(lab: &Lab) -> anyhow::Result<()> {
    let disk = lab.disk("disk", 16)?;
    let set = stick::with_files(lab, &[("tenrec-boot.cfg", "set default=unattended\nset tenrec_disk=serial:NO-SUCH-DISK\n")])?;
    let mut guest = Plan::new(lab, "refused").disk(&disk, SERIAL).disk(&set, "STICK").start()?;
    guest.or_screenshot(|guest| guest.console.wait_for("NO-SUCH-DISK", INSTALL))?;
    guest.wait_for_web()?;
    let mut beginning = vec![0; 1 << 20];
    std::fs::File::open(&disk)?.read_exact(&mut beginning)?;
    ensure!(beginning.iter().all(|byte| *byte == 0), "something was written to a disk that was not named");
    Ok(())
}

fn installed(lab: &Lab, name: &str, disk: &std::path::Path, central: &Central) -> anyhow::Result<Guest> {
    let plan = Plan::new(lab, name).firmware(Firmware::Bios).without_medium().disk(disk, SERIAL);
    plan.reaches(5044, central.logs).reaches(9200, central.sessions).start()
}

fn talk(sensor: &Guest, number: u16) -> anyhow::Result<()> {
    send(sensor, &traffic::dns(number, "www.example.org", Ipv4Addr::new(198, 51, 100, 20)))?;
    send(sensor, &traffic::http(number, "www.example.org", &format!("/page-{number}"), "text/html", b"<!doctype html><title>page</title>"))
}
