//! What the packet filter lets in: the sets of /etc/nftables.conf, which is empty until this fills them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, ToSocketAddrs as _};

use anyhow::Context as _;
use settings::Settings;

use crate::program::Program;

/// Port of the web UI.
pub(crate) const WEB_PORT: u16 = 8443;
/// Port of SSH.
const SSH_PORT: u16 = 22;
/// Addresses of collectors at most: a name with more is not a collector's.
const MAX_ADDRESSES: usize = 64;

/// What is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Openings {
    /// The management interface; empty for none.
    pub(crate) management: String,
    /// Whether SSH is offered.
    pub(crate) ssh: bool,
    /// Who may ask the viewer for packets.
    pub(crate) collectors: BTreeSet<IpAddr>,
}

impl Openings {
    /// Puts them in force, all at once.
    ///
    /// # Errors
    /// When nft refuses.
    pub(crate) fn apply(&self) -> anyhow::Result<()> {
        Program::new("nft").args(["-f", "-"]).input(self.script()).run().context("the packet filter cannot be set")?;
        Ok(())
    }

    /// One transaction of nft: nothing is open in between that should not be.
    fn script(&self) -> String {
        let mut text = String::new();
        let mut set = |name: &str, elements: Vec<String>| {
            let _ = writeln!(text, "flush set inet tenrec {name}");
            if !elements.is_empty() {
                let _ = writeln!(text, "add element inet tenrec {name} {{ {} }}", elements.join(", "));
            }
        };
        // Quoted: an interface may be named like a word of nft.
        set("management", Some(&self.management).filter(|name| !name.is_empty()).map(|name| format!("\"{name}\"")).into_iter().collect());
        let mut services = vec![WEB_PORT.to_string()];
        if self.ssh {
            services.push(SSH_PORT.to_string());
        }
        set("services", services);
        let family = |v4: bool| self.collectors.iter().filter(|address| address.is_ipv4() == v4).map(ToString::to_string).collect();
        set("collectors", family(true));
        set("collectors6", family(false));
        text
    }
}

/// The addresses of the collectors that the settings name, as names resolve now.
pub(crate) fn collectors(settings: &Settings) -> BTreeSet<IpAddr> {
    let forward = settings.forward.hosts.iter().filter(|_| settings.forward.enabled);
    let sessions = settings.opensearch.hosts.iter().filter(|_| settings.opensearch.enabled).map(settings::Url::host);
    let mut addresses = BTreeSet::new();
    for host in forward.chain(sessions) {
        match (host.name(), host.port()).to_socket_addrs() {
            Ok(found) => addresses.extend(found.map(|address| address.ip().to_canonical())),
            Err(error) => tracing::warn!(host = host.name(), %error, "the collector's name has no address yet"),
        }
    }
    addresses.into_iter().take(MAX_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_replaced_in_one_transaction() {
        let openings = Openings {
            management: "eth0".to_owned(),
            ssh: true,
            collectors: ["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()].into(),
        };
        assert_eq!(
            openings.script(),
            "flush set inet tenrec management\nadd element inet tenrec management { \"eth0\" }\n\
             flush set inet tenrec services\nadd element inet tenrec services { 8443, 22 }\n\
             flush set inet tenrec collectors\nadd element inet tenrec collectors { 192.0.2.9 }\n\
             flush set inet tenrec collectors6\nadd element inet tenrec collectors6 { 2001:db8::9 }\n"
        );
        let closed = Openings::default().script();
        assert!(!closed.contains("add element inet tenrec management") && !closed.contains("22"), "{closed}");
    }

    #[test]
    fn collectors_are_those_that_are_used() {
        let parse = |text: &str| Settings::parse(text, std::path::Path::new("t"), |_| None).unwrap();
        let on = parse(
            "[forward]\nenabled = true\nverify = \"none\"\nhosts = [\"192.0.2.1:5044\"]\n\
             [opensearch]\nenabled = true\nverify = \"none\"\nhosts = [\"https://[2001:db8::1]:9200\"]\n",
        );
        assert_eq!(collectors(&on).into_iter().map(|a| a.to_string()).collect::<Vec<_>>(), ["192.0.2.1", "2001:db8::1"]);
        assert!(collectors(&parse("[forward]\nhosts = [\"192.0.2.1\"]\n")).is_empty());
    }
}
