//! An interface made fit for capturing, and made what it was afterwards.
//!
//! Offloads change what arrives: GRO and LRO glue segments together, VLAN stripping takes the tag away. They are turned
//! off while we capture. Promiscuity is asked for through a packet socket, which the kernel counts and undoes by itself
//! when the socket closes, so that it cannot be left behind.
//!
//! Putting offloads back needs CAP_NET_ADMIN, which the sensor no longer has when it stops: see `keeper`.

use std::{fs, io, os::fd::AsFd, os::fd::OwnedFd};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::capture::sys;

/// An interface of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
}

/// Why an interface cannot be captured from.
#[derive(Debug, Error)]
pub enum Error {
    /// There is none of that name.
    #[error("there is no interface {name:?}; this machine has {there}: correct capture.interfaces in tenrec.toml or PCAP_IFACE")]
    Missing {
        /// The name.
        name: String,
        /// Those that exist.
        there: String,
    },
    /// The kernel refused.
    #[error("cannot {act} {name}")]
    Refused {
        /// The name.
        name: String,
        /// What was tried.
        act: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Interface {
    /// Finds an interface.
    ///
    /// # Errors
    /// [`Error::Missing`], with the names of those that exist.
    pub fn find(name: &str) -> Result<Self, Error> {
        // The index comes by way of any socket; the name of the call's argument is checked by the kernel.
        let index = sys::control_socket()
            .ok()
            .and_then(|socket| rustix::net::netdevice::name_to_index(&socket, name).ok())
            .filter(|index| *index != 0);
        match index {
            Some(index) => Ok(Self { name: name.to_owned(), index }),
            None => Err(Error::Missing { name: name.to_owned(), there: names().join(", ") }),
        }
    }

    /// Whether it is switched on; true if the kernel does not say.
    pub fn is_up(&self) -> bool {
        let flags = fs::read_to_string(format!("/sys/class/net/{}/flags", self.name)).unwrap_or_default();
        let flags = flags.trim().strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
        flags.is_none_or(|flags| flags & 1 != 0)
    }
}

/// The interfaces of this network namespace, in the kernel's order.
pub fn names() -> Vec<String> {
    // Unlike /sys/class/net this is always the caller's namespace.
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect()
}

/// Frames that the card has lost since it came up: it had no room for them, or nobody fetched them in time.
pub fn nic_dropped(name: &str) -> u64 {
    let read = |counter| fs::read_to_string(format!("/sys/class/net/{name}/statistics/{counter}")).ok()?.trim().parse::<u64>().ok();
    ["rx_missed_errors", "rx_fifo_errors"].into_iter().filter_map(read).sum()
}

/// A switch of ethtool: its name and the commands that ask for and set it.
struct Switch {
    name: &'static str,
    ask: u32,
    set: u32,
    /// The bits of the value that are turned off; `!0` where the value is the switch.
    off: u32,
}

/// linux/ethtool.h. The two of the last line share a word of flags: large receive offload, VLAN tags taken off.
const SWITCHES: [Switch; 4] = [
    Switch { name: "gro", ask: 0x2b, set: 0x2c, off: !0 },
    Switch { name: "tso", ask: 0x1e, set: 0x1f, off: !0 },
    Switch { name: "gso", ask: 0x23, set: 0x24, off: !0 },
    Switch { name: "lro and rxvlan", ask: 0x25, set: 0x26, off: (1 << 15) | (1 << 8) },
];

/// What an interface's offloads were before they were turned off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offloads {
    /// Name of the interface.
    pub interface: String,
    /// Switches that were on: the name, the command that sets it, and the value that it had.
    pub were: Vec<(String, u32, u32)>,
}

/// Turns off what glues frames together or takes tags away, and returns what there was to put back. A switch that the
/// driver does not have, or does not let go of, is no reason not to capture: it is logged.
///
/// # Errors
/// [`Error::Refused`] if no socket can be made.
pub fn turn_offloads_off(interface: &Interface) -> Result<Offloads, Error> {
    let name = &interface.name;
    let refused = |source| Error::Refused { name: name.clone(), act: "make a socket to set up", source };
    let socket = sys::control_socket().map_err(refused)?;
    let mut offloads = Offloads { interface: name.clone(), were: Vec::new() };
    for switch in &SWITCHES {
        let Ok(value) = sys::ethtool(socket.as_fd(), name, switch.ask, 0) else { continue };
        if value & switch.off == 0 {
            continue;
        }
        match sys::ethtool(socket.as_fd(), name, switch.set, value & !switch.off) {
            Ok(_) => offloads.were.push((switch.name.to_owned(), switch.set, value)),
            Err(error) => {
                tracing::warn!(interface = %name, switch = switch.name, %error, "offload stays on: frames may arrive glued together")
            }
        }
    }
    Ok(offloads)
}

/// Puts back what [`turn_offloads_off`] found. What fails is logged and the rest still done: the interface may be gone.
pub fn put_back(offloads: &Offloads) {
    let Ok(socket) = sys::control_socket() else { return };
    for (switch, command, value) in offloads.were.iter().rev() {
        if let Err(error) = sys::ethtool(socket.as_fd(), &offloads.interface, *command, *value) {
            tracing::warn!(interface = %offloads.interface, %switch, %error, "offload could not be put back");
        }
    }
}

/// Makes an interface take every frame of its wire for as long as the returned socket is open.
///
/// # Errors
/// [`Error::Refused`], without CAP_NET_RAW.
pub fn promiscuous(interface: &Interface) -> Result<OwnedFd, Error> {
    let refused = |source| Error::Refused { name: interface.name.clone(), act: "listen to every frame of", source };
    let socket = sys::packet_socket().map_err(refused)?;
    let membership =
        libc::packet_mreq { mr_ifindex: interface.index as i32, mr_type: libc::PACKET_MR_PROMISC as u16, mr_alen: 0, mr_address: [0; 8] };
    sys::set_option(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, membership).map_err(refused)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_interface_is_told_with_those_that_exist() {
        let message = Interface::find("no-such-wire").unwrap_err().to_string();
        assert!(message.contains("no-such-wire") && message.contains("lo") && message.contains("PCAP_IFACE"), "{message}");
    }

    #[test]
    fn loopback_has_an_index() {
        assert!(Interface::find("lo").is_ok_and(|interface| interface.index > 0));
    }
}
