//! The way back: the central viewer asks this sensor for packets. Nothing can be dialled from here, but what would keep the
//! viewer from being answered can be seen.

use settings::Settings;
use settings::appliance::{Link, Outcome};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{PATIENCE, Trial};

pub(super) async fn probe(settings: &Settings) -> Link {
    let node = &settings.node;
    let host = if node.host.is_empty() { &node.name } else { &node.host };
    let port = settings.viewer.listen.port();
    let mut trial = Trial::new("packets", format!("{host}:{port}"), &["settings", "name"]);
    let secret = match &settings.viewer.secret_file {
        _ if !settings.viewer.secret.is_empty() => Ok(()),
        None => {
            Err("there is no secret, so the central viewer gets no packets: set viewer.secret_file to a file with Arkime's passwordSecret"
                .to_owned())
        }
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Err(format!("{} is empty: put Arkime's passwordSecret into it", path.display())),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("cannot read {}: {error}: check viewer.secret_file", path.display())),
        },
    };
    match secret {
        Ok(()) => trial.good("there is a secret; only the central viewer can tell whether it is the same as its own"),
        Err(words) => trial.note(Outcome::Doubtful, words),
    }
    let found = timeout(PATIENCE, lookup_host((host.as_str(), port))).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(found)) => {
            found.map(|address| address.ip()).filter(|address| !address.is_loopback()).map(|address| address.to_string()).collect()
        }
        _ => Vec::new(),
    };
    if addresses.is_empty() {
        let words = format!(
            "the central viewer will ask at https://{host}:{port}, and that name is not known here: set node.host to the address of this sensor, or see to it that the collector knows the name"
        );
        trial.note(Outcome::Doubtful, words);
    } else {
        trial.good(format!("the central viewer will ask at https://{host}:{port} ({})", addresses.join(", ")));
    }
    trial.link
}
