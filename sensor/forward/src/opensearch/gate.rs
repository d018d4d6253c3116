//! Whether a host is one that Arkime has set up: its template tells the version of the database.

use serde_json::Value;
use settings::Url;
use tracing::warn;

use super::client::{Broken, Client};
use super::lane::{Trouble, denied};

/// The newest fields that we write; Arkime 6 refuses databases older than this.
const WANTED: u64 = 83;

/// Older databases lack what our documents hold, down to their index names.
const OLDEST: u64 = 80;

const TEMPLATE: &str = "/_template/arkime_sessions3_template?filter_path=**._meta";

/// Lets a connection through if Arkime's templates are there.
///
/// # Errors
/// What is missing, and who mends it.
pub(crate) async fn pass(client: &mut Client, url: &Url) -> Result<(), Trouble> {
    let reply = match client.get(TEMPLATE).await {
        Ok(reply) => reply,
        Err(Broken::Idle) => return Err(Trouble::new(format!("{url} closed the connection before it answered"))),
        Err(Broken::Failed(reason)) => return Err(Trouble::new(reason)),
    };
    let missing = || {
        Trouble::new(format!(
            "{url} has no Arkime database yet: sessions wait until Arkime has made it (Malcolm does at its first start); a sensor makes no templates"
        ))
    };
    match reply.status.as_u16() {
        200 => {}
        404 => return Err(missing()),
        401 | 403 => return Err(denied(url, reply.status, "read Arkime's template")),
        status => {
            return Err(Trouble {
                reason: format!("{url} answers {status} where OpenSearch tells its templates: is it OpenSearch, and ready?"),
                retry_after: reply.retry_after,
                idle: false,
            });
        }
    }
    let meta: Value = serde_json::from_slice(&reply.body)
        .map_err(|_| Trouble::new(format!("{url} does not answer as OpenSearch does: check opensearch.hosts")))?;
    let version = meta.pointer("/arkime_sessions3_template/mappings/_meta/molochDbVersion").and_then(Value::as_u64);
    match version {
        None => Err(missing()),
        Some(version) if version < OLDEST => Err(Trouble::new(format!(
            "{url} has version {version} of Arkime's database, which is too old: update Malcolm to 26.01 or later"
        ))),
        Some(version) => {
            if version < WANTED {
                // Profiles of Malcolm: 26.01 has Arkime 5.8 (82), 26.05 and 26.08 have Arkime 6 (86).
                warn!(host = %url, version, "an older Arkime database, as Malcolm 26.01 has it: sessions are delivered, Arkime 6 (Malcolm 26.05 and 26.08) shows more of them");
            }
            Ok(())
        }
    }
}
