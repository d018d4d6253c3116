//! What `tenrec-web` refuses to start with.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use assert_cmd::Command;

fn refused(arguments: &[&str]) -> String {
    let settings = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tenrec-web"));
    let output =
        command.args(arguments).arg("--settings").arg(settings.path()).timeout(std::time::Duration::from_secs(20)).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn without_a_login_it_serves_this_machine_alone() {
    assert!(refused(&["--open", "--listen", "0.0.0.0:0"]).contains("loopback"));
}

#[test]
fn without_a_certificate_it_serves_this_machine_alone() {
    assert!(refused(&["--listen", "0.0.0.0:0"]).contains("web.certificate"));
}

#[test]
fn the_appliance_is_never_open() {
    assert!(refused(&["--open", "--appliance"]).contains("cannot be used with"));
}
