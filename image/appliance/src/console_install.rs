//! The installer on the consoles: the medium was started with `tenrec.install=ask`, or `tenrec.install=auto` and a disk.
//!
//! It asks the appliance's service for everything, as the web UI does, and so has no privilege but the terminals. Whoever types
//! first, on the screen or on the serial line, is listened to.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use settings::Secret;
use settings::appliance::{Client, DiskFound, Encryption, Install, Job, Request, Response};

use crate::console;
use crate::data;
use crate::disks;
use crate::files::{self, Access};
use crate::medium::parameter;
use crate::places::{Places, read_trimmed};

/// Left for `serve`: why nothing was installed.
const NOTE: &str = "install-note";
/// How long the service may take to be there.
const SERVICE: Duration = Duration::from_secs(120);
/// How often it is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of a line that is typed.
const MAX_LINE: usize = 512;

/// Installs as the kernel parameters say, and returns when the consoles are free for others.
///
/// # Errors
/// When there is no terminal, or no service.
pub(crate) fn run(places: &Places, socket: &Path) -> anyhow::Result<()> {
    let wanted = parameter(places, "tenrec.install").unwrap_or_default();
    let mut terminals = Terminals::open(places)?;
    let mut service = connect(socket)?;
    let outcome = match wanted.as_str() {
        "auto" => auto(places, &mut service, &mut terminals),
        "ask" => ask(places, &mut service, &mut terminals),
        other => Err(anyhow::anyhow!("tenrec.install={other} is neither ask nor auto")),
    };
    if let Err(error) = outcome {
        let note = format!("Nothing was installed: {error:#}.");
        terminals.say(&note);
        files::write(places, &places.run(NOTE), note.as_bytes(), Access::PRIVATE)?;
    }
    Ok(())
}

/// Why nothing was installed, for the operator.
pub(crate) fn note(places: &Places) -> Option<String> {
    Some(read_trimmed(&places.run(NOTE))).filter(|note| !note.is_empty())
}

fn connect(socket: &Path) -> anyhow::Result<Client> {
    let deadline = Instant::now() + SERVICE;
    loop {
        match Client::connect(socket) {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// Without asking: only onto a disk that is named, and not onto one that was installed before, since a machine that keeps
/// starting from its medium would lose its data each time.
fn auto(places: &Places, service: &mut Client, terminals: &mut Terminals) -> anyhow::Result<()> {
    let disks = disks_of(service)?;
    let disk = disks::choose(&disks, &parameter(places, "tenrec.disk").unwrap_or_default())?;
    let is_ours = disk.contents.iter().any(|line| line.contains(data::LABEL));
    if is_ours && parameter(places, "tenrec.install.again").is_none() {
        bail!("{} has a Tenrec on it already, whose data would be lost: add tenrec.install.again to erase it", disk.id);
    }
    terminals.say(&format!("Installing to {} ({}, {}), all of which is lost.", disk.id, disk.model, disks::size(disk.bytes)));
    install(service, terminals, &disk.id, String::new().into())?;
    let poweroff = parameter(places, "tenrec.install.poweroff").is_some();
    service.ask(if poweroff { &Request::PowerOff } else { &Request::Reboot })?;
    Ok(())
}

fn ask(places: &Places, service: &mut Client, terminals: &mut Terminals) -> anyhow::Result<()> {
    terminals.say(&console::text(places));
    loop {
        let disks = disks_of(service)?;
        terminals.say(&format!("Install here or in the web UI. Disks:\n\n{}", table(&disks)));
        let name = terminals.ask("Name of the disk to install to, ALL OF WHICH IS LOST (Enter alone: do not install): ", true)?;
        if name.is_empty() {
            return Ok(());
        }
        match disks.iter().find(|disk| disk.id == name) {
            None => terminals.say(&format!("There is no disk {name}.\n")),
            Some(disk) if !disk.refused.is_empty() => terminals.say(&format!("{name} cannot be taken: {}.\n", disk.refused)),
            Some(_) => {
                let Some(passphrase) = passphrase(terminals)? else { continue };
                match install(service, terminals, &name, passphrase) {
                    Ok(()) => break,
                    Err(error) => terminals.say(&format!("{error:#}.\n")),
                }
            }
        }
    }
    terminals.ask("Take the medium out and press Enter to restart. ", true)?;
    service.ask(&Request::Reboot)?;
    Ok(())
}

/// Empty for no encryption; none if the two do not agree.
fn passphrase(terminals: &mut Terminals) -> anyhow::Result<Option<Secret>> {
    let first = terminals.ask("Passphrase to encrypt data with, 12 characters at least (Enter alone: no encryption): ", false)?;
    if !first.is_empty() && terminals.ask("The same again: ", false)? != first {
        terminals.say("The two are not the same.\n");
        return Ok(None);
    }
    Ok(Some(first.into()))
}

fn disks_of(service: &mut Client) -> anyhow::Result<Vec<DiskFound>> {
    match service.ask(&Request::Disks)? {
        Response::Disks { disks } => Ok(disks),
        _ => bail!("the appliance service answers another question"),
    }
}

fn table(disks: &[DiskFound]) -> String {
    if disks.is_empty() {
        return "  none but the medium\n".to_owned();
    }
    let mut text = String::new();
    for disk in disks {
        let serial = if disk.serial.is_empty() { String::new() } else { format!(", serial {}", disk.serial) };
        text.push_str(&format!("  {:<10} {} {}{serial}\n", disk.id, disks::size(disk.bytes), disk.model));
        if !disk.refused.is_empty() {
            text.push_str(&format!("             cannot be taken: {}\n", disk.refused));
        }
        for line in &disk.contents {
            text.push_str(&format!("             {line}\n"));
        }
    }
    text
}

/// Asks for the installation and tells how it goes.
fn install(service: &mut Client, terminals: &mut Terminals, disk: &str, passphrase: Secret) -> anyhow::Result<()> {
    let encryption = if passphrase.is_empty() { Encryption::None } else { Encryption::Passphrase };
    service.ask(&Request::Install(Install { disk: disk.to_owned(), encryption, passphrase }))?;
    let mut told = 0;
    loop {
        let Response::Job(job) = service.ask(&Request::Job)? else { bail!("the appliance service answers another question") };
        tell(terminals, &job, &mut told);
        if job.over && job.error.is_empty() {
            return Ok(());
        }
        if job.over {
            bail!("{}", job.error);
        }
        std::thread::sleep(LOOK);
    }
}

fn tell(terminals: &mut Terminals, job: &Job, told: &mut usize) {
    for step in job.steps.iter().skip(*told) {
        terminals.say(&format!("  {}", step.what));
    }
    *told = job.steps.len();
}

/// All consoles at once.
struct Terminals {
    all: Vec<Terminal>,
}

struct Terminal {
    file: File,
    typed: Vec<u8>,
}

impl Terminals {
    /// Those that the kernel writes to.
    fn open(places: &Places) -> anyhow::Result<Self> {
        let names = places.read("/sys/class/tty/console/active");
        let files = names.split_whitespace().filter_map(|name| {
            // tty0 is whichever is shown; tty1 is the one that is.
            let name = if name == "tty0" { "tty1" } else { name };
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
                .open(places.at("/dev").join(name))
                .ok()
        });
        let this = Self::of(files);
        if this.all.is_empty() { bail!("there is no console") } else { Ok(this) }
    }

    fn of(files: impl Iterator<Item = File>) -> Self {
        Self { all: files.map(|file| Terminal { file, typed: Vec::new() }).collect() }
    }

    /// A terminal that is gone is no reason to stop.
    fn say(&mut self, text: &str) {
        for terminal in &mut self.all {
            drop(terminal.file.write_all(format!("{text}\n").replace('\n', "\r\n").as_bytes()));
        }
    }

    /// The first line that is typed on any of them, trimmed.
    fn ask(&mut self, question: &str, echo: bool) -> anyhow::Result<String> {
        for terminal in &mut self.all {
            // What was typed before the question is no answer to it.
            let _ = tcflush(&terminal.file, QueueSelector::IFlush);
            terminal.typed.clear();
            terminal.echo(echo);
            drop(terminal.file.write_all(question.as_bytes()));
        }
        let line = self.line();
        for terminal in &mut self.all {
            terminal.echo(true);
            if !echo {
                drop(terminal.file.write_all(b"\r\n"));
            }
        }
        line
    }

    fn line(&mut self) -> anyhow::Result<String> {
        loop {
            let ready: Vec<bool> = {
                let mut watched: Vec<PollFd<'_>> =
                    self.all.iter().map(|terminal| PollFd::from_borrowed_fd(terminal.file.as_fd(), PollFlags::IN)).collect();
                poll(&mut watched, None).context("the consoles cannot be read")?;
                watched.iter().map(|watched| !watched.revents().is_empty()).collect()
            };
            for (terminal, _) in self.all.iter_mut().zip(&ready).filter(|(_, ready)| **ready) {
                if let Some(line) = terminal.read()? {
                    return Ok(line);
                }
            }
            self.all.retain(|terminal| terminal.typed.len() <= MAX_LINE);
            if self.all.is_empty() {
                bail!("the consoles are gone");
            }
        }
    }
}

impl Terminal {
    /// A line, if it is whole. Terminals hand over whole lines; a carriage return ends one, too.
    fn read(&mut self) -> anyhow::Result<Option<String>> {
        let mut buffer = [0; MAX_LINE];
        let length = self.file.read(&mut buffer).unwrap_or(0);
        if length == 0 {
            // Hung up: it is left out from here on.
            self.typed = vec![0; MAX_LINE + 1];
            return Ok(None);
        }
        self.typed.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let Some(end) = self.typed.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            if self.typed.len() > MAX_LINE {
                self.typed.clear();
            }
            return Ok(None);
        };
        let line = String::from_utf8_lossy(self.typed.get(..end).unwrap_or_default()).trim().to_owned();
        self.typed.clear();
        Ok(Some(line))
    }

    /// A passphrase is not shown. What is no terminal has no echo.
    fn echo(&self, on: bool) {
        if let Ok(mut modes) = tcgetattr(&self.file) {
            modes.local_modes.set(LocalModes::ECHO, on);
            let _ = tcsetattr(&self.file, OptionalActions::Now, &modes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead as _, BufReader};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn terminals() -> (Terminals, UnixStream, UnixStream) {
        let (screen, ours) = UnixStream::pair().unwrap();
        let (serial, theirs) = UnixStream::pair().unwrap();
        let files = [ours, theirs].map(|end| File::from(OwnedFd::from(end)));
        (Terminals::of(files.into_iter()), screen, serial)
    }

    /// A service with one disk, which installs in two steps.
    fn service(folder: &Path) -> (std::path::PathBuf, std::thread::JoinHandle<Vec<String>>) {
        let path = folder.join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let serving = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let (mut asked, mut looks) = (Vec::new(), 0);
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                let answer = if line.contains("disks") {
                    r#"{"response":"disks","disks":[{"id":"vda","model":"M","serial":"S1","bytes":17179869184},{"id":"vdb","bytes":17179869184,"serial":"S2","contents":["vdb5: 1 GiB, tenrec-data, ext4"]}]}"#
                } else if line.contains("\"job\"") {
                    looks += 1;
                    if looks > 1 {
                        r#"{"response":"job","name":"install","over":true,"steps":[{"what":"one","began":0.0,"remark":""},{"what":"two","began":0.0,"remark":""}]}"#
                    } else {
                        r#"{"response":"job","name":"install","steps":[{"what":"one","began":0.0,"remark":""}]}"#
                    }
                } else {
                    r#"{"response":"done"}"#
                };
                asked.push(line);
                (&stream).write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
            asked
        });
        (path, serving)
    }

    fn places_with(cmdline: &str) -> (tempfile::TempDir, Places) {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        fs::create_dir_all(places.at("/proc")).unwrap();
        fs::write(places.at("/proc/cmdline"), cmdline).unwrap();
        (root, places)
    }

    #[test]
    fn the_disk_is_asked_for_once_and_its_name_is_the_consent() {
        let (root, places) = places_with("tenrec.install=ask");
        let (path, serving) = service(root.path());
        let (mut terminals, mut screen, mut serial) = terminals();
        // Answers wait for their questions: what is typed before is flushed on a terminal, and not on a socket.
        screen.write_all(b"sda\n").unwrap();
        let mut client = Client::connect(&path).unwrap();
        let typist = std::thread::spawn(move || {
            let mut seen = String::new();
            let mut answer = |question: &str, text: &[u8]| {
                let mut byte = [0];
                while !seen.contains(question) {
                    serial.read_exact(&mut byte).unwrap();
                    seen.push(char::from(byte[0]));
                }
                seen.clear();
                serial.write_all(text).unwrap();
            };
            answer("There is no disk sda", b"");
            answer("Enter alone: do not install", b"vda\r");
            answer("no encryption", b"\r");
            answer("press Enter to restart", b"\r");
        });
        ask(&places, &mut client, &mut terminals).unwrap();
        typist.join().unwrap();
        drop(client);
        let asked = serving.join().unwrap();
        assert!(
            asked.iter().any(|line| line.contains("\"install\"") && line.contains("\"vda\"") && line.contains("\"none\"")),
            "{asked:?}"
        );
        assert!(asked.last().unwrap().contains("reboot"), "{asked:?}");
    }

    #[test]
    fn unattended_a_named_disk_is_taken_and_the_machine_goes_down_as_told() {
        let (root, places) = places_with("tenrec.install=auto tenrec.disk=serial:S1 tenrec.install.poweroff");
        let (path, serving) = service(root.path());
        let (mut terminals, _screen, _serial) = terminals();
        auto(&places, &mut Client::connect(&path).unwrap(), &mut terminals).unwrap();
        assert!(serving.join().unwrap().last().unwrap().contains("power_off"));
    }

    #[test]
    fn unattended_nothing_is_taken_that_is_not_named_or_has_data() {
        for (cmdline, words) in [
            ("tenrec.install=auto", "no disk is named"),
            ("tenrec.install=auto tenrec.disk=serial:S9", "no disk matches"),
            ("tenrec.install=auto tenrec.disk=size:16G", "2 disks match"),
            ("tenrec.install=auto tenrec.disk=serial:S2", "tenrec.install.again"),
        ] {
            let (root, places) = places_with(cmdline);
            let (path, serving) = service(root.path());
            let (mut terminals, _screen, _serial) = terminals();
            let error = auto(&places, &mut Client::connect(&path).unwrap(), &mut terminals).unwrap_err().to_string();
            assert!(error.contains(words), "{cmdline}: {error}");
            assert_eq!(serving.join().unwrap().len(), 1, "{cmdline}");
        }
    }
}
