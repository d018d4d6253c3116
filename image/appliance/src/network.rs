//! Which interface is the management interface, and what systemd-networkd is told about it and about all others.
//!
//! Nothing under /etc is written: the files are in /run and are made anew at each start. Every port that is not the management
//! interface gets no address, no DHCP, no IPv6 and says nothing by itself.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use settings::{InterfaceAddress, System};

use crate::files::{self, Access};
use crate::interfaces::Port;
use crate::places::Places;
use crate::program::Program;

/// networkd takes the first file that matches, by name.
const MANAGEMENT_FILE: &str = "/run/systemd/network/10-tenrec-management.network";
const CAPTURE_FILE: &str = "/run/systemd/network/20-tenrec-capture.network";

/// The port by which the web UI is reached. By name or MAC address where it is set; else the first with a link, or the first
/// at all, but never one that is captured from.
pub(crate) fn management<'a>(ports: &'a [Port], wanted: &str, captured: &[String]) -> Option<&'a Port> {
    if !wanted.is_empty() {
        return ports.iter().find(|port| port.name == wanted || port.mac.eq_ignore_ascii_case(wanted));
    }
    let mut free = ports.iter().filter(|port| !captured.contains(&port.name));
    free.clone().find(|port| port.carrier).or_else(|| free.next())
}

/// The machine's name where none is set: `tenrec-` with the end of the management interface's MAC address.
pub(crate) fn host_name(system: &System, management: Option<&Port>) -> String {
    if !system.host_name.is_empty() {
        return system.host_name.clone();
    }
    let mac: String = management.map(|port| port.mac.replace(':', "")).unwrap_or_default();
    match mac.get(6..12) {
        Some(end) => format!("tenrec-{end}"),
        None => "tenrec".to_owned(),
    }
}

/// What networkd is told of the management interface.
pub(crate) fn management_network(system: &System, port: &Port) -> String {
    let mut text = format!("# By tenrec-appliance, from [system] of the settings.\n[Match]\nName={}\n", port.name);
    text.push_str("\n[Link]\nRequiredForOnline=no\n\n[Network]\n");
    match system.address {
        // systemd.network(5): an IPv4 link-local address is taken when DHCP was without success for some time.
        InterfaceAddress::Dhcp => text.push_str("DHCP=yes\nLinkLocalAddressing=yes\n"),
        InterfaceAddress::Fixed { address, prefix } => {
            let _ = writeln!(text, "DHCP=no\nLinkLocalAddressing=ipv6\nAddress={address}/{prefix}");
            if let Some(gateway) = system.gateway {
                let _ = writeln!(text, "Gateway={gateway}");
            }
        }
    }
    for server in &system.name_servers {
        let _ = writeln!(text, "DNS={server}");
    }
    text.push_str("IPv6AcceptRA=yes\nLLDP=no\nEmitLLDP=no\nLLMNR=no\nMulticastDNS=no\n");
    // A server's own names and times do not rename the sensor, and give way to those that are set.
    let own = |set: bool| if set { "no" } else { "yes" };
    let (dns, ntp) = (own(!system.name_servers.is_empty()), own(!system.time_servers.is_empty()));
    let _ = write!(text, "\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\nUseDNS={dns}\nUseNTP={ntp}\n");
    let _ = write!(text, "\n[DHCPv6]\nUseHostname=no\nUseDNS={dns}\nUseNTP={ntp}\n\n[IPv6AcceptRA]\nUseDNS={dns}\n");
    text
}

/// What networkd is told of all other ports: up, and silent.
const CAPTURE_NETWORK: &str = "\
# By tenrec-appliance: what is not the management interface listens and says nothing.
[Match]
Type=ether
Kind=!*

[Link]
RequiredForOnline=no
ActivationPolicy=up
ARP=no
Multicast=no

[Network]
DHCP=no
LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=no
EmitLLDP=no
LLMNR=no
MulticastDNS=no
";

/// Puts it in force; whether anything changed.
///
/// # Errors
/// When the files cannot be written, or networkd does not take them.
pub(crate) fn apply(places: &Places, system: &System, ports: &[Port], management: Option<&Port>) -> anyhow::Result<bool> {
    sysctls(places, ports, management);
    let text = management.map(|port| management_network(system, port));
    let mut changed = replace(places, CAPTURE_FILE, Some(CAPTURE_NETWORK)).context("cannot write the network's files")?;
    changed |= replace(places, MANAGEMENT_FILE, text.as_deref()).context("cannot write the network's files")?;
    Ok(changed)
}

/// Tells networkd that its files changed. Before it runs there is nothing to tell.
pub(crate) fn reload() -> anyhow::Result<()> {
    let state = Program::new("systemctl").args(["show", "--property=ActiveState", "--value", "systemd-networkd.service"]).run();
    // While it is starting it has read its files already, and answers as soon as it is up.
    if !state.is_ok_and(|state| matches!(state.trim(), "active" | "activating" | "reloading")) {
        return Ok(());
    }
    Program::new("networkctl").arg("reload").within(Duration::from_secs(20)).run().context("systemd-networkd does not take its files")?;
    Ok(())
}

/// Brings ports up, so that they can tell whether there is a link: networkd is not there yet at the first start.
pub(crate) fn bring_up(ports: &[Port]) {
    for port in ports {
        if let Err(error) = Program::new("ip").args(["link", "set", "dev", &port.name, "up"]).run() {
            tracing::warn!(interface = port.name, %error, "cannot bring the interface up");
        }
    }
}

/// IPv6 is off on every port but the management interface, whatever else may configure one.
fn sysctls(places: &Places, ports: &[Port], management: Option<&Port>) {
    for port in ports {
        let off = management.is_none_or(|management| management.name != port.name);
        let path = places.at("/proc/sys/net/ipv6/conf").join(&port.name).join("disable_ipv6");
        // Without the file the kernel has no IPv6 at all.
        if let Err(error) = fs::write(path, if off { "1" } else { "0" })
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(interface = port.name, %error, "cannot switch IPv6 on or off");
        }
    }
}

/// Writes a file if it differs, removes it if there is no text; whether it changed.
fn replace(places: &Places, path: &str, text: Option<&str>) -> io::Result<bool> {
    let path = places.at(path);
    let before = fs::read_to_string(&path).ok();
    if before.as_deref() == text {
        return Ok(false);
    }
    match text {
        Some(text) => files::write(places, &path, text.as_bytes(), Access::PUBLIC)?,
        None => fs::remove_file(&path)?,
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, index: u32, carrier: bool) -> Port {
        Port { name: name.to_owned(), mac: format!("52:54:00:12:34:{index:02x}"), index, carrier }
    }

    fn system(text: &str) -> System {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_management_interface_is_the_first_with_a_link_that_is_not_captured_from() {
        let ports = [port("eth0", 1, false), port("eth1", 2, true), port("eth2", 3, true)];
        let name = |wanted: &str, captured: &[&str]| {
            let captured: Vec<String> = captured.iter().map(|name| (*name).to_owned()).collect();
            management(&ports, wanted, &captured).map(|port| port.name.clone()).unwrap_or_default()
        };
        assert_eq!(name("", &[]), "eth1");
        assert_eq!(name("", &["eth1"]), "eth2");
        assert_eq!(name("", &["eth1", "eth2"]), "eth0");
        assert_eq!(name("eth0", &[]), "eth0");
        assert_eq!(name("52:54:00:12:34:03", &[]), "eth2");
        assert_eq!(name("52:54:00:12:34:0A", &[]), "");
        assert_eq!(name("", &["eth0", "eth1", "eth2"]), "");
    }

    #[test]
    fn the_name_ends_with_the_mac_address_unless_it_is_set() {
        let port = port("eth0", 0xab, true);
        assert_eq!(host_name(&System::default(), Some(&port)), "tenrec-1234ab");
        assert_eq!(host_name(&system("host_name = \"gate-7\""), Some(&port)), "gate-7");
        assert_eq!(host_name(&System::default(), None), "tenrec");
    }

    #[test]
    fn dhcp_falls_back_to_a_link_local_address() {
        let text = management_network(&System::default(), &port("eth0", 1, true));
        assert!(text.contains("Name=eth0\n") && text.contains("DHCP=yes\nLinkLocalAddressing=yes\n"), "{text}");
        assert!(text.contains("UseDNS=yes\nUseNTP=yes\n"), "{text}");
    }

    #[test]
    fn a_fixed_address_has_its_gateway_and_name_servers_and_no_dhcp() {
        let system = system(
            "address = \"192.0.2.7/24\"\ngateway = \"192.0.2.1\"\nname_servers = [\"192.0.2.53\", \"2001:db8::53\"]\ntime_servers = [\"t\"]",
        );
        let text = management_network(&system, &port("eth0", 1, true));
        assert!(
            text.contains("DHCP=no\nLinkLocalAddressing=ipv6\nAddress=192.0.2.7/24\nGateway=192.0.2.1\nDNS=192.0.2.53\nDNS=2001:db8::53\n")
        );
        assert!(text.contains("UseDNS=no\nUseNTP=no\n"), "{text}");
    }

    #[test]
    fn files_are_written_once_and_ipv6_is_off_where_traffic_is_captured() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        let ports = [port("eth0", 1, true), port("eth1", 2, true)];
        for port in &ports {
            fs::create_dir_all(places.at("/proc/sys/net/ipv6/conf").join(&port.name)).unwrap();
        }
        assert!(apply(&places, &System::default(), &ports, ports.first()).unwrap());
        assert!(!apply(&places, &System::default(), &ports, ports.first()).unwrap());
        let off = |name: &str| places.read(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"));
        assert_eq!((off("eth0"), off("eth1")), ("0".to_owned(), "1".to_owned()));
        assert!(apply(&places, &System::default(), &ports, None).unwrap());
        assert!(!places.at(MANAGEMENT_FILE).exists());
    }
}
