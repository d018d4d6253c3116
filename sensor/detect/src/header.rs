//! The header of a rule: action, protocol, addresses, ports, direction.

use std::net::IpAddr;

use analyze::{Endpoint, FlowId, Network, Transport};

use crate::rule::Refused;

/// What a matching rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Alert,
    /// Would be dropped inline: here an alert whose action says so.
    Drop,
    /// What matches raises no alert of a later rule.
    Pass,
}

/// What a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Any,
    Transport(Transport),
    /// An application protocol by Zeek's name, and the transport if the rule names it.
    App(&'static str),
}

/// Addresses of one side.
#[derive(Clone, Debug)]
pub(crate) enum Addresses {
    Any,
    /// In one of the first and in none of the second; no first means all.
    Of(Vec<Network>, Vec<Network>),
}

/// Ports of one side.
#[derive(Clone, Debug)]
pub(crate) enum Ports {
    Any,
    Of(Vec<(u16, u16)>, Vec<(u16, u16)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) action: Action,
    pub(crate) protocol: Protocol,
    source: (Addresses, Ports),
    target: (Addresses, Ports),
    both_ways: bool,
}

/// Suricata's default HOME_NET.
const HOME_NET: &str = "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]";

impl Header {
    pub(crate) fn parse(text: &str) -> Result<Self, Refused> {
        let words = split_words(text);
        let [action, protocol, source, source_ports, direction, target, target_ports] = words.as_slice() else {
            return Err(Refused::Header);
        };
        Ok(Self {
            action: match *action {
                "alert" => Action::Alert,
                "drop" | "reject" | "rejectsrc" | "rejectdst" | "rejectboth" => Action::Drop,
                "pass" => Action::Pass,
                other => return Err(Refused::Unknown("action", other.to_owned())),
            },
            protocol: protocol_of(protocol)?,
            source: (addresses(source)?, ports(source_ports)?),
            target: (addresses(target)?, ports(target_ports)?),
            both_ways: match *direction {
                "->" | "=>" => false,
                "<>" => true,
                other => return Err(Refused::Unknown("direction", other.to_owned())),
            },
        })
    }

    /// Whether something sent from `src` to `dst` is meant.
    pub(crate) fn matches(&self, id: &FlowId, src: Endpoint, dst: Endpoint, services: &[&'static str]) -> bool {
        let protocol = match self.protocol {
            Protocol::Any => true,
            Protocol::Transport(transport) => transport == id.transport,
            Protocol::App(name) => services.contains(&name),
        };
        let way = |a: Endpoint, b: Endpoint| side(&self.source, a) && side(&self.target, b);
        protocol && (way(src, dst) || (self.both_ways && way(dst, src)))
    }
}

fn side((addresses, ports): &(Addresses, Ports), end: Endpoint) -> bool {
    let address = match addresses {
        Addresses::Any => true,
        Addresses::Of(within, without) => {
            let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(end.addr));
            (within.is_empty() || is_in(within)) && !is_in(without)
        }
    };
    let port = match ports {
        Ports::Any => true,
        Ports::Of(within, without) => {
            let is_in = |ranges: &[(u16, u16)]| ranges.iter().any(|(low, high)| (*low..=*high).contains(&end.port));
            (within.is_empty() || is_in(within)) && !is_in(without)
        }
    };
    address && port
}

/// Words, where brackets hold lists together.
fn split_words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut depth, mut start) = (0i32, None);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if c.is_whitespace() && depth <= 0 {
            if let Some(from) = start.take() {
                words.extend(text.get(from..at));
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    words.extend(start.and_then(|from| text.get(from..)));
    words
}

fn protocol_of(text: &str) -> Result<Protocol, Refused> {
    Ok(match text {
        "ip" | "ipv4" | "ip4" | "ipv6" | "ip6" | "any" => Protocol::Any,
        "tcp" | "tcp-stream" | "tcp-pkt" => Protocol::Transport(Transport::Tcp),
        "udp" => Protocol::Transport(Transport::Udp),
        "icmp" | "icmpv4" | "icmpv6" => Protocol::Transport(Transport::Icmp),
        "http" | "http1" => Protocol::App("http"),
        "dns" => Protocol::App("dns"),
        "tls" | "ssl" => Protocol::App("ssl"),
        "ssh" => Protocol::App("ssh"),
        "smtp" => Protocol::App("smtp"),
        "ldap" => Protocol::App("ldap"),
        "quic" => Protocol::App("quic"),
        other => return Err(Refused::Unsupported(format!("protocol {other}"))),
    })
}

fn addresses(text: &str) -> Result<Addresses, Refused> {
    if text == "any" {
        return Ok(Addresses::Any);
    }
    let (mut within, mut without) = (Vec::new(), Vec::new());
    collect(text, false, &mut |item, negated| {
        let list = if negated { &mut without } else { &mut within };
        list.push(network(item)?);
        Ok(())
    })?;
    Ok(Addresses::Of(within, without))
}

fn ports(text: &str) -> Result<Ports, Refused> {
    if text == "any" {
        return Ok(Ports::Any);
    }
    let (mut within, mut without) = (Vec::new(), Vec::new());
    collect(text, false, &mut |item, negated| {
        let list = if negated { &mut without } else { &mut within };
        let bad = || Refused::Unknown("port", item.to_owned());
        let number = |text: &str, default: u16| if text.is_empty() { Ok(default) } else { text.parse().map_err(|_| bad()) };
        list.push(match item.split_once(':') {
            Some((low, high)) => (number(low, 0)?, number(high, u16::MAX)?),
            None => {
                let port = item.parse().map_err(|_| bad())?;
                (port, port)
            }
        });
        Ok(())
    })?;
    Ok(Ports::Of(within, without))
}

/// Walks a list in brackets, with negations and variables, down to its items.
fn collect(text: &str, negated: bool, take: &mut dyn FnMut(&str, bool) -> Result<(), Refused>) -> Result<(), Refused> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('!') {
        return collect(rest, !negated, take);
    }
    if let Some(name) = text.strip_prefix('$') {
        let value = variable(name).ok_or_else(|| Refused::Unknown("variable", name.to_owned()))?;
        return collect(value, negated, take);
    }
    let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return if text == "any" { Ok(()) } else { take(text, negated) };
    };
    let (mut depth, mut from) = (0i32, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                collect(inner.get(from..at).unwrap_or_default(), negated, take)?;
                from = at + 1;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The values of suricata.yaml as it is shipped.
fn variable(name: &str) -> Option<&'static str> {
    Some(match name {
        "HOME_NET" | "HTTP_SERVERS" | "SMTP_SERVERS" | "SQL_SERVERS" | "DNS_SERVERS" | "TELNET_SERVERS" | "DC_SERVERS" | "DNP3_SERVER"
        | "DNP3_CLIENT" | "MODBUS_CLIENT" | "MODBUS_SERVER" | "ENIP_CLIENT" | "ENIP_SERVER" | "AIM_SERVERS" => HOME_NET,
        "EXTERNAL_NET" => "![192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]",
        "HTTP_PORTS" => "80",
        "SHELLCODE_PORTS" => "!80",
        "ORACLE_PORTS" => "1521",
        "SSH_PORTS" => "22",
        "DNP3_PORTS" => "20000",
        "MODBUS_PORTS" => "502",
        "FILE_DATA_PORTS" => "[80,110,143]",
        "FTP_PORTS" => "21",
        "GENEVE_PORTS" => "6081",
        "VXLAN_PORTS" => "4789",
        "TEREDO_PORTS" => "3544",
        _ => return None,
    })
}

fn network(text: &str) -> Result<Network, Refused> {
    let bad = || Refused::Unknown("address", text.to_owned());
    match text.split_once('/') {
        Some((addr, bits)) => Ok(Network::new(addr.parse().map_err(|_| bad())?, bits.parse().map_err(|_| bad())?)),
        None => {
            let addr: IpAddr = text.parse().map_err(|_| bad())?;
            Ok(Network::new(addr, if addr.is_ipv4() { 32 } else { 128 }))
        }
    }
}
