//! Where packages come from: the mirrors of Debian that the host's apt is set up for, or that the environment names.

use std::process::Command;

use anyhow::bail;

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
    /// TENREC_MIRROR and TENREC_SECURITY_MIRROR, else what the host's apt uses.
    ///
    /// # Errors
    /// When neither names both archives: apt of another distribution does not.
    pub(crate) fn find() -> anyhow::Result<Self> {
        // Covers one-line and deb822 sources alike.
        let targets = said(Command::new("apt-get").args(["indextargets", "--format", "$(LABEL)|$(REPO_URI)", "Created-By: Packages"]));
        let proxy = said(Command::new("apt-config").args(["shell", "proxy", "Acquire::http::Proxy"]));
        let of = |variable: &str, label: &str| std::env::var(variable).ok().or_else(|| with_label(&targets, label));
        let (Some(archive), Some(security)) = (of("TENREC_MIRROR", "Debian"), of("TENREC_SECURITY_MIRROR", "Debian-Security")) else {
            bail!(
                "this machine's apt knows no archive of Debian and its security updates: on Debian run apt-get update once; elsewhere set TENREC_MIRROR and TENREC_SECURITY_MIRROR to the addresses of a mirror"
            );
        };
        Ok(Self { archive, security, proxy: proxy_in(&proxy) })
    }

    /// Names that must not be found in the image: hosts that are not the public archive's.
    pub(crate) fn private_hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = [Some(&self.archive), Some(&self.security), self.proxy.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|url| host(url))
            .filter(|host| !host.ends_with(".debian.org"))
            .collect();
        hosts.dedup();
        hosts
    }
}

/// The first archive with this label, of lines "label|address".
fn with_label(targets: &str, wanted: &str) -> Option<String> {
    targets.lines().filter_map(|line| line.split_once('|')).find(|(label, _)| *label == wanted).map(|(_, uri)| uri.to_owned())
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
        let targets =
            "Debian|http://mirror.example.org/debian/\nDebian-Security|http://mirror.example.org/debian-security/\nOther|http://other/\n";
        let of = |label| with_label(targets, label).unwrap();
        let mirrors = Mirrors { archive: of("Debian"), security: of("Debian-Security"), proxy: None };
        assert_eq!(mirrors.archive, "http://mirror.example.org/debian/");
        assert_eq!(mirrors.security, "http://mirror.example.org/debian-security/");
        assert_eq!(mirrors.private_hosts(), ["mirror.example.org"]);
    }

    #[test]
    fn a_host_that_is_not_debian_knows_no_mirror() {
        assert_eq!(with_label("Ubuntu|http://mirror.example.org/ubuntu/\n", "Debian"), None);
    }

    #[test]
    fn apts_proxy_is_used_and_kept_out_of_the_image() {
        assert_eq!(proxy_in("proxy='http://cache.example.org:3142/'\n").as_deref(), Some("http://cache.example.org:3142/"));
        assert_eq!(proxy_in(""), None);
        assert_eq!(host("http://user@cache.example.org:3142/x").as_deref(), Some("cache.example.org"));
    }
}
