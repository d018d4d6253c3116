//! The appliance as a machine: firmware, disks, a management port, a capture port, a serial console.

mod console;
mod qmp;
mod wire;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;

pub(crate) use self::console::Console;
use self::qmp::Qmp;
pub(crate) use self::wire::Wire;
use crate::https;
use crate::lab::{Lab, free_port};
use crate::wait::wait_for;

/// From power-on to the first answer of the web UI, on a machine that builds something else meanwhile.
const BOOT: Duration = Duration::from_secs(600);

/// The two ports. Their places on the bus are fixed, and so are their names.
pub(crate) const MANAGEMENT_MAC: &str = "52:54:00:12:34:01";
pub(crate) const CAPTURE_MAC: &str = "52:54:00:12:34:02";
/// What Linux names the capture port by its place (systemd.net-naming-scheme(7)): bus 0, slot 0x11.
pub(crate) const CAPTURE: &str = "enp0s17";

/// Address at which the guest finds the collector of this machine.
pub(crate) const CENTRAL: &str = "10.0.2.100";

/// What starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firmware {
    Bios,
    /// UEFI with Secure Boot in force and Microsoft's keys, which Debian's shim is signed with.
    SecureBoot,
}

/// A machine to be switched on.
pub(crate) struct Plan<'a> {
    lab: &'a Lab,
    name: String,
    firmware: Firmware,
    medium: Option<PathBuf>,
    disks: Vec<(PathBuf, String)>,
    collector: Vec<(u16, u16)>,
    memory: u32,
    clock: Option<String>,
    alone: bool,
}

impl<'a> Plan<'a> {
    /// A machine with BIOS, two network ports, and the image as its medium. `name` names what is kept of it.
    pub(crate) fn new(lab: &'a Lab, name: &str) -> Self {
        Self {
            lab,
            name: name.to_owned(),
            firmware: Firmware::Bios,
            medium: Some(lab.iso.clone()),
            disks: Vec::new(),
            collector: Vec::new(),
            memory: 2048,
            clock: None,
            alone: false,
        }
    }

    pub(crate) fn firmware(mut self, firmware: Firmware) -> Self {
        self.firmware = firmware;
        self
    }

    /// Starts from its disks.
    pub(crate) fn without_medium(mut self) -> Self {
        self.medium = None;
        self
    }

    /// Adds a disk with a serial number.
    pub(crate) fn disk(mut self, image: &Path, serial: &str) -> Self {
        self.disks.push((image.to_owned(), serial.to_owned()));
        self
    }

    /// Lets the guest reach a port of this machine at [`CENTRAL`] under the number `there`.
    pub(crate) fn reaches(mut self, there: u16, here: u16) -> Self {
        self.collector.push((there, here));
        self
    }

    /// Sets the machine's clock: `2020-01-01T00:00:00`.
    pub(crate) fn clock(mut self, start: &str) -> Self {
        self.clock = Some(start.to_owned());
        self
    }

    /// Puts the other end of the management port into our hands too: nobody answers there unless we do.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Switches it on.
    pub(crate) fn start(self) -> anyhow::Result<Guest> {
        let lab = self.lab;
        let place = |end: &str| lab.scratch.path().join(format!("{}.{end}", self.name));
        for stale in ["serial", "qmp", "capture", "capture-guest", "management", "management-guest"] {
            // Of an earlier start of the same machine.
            let _ = std::fs::remove_file(place(stale));
        }
        let web = free_port()?;
        let relay = std::env::current_exe()?;
        let forwards: String = self
            .collector
            .iter()
            .map(|(there, here)| format!(",guestfwd=tcp:{CENTRAL}:{there}-cmd:{} relay {here}", relay.display()))
            .collect();
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m"])
            .arg(self.memory.to_string())
            .args(["-display", "none", "-nodefaults", "-vga", "std", "-no-reboot"])
            .args(["-device", "virtio-rng-pci"])
            .arg("-chardev")
            .arg(format!("socket,id=serial,path={},server=on,wait=off", place("serial").display()))
            .args(["-serial", "chardev:serial", "-qmp"])
            .arg(format!("unix:{},server=on,wait=off", place("qmp").display()))
            .arg("-netdev")
            .arg(match self.alone {
                true => Wire::netdev("management", &place("management"), &place("management-guest")),
                false => format!("user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:{web}-:8443{forwards}"),
            })
            .args(["-device", &format!("virtio-net-pci,netdev=management,mac={MANAGEMENT_MAC},addr=0x10")])
            .arg("-netdev")
            .arg(Wire::netdev("capture", &place("capture"), &place("capture-guest")))
            .args(["-device", &format!("virtio-net-pci,netdev=capture,mac={CAPTURE_MAC},addr=0x11")]);
        if let Some(start) = &self.clock {
            qemu.args(["-rtc", &format!("base={start}")]);
        }
        if self.firmware == Firmware::SecureBoot {
            let (code, variables) = ovmf()?;
            let own = place("vars");
            if !own.exists() {
                std::fs::copy(variables, &own)?;
            }
            qemu.args(["-global", "driver=cfi.pflash01,property=secure,value=on", "-machine", "smm=on"])
                .arg("-drive")
                .arg(format!("if=pflash,format=raw,unit=0,readonly=on,file={}", code.display()))
                .arg("-drive")
                .arg(format!("if=pflash,format=raw,unit=1,file={}", own.display()));
        }
        if let Some(medium) = &self.medium {
            qemu.arg("-drive")
                .arg(format!("if=none,id=medium,format=raw,media=cdrom,readonly=on,file={}", medium.display()))
                .args(["-device", "ide-cd,drive=medium,bootindex=0"]);
        }
        for (place, (image, serial)) in self.disks.iter().enumerate() {
            qemu.arg("-drive")
                .arg(format!("if=none,id=disk{place},format=raw,cache=writeback,file={}", image.display()))
                .arg("-device")
                .arg(format!("virtio-blk-pci,drive=disk{place},serial={serial},bootindex={}", place + 1));
        }
        let capture = Wire::lay(&place("capture"), &place("capture-guest"))?;
        let management = if self.alone { Some(Wire::lay(&place("management"), &place("management-guest"))?) } else { None };
        let log = std::fs::File::create(lab.folder.join(format!("{}.qemu.txt", self.name)))?;
        let child = qemu
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("qemu-system-x86_64 cannot be started: install qemu-system-x86")?;
        let mut child = Killed(child);
        let console = Console::join(&place("serial"), &lab.folder.join(format!("{}.console.txt", self.name)))
            .and_then(|console| Ok((console, Qmp::join(&place("qmp"))?)));
        let (console, qmp) = match console {
            Ok(both) => both,
            Err(error) => {
                let ended = child.0.try_wait().ok().flatten().is_some();
                let said = std::fs::read_to_string(lab.folder.join(format!("{}.qemu.txt", self.name))).unwrap_or_default();
                return Err(error.context(format!("QEMU {}: {}", if ended { "ended" } else { "does not answer" }, said.trim())));
            }
        };
        Ok(Guest {
            name: self.name.clone(),
            folder: lab.folder.clone(),
            web,
            started: Instant::now(),
            capture,
            management,
            console,
            qmp,
            child,
        })
    }
}

/// Debian's and Ubuntu's OVMF with Secure Boot and Microsoft's keys.
fn ovmf() -> anyhow::Result<(PathBuf, PathBuf)> {
    let pair = (Path::new("/usr/share/OVMF/OVMF_CODE_4M.ms.fd"), Path::new("/usr/share/OVMF/OVMF_VARS_4M.ms.fd"));
    if !pair.0.exists() || !pair.1.exists() {
        bail!("there is no UEFI firmware: install ovmf");
    }
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

/// A child that does not outlive its owner.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A machine that is on.
pub(crate) struct Guest {
    name: String,
    folder: PathBuf,
    /// Port of this machine that leads to the web UI.
    pub(crate) web: u16,
    started: Instant,
    /// The capture port.
    pub(crate) capture: Wire,
    /// The management port, where it is in our hands.
    pub(crate) management: Option<Wire>,
    pub(crate) console: Console,
    qmp: Qmp,
    child: Killed,
}

impl Guest {
    /// Address of the web UI.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.web)
    }

    /// Waits until the web UI answers over HTTPS; how long that took from power-on, and the SHA-256 of its certificate.
    pub(crate) fn wait_for_web(&mut self) -> anyhow::Result<(Duration, String)> {
        let (web, name) = (self.web, self.name.clone());
        let fingerprint = self.or_screenshot(|_| {
            wait_for(&format!("an answer of the web UI of {name}"), BOOT, || match https::get(web, "/healthz", None) {
                Ok(answer) => Ok(Some(answer.fingerprint)),
                Err(error) => Err(error),
            })
        })?;
        let took = self.started.elapsed();
        println!("    {}: the web UI answered {:.0} s after power-on", self.name, took.as_secs_f64());
        Ok((took, fingerprint))
    }

    /// Keeps what the screen shows.
    pub(crate) fn screenshot(&mut self, name: &str) -> anyhow::Result<()> {
        let file = self.folder.join(format!("{}-{name}.png", self.name));
        self.qmp.execute("screendump", json!({"filename": file, "format": "png"})).map(drop)
    }

    /// Does something; on failure the screen is kept.
    pub(crate) fn or_screenshot<T>(&mut self, act: impl FnOnce(&mut Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let done = act(self);
        if done.is_err() {
            let _ = self.screenshot("failed");
        }
        done
    }

    /// Waits until the machine has switched itself off, or asked for a restart (which `-no-reboot` makes an end).
    pub(crate) fn wait_for_end(&mut self, deadline: Duration) -> anyhow::Result<()> {
        let (child, name) = (&mut self.child.0, &self.name);
        wait_for(&format!("the end of {name}"), deadline, || Ok(child.try_wait()?.map(drop)))
    }

    /// Presses the power button and waits until it is off.
    pub(crate) fn power_off(mut self) -> anyhow::Result<()> {
        self.qmp.execute("system_powerdown", json!({}))?;
        self.wait_for_end(Duration::from_secs(180))
    }

    /// Pulls the plug: what the guest had not synced is lost with its memory.
    pub(crate) fn pull_the_plug(self) {
        drop(self);
    }
}
