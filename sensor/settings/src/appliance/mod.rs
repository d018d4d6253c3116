//! The appliance's socket: what the web UI may ask of `tenrec-appliance`, which runs as root, and what it answers.
//!
//! One message a line: see [`crate::lines`]. Whoever can write to the socket is as good as the administrator, so every
//! request is a whole act with arguments that are checked again on the other side: there is no path of the caller's
//! choosing, no command and no unit beside the named ones. Secrets are in requests, never in answers (but for
//! [`Request::Settings`] with `secrets`, which is what it is for).
//!
//! Long work ([`Request::Apply`], [`Request::Install`], [`Request::Update`], [`Request::Fetch`]) is a job: the answer comes
//! at once, and [`Request::Job`] tells how far it is. There is one job at a time.

mod client;

use serde::{Deserialize, Serialize};

pub use client::{APPLIANCE, Client};

use crate::secret::Secret;

/// Where the socket is.
pub const SOCKET: &str = "/run/tenrec-appliance/appliance.sock";

/// The one-time code of the first boot, for whom its mode lets in; absent once a password is set.
pub const SETUP_CODE: &str = "/run/tenrec-appliance/setup-code";

/// Where an uploaded update bundle is put before [`Request::Update`].
pub const UPLOAD: &str = "/var/lib/tenrec-web/update.tenrec";

/// Seconds that [`Request::Preview`] may listen and [`Request::Blink`] may blink at most.
pub const MAX_SECONDS: u32 = 30;

/// Units that may be asked about, restarted and read the journal of.
pub const UNITS: &[&str] = &[
    "tenrec.service",
    "tenrec-scan.service",
    "tenrec-viewer.service",
    "tenrec-web.service",
    "tenrec-appliance.service",
    "systemd-networkd.service",
    "systemd-timesyncd.service",
    "nftables.service",
    "ssh.service",
];

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// What this appliance is and how it does.
    State,
    /// The network interfaces.
    Interfaces,
    /// Listens on an interface: rates and who talks most.
    Preview {
        /// Its name.
        interface: String,
        /// How long, 1 to [`MAX_SECONDS`].
        seconds: u32,
    },
    /// Makes the port's light blink; answered at once.
    Blink {
        /// Its name.
        interface: String,
        /// How long, 1 to [`MAX_SECONDS`].
        seconds: u32,
    },
    /// The settings in force as one text: `tenrec.toml` with a last table `[attached]`.
    Settings {
        /// Whether keys, passwords and the hash of the administrator's password are in it.
        secrets: bool,
    },
    /// Puts settings in force without a reboot (job). What was attached before and is not attached now stays, so that a
    /// form need not carry the secrets that it does not change.
    Apply {
        /// `tenrec.toml`, with `[attached]` where files go with it.
        text: String,
    },
    /// Sets the administrator's password and ends the first boot's setup code.
    SetPassword {
        /// Argon2id, in PHC string format.
        #[serde(serialize_with = "crate::secret::revealed")]
        hash: Secret,
    },
    /// Tries every link that the given settings name: see `tenrec probe`.
    Probe {
        /// As in [`Request::Apply`].
        text: String,
    },
    /// Asks a time server how far this machine's clock is off. Changes nothing.
    Clock {
        /// Name or address.
        server: String,
    },
    /// The disks that can be installed to.
    Disks,
    /// Installs to a disk, all of which is lost (job).
    Install(Install),
    /// The two system slots.
    Slots,
    /// Verifies the bundle at [`UPLOAD`] and writes it into the other slot (job); removes it afterwards.
    Update,
    /// The same with the newest bundle of `system.update_url` (job).
    Fetch,
    /// How the current or last job is doing.
    Job,
    /// The services ([`UNITS`]).
    Services,
    /// Restarts one.
    RestartService {
        /// One of [`UNITS`].
        unit: String,
    },
    /// Its last lines in the journal.
    Journal {
        /// One of [`UNITS`].
        unit: String,
        /// Lines, 1 to 1000.
        lines: u32,
    },
    /// What someone who helps wants to see, as a zip file at [`Response::Ready`]; secrets are left out.
    Support,
    /// Starts the machine again.
    Reboot,
    /// Switches the machine off.
    PowerOff,
}

/// What is to be installed where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Install {
    /// [`DiskFound::id`] of the disk.
    pub disk: String,
    /// How the data partition is encrypted.
    pub encryption: Encryption,
    /// For [`Encryption::Passphrase`]: at least 12 characters.
    #[serde(default, serialize_with = "crate::secret::revealed")]
    pub passphrase: Secret,
}

/// How the data partition is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Not at all.
    #[default]
    None,
    /// LUKS2; a person types the passphrase on the console at each start.
    Passphrase,
    /// LUKS2, unlocked by this machine's TPM as long as it starts in the same way.
    Tpm2,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// It was done, or has begun.
    Done,
    /// To [`Request::State`].
    State(Box<State>),
    /// To [`Request::Interfaces`].
    Interfaces {
        /// By name.
        interfaces: Vec<Interface>,
    },
    /// To [`Request::Preview`].
    Preview(Preview),
    /// To [`Request::Settings`].
    Settings {
        /// The text; empty while there are none.
        text: String,
    },
    /// To [`Request::Probe`].
    Probe {
        /// In the order in which records travel.
        links: Vec<Link>,
    },
    /// To [`Request::Clock`].
    Clock {
        /// Seconds that the server is ahead of this machine.
        offset: f64,
        /// Seconds that the question took.
        delay: f64,
        /// Server that answered, as it was asked for.
        address: String,
    },
    /// To [`Request::Disks`].
    Disks {
        /// Never the medium that this system was started from.
        disks: Vec<DiskFound>,
    },
    /// To [`Request::Slots`].
    Slots {
        /// `a` and `b`; none on a live system.
        slots: Vec<Slot>,
    },
    /// To [`Request::Job`].
    Job(Job),
    /// To [`Request::Services`].
    Services {
        /// In the order of [`UNITS`].
        services: Vec<Service>,
    },
    /// To [`Request::Journal`].
    Journal {
        /// Oldest first.
        lines: Vec<String>,
    },
    /// To [`Request::Support`]: a file that the group of the socket may read; it goes with the next one.
    Ready {
        /// Its path.
        path: String,
    },
    /// The request was understood and refused, or not understood.
    Error {
        /// For the operator.
        message: String,
    },
}

/// What this appliance is and how it does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Version of the image.
    pub version: String,
    /// `live` or `installed`.
    pub mode: String,
    /// Slot that runs, `a` or `b`; empty on a live system.
    pub slot: String,
    /// The machine's name.
    pub host_name: String,
    /// Interface that this UI is reached by.
    pub management: String,
    /// Its addresses, with prefix length.
    pub addresses: Vec<String>,
    /// Default gateway; empty for none.
    pub gateway: String,
    /// SHA-256 of the web UI's certificate, as browsers show it.
    pub fingerprint: String,
    /// Whether the first boot's setup is still to be done: there is no password.
    pub setup: bool,
    /// Whether there are settings for the sensor.
    pub configured: bool,
    /// Whether the data partition is there; else all is lost with the power.
    pub data: bool,
    /// How it is encrypted.
    pub encryption: Encryption,
    /// Bytes of the file system with the data.
    pub data_bytes: u64,
    /// Bytes of it that are free.
    pub data_free: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of memory in use, caches left out (MemTotal less MemAvailable).
    pub memory_used: u64,
    /// Share of all processors in use since the last question, 0 to 1.
    pub cpu: f64,
    /// Highest temperature of a sensor, °C; none where there is no sensor.
    pub temperature: Option<f64>,
    /// Seconds since power-on.
    pub uptime: f64,
    /// The machine's clock, seconds since 1970.
    pub time: f64,
    /// Time server in use; empty for none.
    pub time_server: String,
    /// Whether the clock follows it.
    pub synchronized: bool,
    /// What the operator should know and do something about: no data partition, settings that could not be taken, a name or
    /// an address that could not be set. Whole sentences; empty if all is well.
    pub notes: Vec<String>,
}

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// MAC address.
    pub mac: String,
    /// Driver; empty if it has none.
    pub driver: String,
    /// Megabits a second; 0 if it is not known.
    pub speed: u32,
    /// Whether there is a link.
    pub carrier: bool,
    /// Addresses with prefix length.
    pub addresses: Vec<String>,
    /// Whether the web UI is reached by it.
    pub management: bool,
    /// Packets received since it is up.
    pub packets: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Packets that the interface dropped or found damaged.
    pub dropped: u64,
}

/// What was seen on an interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preview {
    /// Seconds it was listened to.
    pub seconds: f64,
    /// Packets a second.
    pub packets: f64,
    /// Bits a second.
    pub bits: f64,
    /// Who talked most, with bits a second, most first; ten at most.
    pub talkers: Vec<Talker>,
}

/// A host and how much of the traffic is its.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Talker {
    /// IP address, or MAC address where there is no IP.
    pub address: String,
    /// Bits a second, sent and received.
    pub bits: f64,
}

/// A link that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// What it is for: `logs`, `sessions`, `packets`.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// What was tried, in order; after the first that fails nothing more is.
    pub steps: Vec<Step>,
}

impl Link {
    /// Whether nothing failed.
    #[must_use]
    pub fn works(&self) -> bool {
        self.steps.iter().all(|step| step.outcome != Outcome::Failed)
    }
}

/// One thing that was tried on a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// `settings`, `name`, `port`, `tls`, `credentials`, `clock`, `record`.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, or what is wrong and what to do about it.
    pub words: String,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Well.
    Good,
    /// It works, and should be looked at.
    Doubtful,
    /// Not at all.
    Failed,
    /// It could not be tried, or there is nothing to try.
    Skipped,
}

/// A disk that can be installed to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskFound {
    /// Names it in [`Install`]: kernel name.
    pub id: String,
    /// Model.
    pub model: String,
    /// Serial number; may be empty.
    pub serial: String,
    /// Bytes.
    pub bytes: u64,
    /// What is on it, one line a partition or file system; empty for nothing.
    pub contents: Vec<String>,
    /// Why it cannot be taken; empty if it can.
    pub refused: String,
}

/// A system slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slot {
    /// `a` or `b`.
    pub name: String,
    /// Version in it; empty for none.
    pub version: String,
    /// Whether it runs now.
    pub running: bool,
    /// Whether it is started next.
    pub next: bool,
    /// Starts that are left to it to prove itself; none if it has, or is not on trial.
    pub tries: Option<u32>,
}

/// Long work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// `apply`, `install`, `update`; empty if there was none since the start.
    pub name: String,
    /// What was done and is being done, oldest first.
    pub steps: Vec<JobStep>,
    /// How far the current step is, 0 to 1, where that is known.
    pub fraction: Option<f64>,
    /// Whether it is over.
    pub over: bool,
    /// Why it failed; empty if it did not.
    pub error: String,
}

/// A step of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobStep {
    /// What is done, for the operator.
    pub what: String,
    /// Seconds since 1970 when it began.
    pub began: f64,
    /// What should be known of it though it did not fail; may be empty.
    pub remark: String,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Unit.
    pub unit: String,
    /// What it is.
    pub description: String,
    /// systemd's word: `active`, `inactive`, `failed` …
    pub state: String,
    /// systemd's second word: `running`, `dead`, `auto-restart` …
    pub substate: String,
    /// Bytes of memory; none if it does not run.
    pub memory: Option<u64>,
    /// How often it was started again after a failure.
    pub restarts: u32,
    /// Seconds since 1970 when it came into this state; 0 if never.
    pub since: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::{decode, encode};

    #[test]
    fn requests_and_answers_survive_the_wire() {
        let requests = [
            Request::State,
            Request::Apply { text: "[node]\n".to_owned() },
            Request::Install(Install {
                disk: "vda".to_owned(),
                encryption: Encryption::Tpm2,
                passphrase: Secret::from("of many words".to_owned()),
            }),
        ];
        for request in requests {
            assert_eq!(decode::<Request>(&encode(&request).unwrap()).unwrap(), request);
        }
        let line = encode(&Request::Preview { interface: "eth1".to_owned(), seconds: 3 }).unwrap();
        assert_eq!(line, b"{\"request\":\"preview\",\"interface\":\"eth1\",\"seconds\":3}\n");
        let job = Response::Job(Job { name: "update".to_owned(), fraction: Some(0.5), ..Job::default() });
        assert_eq!(decode::<Response>(&encode(&job).unwrap()).unwrap(), job);
    }

    #[test]
    fn a_link_works_when_no_step_failed() {
        let step = |outcome| Step { name: "tls".to_owned(), outcome, words: String::new() };
        assert!(Link { steps: vec![step(Outcome::Good), step(Outcome::Doubtful)], ..Link::default() }.works());
        assert!(!Link { steps: vec![step(Outcome::Good), step(Outcome::Failed)], ..Link::default() }.works());
    }
}
