//! The units of the appliance, as they lie in the tree.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../live-build/config/includes.chroot/etc/systemd/system")
}

/// Services of ours.
fn services() -> Vec<PathBuf> {
    let mut services: Vec<PathBuf> = std::fs::read_dir(units())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("tenrec") && name.ends_with(".service")
        })
        .collect();
    services.sort();
    services
}

/// `systemd-analyze security` rates what a unit could do if it were taken over: 10 is everything, 3.0 its "OK".
#[test]
fn each_service_of_ours_is_exposed_to_3_0_at_most() {
    let services = services();
    assert!(services.len() >= 4, "the tree has the units {services:?} alone");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("SKIPPED: systemd-analyze is not here");
        return;
    }
    let mut exposed = Vec::new();
    for service in services {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=30", "--no-pager"])
            .arg(&service)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = said.lines().rev().find(|line| line.contains("Overall exposure")).unwrap_or_default().trim().to_owned();
        assert!(!verdict.is_empty(), "{}: {}", service.display(), String::from_utf8_lossy(&output.stderr));
        println!("{verdict}");
        if !output.status.success() {
            exposed.push(verdict);
        }
    }
    assert!(exposed.is_empty(), "{exposed:#?}");
}

/// Masks are symbolic links to /dev/null (systemd.unit(5)).
#[test]
fn no_console_offers_a_login() {
    let etc = units().join("../..");
    for unit in ["getty@", "serial-getty@", "autovt@", "console-getty", "container-getty@"] {
        let mask = units().join(format!("{unit}.service"));
        assert_eq!(std::fs::read_link(&mask).unwrap(), Path::new("/dev/null"), "{}", mask.display());
    }
    let generator = etc.join("systemd/system-generators/systemd-getty-generator");
    assert_eq!(std::fs::read_link(generator).unwrap(), Path::new("/dev/null"));
}

/// Files on the data partition keep their owners over updates.
#[test]
fn every_user_of_ours_has_a_fixed_number() {
    let users = std::fs::read_to_string(units().join("../../../usr/lib/sysusers.d/tenrec.conf")).unwrap();
    let mut numbers = Vec::new();
    for line in users.lines().filter(|line| line.starts_with("u ")) {
        let number: u32 = line.split_whitespace().nth(2).unwrap().parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!((800..900).contains(&number) && !numbers.contains(&number), "{line}");
        numbers.push(number);
    }
    assert!(numbers.len() >= 4);
}
