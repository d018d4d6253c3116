//! Where packages come from: the mirrors that the host's apt is set up for, if they are Debian's, else Debian's own.

use std::process::Command;

/// The public archive, as Debian's documentation names it.
const PUBLIC: &str = "http://deb.debian.org/debian/";

/// The same for security updates.
const PUBLIC_SECURITY: &str = "http://deb.debian.org/debian-security/";

/// Mirrors to build from; no part of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrors {
    /// Packages.
    pub(crate) archive: String,
    /// Security updates.
    pub(crate) security: String,
    /// An HTTP proxy, if apt uses one.
    pub(crate) proxy: Option<String>,
}

impl Mirrors {
    /// TENREC_MIRROR and TENREC_SECURITY_MIRROR, else what the host's apt uses, else the public ones.
    pub(crate) fn find() -> Self {
        // Covers one-line and deb822 sources alike.
        let targets = said(Command::new("apt-get").args(["indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"]));
        let proxy = said(Command::new("apt-config").args(["shell", "proxy", "Acquire::http::Proxy"]));
        let mut mirrors = from_targets(&targets);
        mirrors.proxy = proxy_in(&proxy);
        if let Ok(given) = std::env::var("TENREC_MIRROR") {
            mirrors.archive = given;
        }
        if let Ok(given) = std::env::var("TENREC_SECURITY_MIRROR") {
            mirrors.security = given;
        }
        mirrors
    }

    /// Names that must not be found in the image: hosts that are not the public archive's.
    pub(crate) fn private_hosts(&self) -> Vec<String> {
        let public = host(PUBLIC);
        let mut hosts: Vec<String> = [Some(&self.archive), Some(&self.security), self.proxy.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|url| host(url))
            .filter(|host| Some(host) != public.as_ref() && host != "security.debian.org")
            .collect();
        hosts.dedup();
        hosts
    }
}

fn from_targets(targets: &str) -> Mirrors {
    let with_label = |wanted: &str| {
        targets.lines().filter_map(|line| line.split_once('|')).find(|(label, _)| *label == wanted).map(|(_, uri)| uri.to_owned())
    };
    Mirrors {
        archive: with_label("Debian").unwrap_or_else(|| PUBLIC.to_owned()),
        security: with_label("Debian-Security").unwrap_or_else(|| PUBLIC_SECURITY.to_owned()),
        proxy: None,
    }
}

/// `proxy='http://host:3142/'`, as apt-config prints for a shell.
fn proxy_in(line: &str) -> Option<String> {
    let value = line.trim().strip_prefix("proxy='")?.strip_suffix('\'')?;
    (!value.is_empty() && value != "DIRECT").then(|| value.to_owned())
}

fn host(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

/// What a program says; nothing if it is not there (a host without apt).
fn said(command: &mut Command) -> String {
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirrors_of_a_debian_host_are_taken_and_kept_out_of_the_image() {
        let mirrors = from_targets(
            "Debian|http://mirror.example.org/debian/\nDebian-Security|http://mirror.example.org/debian-security/\nOther|http://other/\n",
        );
        assert_eq!(mirrors.archive, "http://mirror.example.org/debian/");
        assert_eq!(mirrors.security, "http://mirror.example.org/debian-security/");
        assert_eq!(mirrors.private_hosts(), ["mirror.example.org"]);
    }

    #[test]
    fn a_host_that_is_not_debian_builds_from_the_public_archive() {
        let mirrors = from_targets("Ubuntu|http://archive.ubuntu.com/ubuntu/\n");
        assert_eq!((mirrors.archive.as_str(), mirrors.security.as_str()), (PUBLIC, PUBLIC_SECURITY));
        assert!(mirrors.private_hosts().is_empty());
    }

    #[test]
    fn apts_proxy_is_used_and_kept_out_of_the_image() {
        assert_eq!(proxy_in("proxy='http://cache.example.org:3142/'\n").as_deref(), Some("http://cache.example.org:3142/"));
        assert_eq!(proxy_in(""), None);
        assert_eq!(host("http://user@cache.example.org:3142/x").as_deref(), Some("cache.example.org"));
    }
}
