//! Every question and its answer. Long work becomes a job in a thread of its own, one at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use anyhow::bail;
use settings::appliance::{MAX_SECONDS, Request, Response, State};

use super::{Appliance, lock};
use crate::attached::Whole;
use crate::job::{self, Progress};
use crate::program::Program;
use crate::{certificate, clock, disks, interfaces, preview, probe, services, setup, state, support};

impl Appliance {
    /// The answer.
    pub(super) fn answer(self: &Arc<Self>, request: Request) -> Response {
        self.try_answer(request).unwrap_or_else(|error| Response::Error { message: format!("{error:#}") })
    }

    fn try_answer(self: &Arc<Self>, request: Request) -> anyhow::Result<Response> {
        Ok(match request {
            Request::State => Response::State(Box::new(self.state())),
            Request::Interfaces => Response::Interfaces { interfaces: interfaces::describe(&self.places, &self.management()) },
            Request::Settings { secrets } => Response::Settings { text: self.export(secrets)? },
            Request::Apply { text } => self.job("apply", move |this, progress| this.apply(&text, progress))?,
            Request::SetPassword { hash } => {
                setup::set_password(&self.places, hash.reveal())?;
                self.tell_the_consoles();
                Response::Done
            }
            Request::Clock { server } => clock::ask(&server)?,
            Request::Job => Response::Job(job::read(&job::file(&self.places))),
            Request::Services => Response::Services { services: services::list()? },
            Request::RestartService { unit } => {
                services::known(&unit)?;
                services::restart(&unit)?;
                Response::Done
            }
            Request::Journal { unit, lines } => {
                services::known(&unit)?;
                Response::Journal { lines: services::journal(&unit, lines)? }
            }
            Request::Blink { interface, seconds } => {
                self.blink(interface, seconds)?;
                Response::Done
            }
            Request::Reboot => self.halt("reboot")?,
            Request::PowerOff => self.halt("poweroff")?,
            Request::Preview { interface, seconds } => {
                self.known_port(&interface)?;
                Response::Preview(preview::listen(&interface, seconds)?)
            }
            Request::Probe { text } => {
                let _alone = lock(&self.probing);
                Response::Probe { links: probe::links(&self.places, &text)? }
            }
            Request::Disks => Response::Disks { disks: disks::list(&self.places)? },
            Request::Install(wanted) => self.install(&wanted)?,
            Request::Slots => Response::Slots { slots: self.slots()? },
            Request::Update => self.update(false)?,
            Request::Fetch => self.update(true)?,
            Request::Support => {
                let _alone = lock(&self.probing);
                Response::Ready { path: support::gather(&self.places, &self.state())?.display().to_string() }
            }
        })
    }

    pub(super) fn management(&self) -> String {
        lock(&self.network).management.as_ref().map(|port| port.name.clone()).unwrap_or_default()
    }

    fn state(&self) -> State {
        let management = self.management();
        let addresses = interfaces::addresses().into_iter().filter(|(name, _)| *name == management).map(|(_, address)| address);
        State {
            addresses: addresses.collect(),
            management,
            fingerprint: certificate::fingerprint(&self.places),
            notes: self.notes(),
            ..state::gather(&self.places, &self.processors)
        }
    }

    fn export(&self, secrets: bool) -> anyhow::Result<String> {
        if !self.places.settings().exists() {
            return Ok(String::new());
        }
        Ok(Whole::load(&self.places, secrets)?.to_text())
    }

    /// Begins long work, unless there is some.
    pub(super) fn job(
        self: &Arc<Self>,
        name: &'static str,
        work: impl FnOnce(&Arc<Self>, &mut Progress) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Response> {
        let busy = self.claim()?;
        let this = Arc::clone(self);
        let mut progress = Progress::begin(&self.places, name);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _busy = busy;
            let outcome = work(&this, &mut progress);
            progress.end(&outcome);
        })?;
        Ok(Response::Done)
    }

    /// The right to do long work, until it is dropped.
    pub(super) fn claim(self: &Arc<Self>) -> anyhow::Result<Busy> {
        if self.busy.swap(true, Ordering::AcqRel) {
            bail!("something else is being done: {}", job::read(&job::file(&self.places)).name);
        }
        Ok(Busy(Arc::clone(self)))
    }

    /// `ethtool -p` blinks and waits; the answer does not.
    fn blink(&self, interface: String, seconds: u32) -> anyhow::Result<()> {
        self.known_port(&interface)?;
        let seconds = seconds.clamp(1, MAX_SECONDS);
        let bound = std::time::Duration::from_secs(u64::from(seconds) + 5);
        let program = Program::new("ethtool").args(["-p", &interface, &seconds.to_string()]).within(bound);
        // A driver that cannot blink says so at once.
        let (refused, told) = std::sync::mpsc::channel();
        thread::spawn(move || drop(program.run().inspect_err(|error| drop(refused.send(error.to_string())))));
        match told.recv_timeout(std::time::Duration::from_millis(300)) {
            Ok(words) => bail!("the port cannot blink: {words}"),
            Err(_) => Ok(()),
        }
    }

    /// Only ports of this machine are listened to and blinked with.
    pub(super) fn known_port(&self, interface: &str) -> anyhow::Result<()> {
        let ports = interfaces::ports(&self.places);
        if ports.iter().any(|port| port.name == interface) {
            return Ok(());
        }
        bail!(
            "there is no wired interface {interface:?}: there are {}",
            ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ")
        )
    }

    /// The answer is on its way before the machine goes down.
    fn halt(&self, how: &'static str) -> anyhow::Result<Response> {
        // A job that has said its last word is waited for no more.
        let job = job::read(&job::file(&self.places));
        if self.busy.load(Ordering::Acquire) && !job.over {
            bail!("not now: {} is being done", job.name);
        }
        tracing::info!(how, "the machine goes down as it was asked to");
        Program::new("systemctl").args(["--no-block", "--no-wall", how]).run()?;
        Ok(Response::Done)
    }
}

/// That a job runs; it does not when this is gone, even after a panic.
pub(super) struct Busy(Arc<Appliance>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}
