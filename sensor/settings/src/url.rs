//! The address of an HTTP service: `https://host:port/path`, or less.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::values::{Host, as_text};

/// Where an OpenSearch is: whether it is encrypted, host and port, and what its paths begin with.
///
/// `host:port` and a bare host mean `https`. Without a port it is 9200 for a bare host, and what the scheme says
/// otherwise (443 or 80), as everywhere else on the web.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Url {
    encrypted: bool,
    host: Host,
    path: String,
}

impl Url {
    /// OpenSearch's port.
    pub const OPENSEARCH_PORT: u16 = 9200;

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What every path begins with: empty, or `/…` without a slash at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not an address of OpenSearch: write it like https://malcolm.example:9200 or malcolm.example:9200");
        let (encrypted, port, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, 443, rest),
            Some(("http", rest)) => (false, 80, rest),
            Some(_) => return Err(wrong()),
            None => (true, Self::OPENSEARCH_PORT, text),
        };
        if rest.contains('@') {
            return Err(
                "a user or a password does not belong into the address: set opensearch.user and opensearch.password_file".to_owned()
            );
        }
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = path.trim_end_matches('/');
        let is_path = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte));
        let host = Host::parse(host, port).ok_or_else(wrong)?;
        if is_path { Ok(Self { encrypted, host, path: path.to_owned() }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.encrypted { "https" } else { "http" }, self.host, self.path)
    }
}

as_text!(Url);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_port_and_path_are_filled_in_where_they_are_missing() {
        for (text, shown) in [
            ("malcolm", "https://malcolm:9200"),
            ("malcolm:9201", "https://malcolm:9201"),
            ("[2001:db8::1]", "https://[2001:db8::1]:9200"),
            ("https://malcolm", "https://malcolm:443"),
            ("https://malcolm/mapi/opensearch/", "https://malcolm:443/mapi/opensearch"),
            ("http://127.0.0.1:9200", "http://127.0.0.1:9200"),
            ("http://127.0.0.1", "http://127.0.0.1:80"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.to_string().parse::<Url>().unwrap(), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_a_password_is_not_repeated() {
        for text in ["", "ftp://a", "https://", "https://a:0", "https://a b", "https://a/x?y", "https://a/ü"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
        let said = "https://admin:hunter2@malcolm:9200".parse::<Url>().unwrap_err();
        assert!(!said.contains("hunter2") && said.contains("opensearch.password_file"), "{said}");
    }
}
