//! The network interfaces, as the kernel tells of them.

use std::fs;
use std::net::IpAddr;

use settings::appliance::Interface;

use crate::places::{Places, read_trimmed};

/// ARPHRD_ETHER of linux/if_arp.h.
const ETHERNET: &str = "1";

/// A wired network port of this machine. Bridges, tunnels, loopback and radio are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Port {
    /// Name.
    pub(crate) name: String,
    /// MAC address.
    pub(crate) mac: String,
    /// The kernel's number of it: ports are told apart by it, in the order in which they were found.
    pub(crate) index: u32,
    /// Whether there is a link. Only an interface that is up can tell.
    pub(crate) carrier: bool,
}

/// All ports, in the order of the kernel.
pub(crate) fn ports(places: &Places) -> Vec<Port> {
    let Ok(entries) = fs::read_dir(places.at("/sys/class/net")) else { return Vec::new() };
    let mut ports: Vec<Port> = entries
        .flatten()
        .filter_map(|entry| {
            let at = entry.path();
            let is_wired = read_trimmed(&at.join("type")) == ETHERNET && at.join("device").exists() && !at.join("phy80211").exists();
            is_wired.then(|| Port {
                name: entry.file_name().to_string_lossy().into_owned(),
                mac: read_trimmed(&at.join("address")),
                index: number(&at.join("ifindex")),
                carrier: read_trimmed(&at.join("carrier")) == "1",
            })
        })
        .collect();
    ports.sort_by_key(|port| port.index);
    ports
}

/// What the operator is shown of each port.
pub(crate) fn describe(places: &Places, management: &str) -> Vec<Interface> {
    let addresses = addresses();
    let mut interfaces: Vec<Interface> = ports(places)
        .into_iter()
        .map(|port| {
            let at = places.at("/sys/class/net").join(&port.name);
            let counter = |name: &str| number(&at.join("statistics").join(name));
            Interface {
                driver: fs::read_link(at.join("device/driver"))
                    .ok()
                    .and_then(|driver| driver.file_name().map(|name| name.to_string_lossy().into_owned()))
                    .unwrap_or_default(),
                // -1 where it is not known, and an error where the interface is down.
                speed: number(&at.join("speed")),
                carrier: port.carrier,
                addresses: addresses.iter().filter(|(name, _)| *name == port.name).map(|(_, address)| address.clone()).collect(),
                management: port.name == management,
                packets: counter("rx_packets"),
                bytes: counter("rx_bytes"),
                dropped: counter("rx_dropped") + counter("rx_missed_errors") + counter("rx_errors"),
                name: port.name,
                mac: port.mac,
            }
        })
        .collect();
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    interfaces
}

/// Every address with its prefix length, by interface name; link-local IPv6 last, since nobody types it.
pub(crate) fn addresses() -> Vec<(String, String)> {
    let mut found: Vec<(String, IpAddr, u8)> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .map(|interface| {
            let prefix = match &interface.addr {
                if_addrs::IfAddr::V4(v4) => v4.prefixlen,
                if_addrs::IfAddr::V6(v6) => v6.prefixlen,
            };
            (interface.name.clone(), interface.ip(), prefix)
        })
        .collect();
    found.sort_by_key(|(_, address, _)| match address {
        IpAddr::V4(v4) => (u8::from(v4.is_link_local()), *address),
        IpAddr::V6(v6) => (if v6.is_unicast_link_local() { 3 } else { 2 }, *address),
    });
    found.into_iter().map(|(name, address, prefix)| (name, format!("{address}/{prefix}"))).collect()
}

/// The default gateway, IPv4 before IPv6; empty for none.
pub(crate) fn gateway(places: &Places) -> String {
    gateway_v4(&places.read("/proc/net/route")).or_else(|| gateway_v6(&places.read("/proc/net/ipv6_route"))).unwrap_or_default()
}

/// `Iface Destination Gateway Flags …`: numbers are hexadecimal, addresses in the machine's order of bytes.
fn gateway_v4(table: &str) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (destination, gateway) = (fields.next()?, fields.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        (destination == "00000000").then(|| std::net::Ipv4Addr::from(gateway.to_ne_bytes()).to_string())
    })
}

/// `destination length source length gateway metric … interface`: addresses are 32 hexadecimal digits.
fn gateway_v6(table: &str) -> Option<String> {
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (destination, length, gateway) = (fields.first()?, fields.get(1)?, fields.get(4)?);
        let gateway = u128::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        (*length == "00" && destination.bytes().all(|byte| byte == b'0')).then(|| std::net::Ipv6Addr::from(gateway).to_string())
    })
}

fn number<T: std::str::FromStr + Default>(path: &std::path::Path) -> T {
    read_trimmed(path).parse().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A port in a made-up /sys.
    pub(crate) fn port(places: &Places, name: &str, index: u32, carrier: bool) {
        let at = places.at("/sys/class/net").join(name);
        fs::create_dir_all(at.join("device")).unwrap();
        fs::create_dir_all(at.join("statistics")).unwrap();
        for (file, text) in [
            ("type", "1\n".to_owned()),
            ("address", format!("02:00:00:00:00:{index:02x}\n")),
            ("ifindex", format!("{index}\n")),
            ("carrier", format!("{}\n", u8::from(carrier))),
            ("speed", "1000\n".to_owned()),
            ("statistics/rx_packets", "7\n".to_owned()),
            ("statistics/rx_dropped", "1\n".to_owned()),
            ("statistics/rx_errors", "2\n".to_owned()),
        ] {
            fs::write(at.join(file), text).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_wired_hardware_in_the_order_of_the_kernel() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        testing::port(&places, "enp2s0", 3, true);
        testing::port(&places, "enp3s0", 2, false);
        testing::port(&places, "wlan0", 4, true);
        fs::create_dir(places.at("/sys/class/net/wlan0/phy80211")).unwrap();
        testing::port(&places, "lo", 1, true);
        fs::remove_dir(places.at("/sys/class/net/lo/device")).unwrap();
        assert_eq!(ports(&places).iter().map(|port| port.name.as_str()).collect::<Vec<_>>(), ["enp3s0", "enp2s0"]);
        let shown = describe(&places, "enp2s0");
        assert_eq!((shown[0].name.as_str(), shown[0].management, shown[0].speed), ("enp2s0", true, 1000));
        assert_eq!((shown[0].packets, shown[0].dropped, shown[0].carrier), (7, 3, true));
    }

    #[test]
    fn the_gateway_is_the_default_route_s() {
        let table = "Iface\tDestination\tGateway \tFlags\neth0\t0002A8C0\t00000000\t0001\neth0\t00000000\t0202A8C0\t0003\n";
        if cfg!(target_endian = "little") {
            assert_eq!(gateway_v4(table).as_deref(), Some("192.168.2.2"));
        }
        assert_eq!(gateway_v4(table.lines().next().unwrap()), None);
        let zero = "0".repeat(32);
        let table = format!("{zero} 00 {zero} 00 {zero} ffffffff lo\n{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 eth0\n");
        assert_eq!(gateway_v6(&table).as_deref(), Some("fe80::1"));
    }
}
