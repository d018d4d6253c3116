//! Installing and updating: this asks units of their own to do it, which have the rights that it takes, and tells how far they
//! are.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use settings::appliance::{Install, Response, Slot, UPLOAD};

use super::Appliance;
use crate::files::{self, Access};
use crate::job::{self, Progress};
use crate::{fetch, install, medium, services, update};

/// A slow disk, a slow stick.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
/// Looking at the slots reads a kilobyte.
const SLOTS: Duration = Duration::from_secs(60);
/// Where a fetched bundle is put.
const FETCHED: &str = "/var/lib/tenrec-appliance/fetched.tenrec";

impl Appliance {
    pub(super) fn install(self: &Arc<Self>, wanted: &Install) -> anyhow::Result<Response> {
        let text = serde_json::to_vec(wanted)?;
        self.job_of_unit("install", move |this, _| {
            leave(this, &install::request_file(&this.places), &text)?;
            Ok("tenrec-install.service")
        })
    }

    /// With the bundle that was uploaded, or with the newest one there is.
    pub(super) fn update(self: &Arc<Self>, fetched: bool) -> anyhow::Result<Response> {
        if medium::slot(&self.places).is_empty() {
            bail!("this is a live system: install it first, or start a newer medium");
        }
        self.job_of_unit("update", move |this, progress| {
            let system = this.system();
            let bundle = if fetched {
                let to = this.places.at(FETCHED);
                let outcome = fetch::newest(&this.places, &system, &medium::version(&this.places), &to, progress);
                if outcome.is_err() {
                    drop(fs::remove_file(&to));
                }
                outcome?;
                to
            } else {
                PathBuf::from(UPLOAD)
            };
            let request = update::Request { bundle, keys: system.update_keys };
            leave(this, &update::request_file(&this.places), &serde_json::to_vec(&request)?)?;
            Ok("tenrec-update.service")
        })
    }

    /// None on a live system.
    pub(super) fn slots(&self) -> anyhow::Result<Vec<Slot>> {
        if medium::slot(&self.places).is_empty() {
            return Ok(Vec::new());
        }
        services::run_to_end("tenrec-slots.service", SLOTS)?;
        Ok(self.slots_as_told())
    }

    /// As they were when someone looked last.
    pub(super) fn slots_as_told(&self) -> Vec<Slot> {
        fs::read(update::slots_file(&self.places)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// A job that a unit does after `prepare`. The unit writes how far it is, and its end; if it dies, that is written here.
    fn job_of_unit(
        self: &Arc<Self>,
        name: &'static str,
        prepare: impl FnOnce(&Arc<Self>, &mut Progress) -> anyhow::Result<&'static str> + Send + 'static,
    ) -> anyhow::Result<Response> {
        let busy = self.claim()?;
        let this = Arc::clone(self);
        let mut progress = Progress::begin(&self.places, name);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _busy = busy;
            let unit = match prepare(&this, &mut progress) {
                Ok(unit) => unit,
                Err(error) => return progress.end(&Err(error)),
            };
            let outcome = services::run_to_end(unit, PATIENCE);
            let job = job::read(&job::file(&this.places));
            if !job.over {
                let words = services::journal(unit, 3).unwrap_or_default().join("; ");
                let outcome = outcome.and_then(|()| bail!("it ended without a word")).context(words);
                Progress::go_on(&this.places, name).end(&outcome);
            }
        })?;
        Ok(Response::Done)
    }
}

/// A request for a unit: read once by it, and by nobody else.
fn leave(appliance: &Appliance, path: &std::path::Path, text: &[u8]) -> anyhow::Result<()> {
    files::write(&appliance.places, path, text, Access::PRIVATE).context("what is asked for cannot be written down")
}
