//! Time: which servers timesyncd follows, and how far the clock is off.
//!
//! SNTP is not authenticated: whoever sits on the way to the server can tell any time. The offset is shown to a person and
//! changes nothing.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rsntp::SntpClient;
use settings::appliance::Response;

use crate::files::{self, Access};
use crate::places::Places;
use crate::program::Program;

const DROP_IN: &str = "/run/systemd/timesyncd.conf.d/tenrec.conf";
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Puts the servers in force; none leaves those that DHCP names.
///
/// # Errors
/// When the file cannot be written, or timesyncd does not start again.
pub(crate) fn apply(places: &Places, servers: &[String]) -> anyhow::Result<()> {
    let path = places.at(DROP_IN);
    let text = drop_in(servers);
    if fs::read_to_string(&path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    files::write(places, &path, text.as_bytes(), Access::PUBLIC).context("cannot write timesyncd's file")?;
    // At the first start it has not begun yet, and reads the file when it does.
    Program::new("systemctl")
        .args(["try-restart", "systemd-timesyncd.service"])
        .within(Duration::from_secs(30))
        .run()
        .context("systemd-timesyncd does not start with these time servers")?;
    Ok(())
}

/// Debian's servers, which are compiled in, are asked by nobody who did not choose them: a sensor speaks with whom it is told.
fn drop_in(servers: &[String]) -> String {
    format!("# By tenrec-appliance, from [system] of the settings.\n[Time]\nNTP={}\nFallbackNTP=\n", servers.join(" "))
}

/// Asks a server how far this machine's clock is off.
///
/// # Errors
/// When it does not answer, or says that it has no time to give.
pub(crate) fn ask(server: &str) -> anyhow::Result<Response> {
    let is_name =
        !server.is_empty() && server.len() <= 253 && server.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte));
    if !is_name {
        bail!("{server:?} is neither a host name nor an address");
    }
    let mut client = SntpClient::new();
    client.set_timeout(PATIENCE);
    let answer = client
        .synchronize(server)
        .with_context(|| format!("the time server {server} gives no time: is the name right, and does UDP port 123 get through to it?"))?;
    let offset = answer.clock_offset();
    let seconds = offset.abs_as_std_duration().map(|duration| duration.as_secs_f64()).context("the answer's offset is out of range")?;
    let delay = answer.round_trip_delay().abs_as_std_duration().map(|duration| duration.as_secs_f64()).unwrap_or_default();
    Ok(Response::Clock { offset: if offset.signum() < 0 { -seconds } else { seconds }, delay, address: server.to_owned() })
}

/// The server in use, and whether the clock follows it.
pub(crate) fn status(places: &Places) -> (String, bool) {
    // timesyncd makes the file when it first set the clock.
    let synchronized = places.at("/run/systemd/timesync/synchronized").exists();
    let text = Program::new("timedatectl").args(["show-timesync", "--property=ServerName", "--value"]).run().unwrap_or_default();
    (text.trim().to_owned(), synchronized)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread;
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn no_server_is_asked_that_nobody_chose() {
        assert!(drop_in(&[]).ends_with("NTP=\nFallbackNTP=\n"));
        assert!(drop_in(&["a.example".to_owned(), "192.0.2.1".to_owned()]).contains("NTP=a.example 192.0.2.1\n"));
    }

    #[test]
    fn a_clock_that_is_ten_seconds_behind_is_told() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut question = [0; 48];
            let (_, peer) = socket.recv_from(&mut question).unwrap();
            socket.send_to(&answer(&question, 10), peer).unwrap();
        });
        // RFC 5905 appendix A: seconds since 1900 and their fraction.
        let Response::Clock { offset, .. } = ask(&format!("127.0.0.1:{port}")).unwrap() else { panic!("no clock") };
        assert!((9.0..11.0).contains(&offset), "{offset}");
    }

    #[test]
    fn what_is_no_name_is_refused_before_anything_is_sent() {
        for name in ["", "a b", "x/y", "$(id)"] {
            assert!(ask(name).unwrap_err().to_string().contains("neither"), "{name}");
        }
    }

    fn answer(question: &[u8; 48], ahead: u64) -> [u8; 48] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seconds = u32::try_from(now.as_secs() + 2_208_988_800 + ahead).unwrap().to_be_bytes();
        let mut answer = [0; 48];
        answer[0] = 0b00_100_100; // no warning, version 4, server
        answer[1] = 2; // stratum
        answer[24..32].copy_from_slice(&question[40..48]);
        for at in [16, 32, 40] {
            answer[at..at + 4].copy_from_slice(&seconds);
        }
        answer
    }
}
