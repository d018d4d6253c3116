//! Updates: a bundle into the slot that does not run, on trial; and the word that the running one is good.
//!
//! The slot is taken out of GRUB's choice before it is written, and is put on trial only when every byte was read back. At no
//! moment does a power cut leave a machine that cannot start.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use settings::appliance::Slot;

use crate::grubenv::{Environment, other};
use crate::install::mount::Mounted;
use crate::install::{copy, layout, make_slot};
use crate::job::Progress;
use crate::places::Places;
use crate::program::Program;
use crate::{bundle, esp, files, medium, services};

/// How long a system on trial may take to prove itself.
const PROOF: Duration = Duration::from_secs(900);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_secs(3);
/// For how long everything must be up in one piece.
const STEADY: Duration = Duration::from_secs(20);

/// Where `serve` leaves the path of the bundle and more keys, for the unit.
pub(crate) fn request_file(places: &Places) -> PathBuf {
    places.run("update.json")
}

/// What the unit is asked for.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Request {
    /// The bundle; it is removed afterwards.
    pub(crate) bundle: PathBuf,
    /// `system.update_keys`.
    pub(crate) keys: Vec<String>,
}

/// The work of tenrec-update.service.
///
/// # Errors
/// When nothing was asked for, or the update failed; the job tells why.
pub(crate) fn run(places: &Places) -> anyhow::Result<()> {
    let path = request_file(places);
    let text = fs::read(&path).context("no update was asked for")?;
    fs::remove_file(&path)?;
    let request: Request = serde_json::from_slice(&text).context("what is asked for is not understood")?;
    let mut progress = Progress::go_on(places, "update");
    let outcome = Disk::booted(places).and_then(|disk| update(places, &disk, &request, &mut progress));
    drop(fs::remove_file(&request.bundle));
    progress.end(&outcome);
    drop(tell_slots(places));
    outcome
}

/// The disk of the running system.
struct Disk {
    device: PathBuf,
    running: String,
}

impl Disk {
    fn booted(places: &Places) -> anyhow::Result<Self> {
        let running = medium::slot(places);
        if running.is_empty() {
            bail!("this is a live system: install it first, or start a newer medium");
        }
        let disk = medium::boot_disk(places).context("the disk that was started from cannot be told")?;
        Ok(Self { device: places.at("/dev").join(disk), running })
    }

    fn esp(&self) -> PathBuf {
        layout::partition(&self.device, layout::ESP)
    }

    fn slot(&self, slot: &str) -> PathBuf {
        layout::partition(&self.device, layout::slot_number(slot))
    }
}

fn update(places: &Places, disk: &Disk, request: &Request, progress: &mut Progress) -> anyhow::Result<()> {
    progress.step("Verify the signature");
    let keys = bundle::keys(places, &request.keys)?;
    let open = || File::open(&request.bundle).map(BufReader::new).context("the bundle is not there");
    let running = medium::version(places);
    let target = other(&disk.running);
    let device = disk.slot(target);

    // The manifest alone, so that a bundle which cannot be taken costs the other slot nothing.
    let manifest = bundle::manifest(open()?, &keys)?;
    manifest.may_follow(&running)?;

    if esp::environment(&disk.esp())?.trial == disk.running {
        bail!("the running system is on trial still: wait until it has proved itself, or restart three times to go back");
    }
    progress.step(format!("Clear slot {target}"));
    esp::change(&disk.esp(), |environment| environment.writing(&disk.running)).context("the slot cannot be taken out of GRUB's choice")?;
    let uuid = uuid_of(&device)?;
    make_slot(&device, target, Some(&uuid))?;
    let mounted = Mounted::at(places, &device, "slot")?;
    let live = mounted.path().join("live");
    fs::create_dir(&live)?;

    progress.step(format!("Write slot {target}"));
    let mut before = 0;
    let mut hashes = Vec::new();
    let written = bundle::read(open()?, &keys, |part, mut from| {
        let done = |done| progress.fraction(before + done, manifest.bytes());
        let (size, hash) = copy::to_disk(&mut from, &live.join(&part.name), done)?;
        if size != part.size || Some(hash) != part.hash() {
            bail!("{} is not what the manifest says: the bundle is damaged", part.name);
        }
        before += size;
        hashes.push((part.name.clone(), hash));
        Ok(())
    })?;
    if written != manifest {
        bail!("the bundle was changed while it was read");
    }
    fs::write(mounted.path().join("version"), format!("{}\n", manifest.version))?;
    mounted.sync()?;
    progress.step("Compare what is on the disk");
    for (name, hash) in hashes {
        copy::verify(&live.join(name), &hash)?;
    }
    mounted.unmount()?;
    progress.step(format!("Put slot {target} on trial"));
    esp::change(&disk.esp(), |environment| environment.written(&disk.running, &manifest.version))?;
    progress.step(format!("Done: version {} starts at the next restart, and stays if it proves itself", manifest.version));
    Ok(())
}

/// UUID of a slot's file system, which grub.cfg knows it by.
fn uuid_of(device: &Path) -> anyhow::Result<String> {
    let uuid = Program::new("blkid")
        .args(["-p", "-o", "value", "-s", "UUID"])
        .arg(device.to_string_lossy())
        .run()
        .context("the slot's number cannot be read")?;
    Ok(uuid.trim().to_owned())
}

/// The slots, as `serve` tells them; it cannot read disks itself.
pub(crate) fn slots_file(places: &Places) -> PathBuf {
    places.run("slots.json")
}

/// The work of tenrec-slots.service: looks which slot starts, and leaves it where `serve` reads it.
///
/// # Errors
/// When the disk cannot be read.
pub(crate) fn tell_slots(places: &Places) -> anyhow::Result<()> {
    let slots = match Disk::booted(places) {
        Ok(disk) => slots(&esp::environment(&disk.esp())?, &disk.running),
        Err(_) => Vec::new(),
    };
    files::write(places, &slots_file(places), &serde_json::to_vec(&slots)?, files::Access::PRIVATE)?;
    Ok(())
}

fn slots(environment: &Environment, running: &str) -> Vec<Slot> {
    let slot = |name: &str| Slot {
        name: name.to_owned(),
        version: environment.versions.get(name).cloned().unwrap_or_default(),
        running: name == running,
        next: name == environment.next(),
        tries: (name == environment.trial).then_some(environment.tries),
    };
    vec![slot("a"), slot("b")]
}

/// What the operator should know of them: an update that did not prove itself.
pub(crate) fn note(slots: &[Slot]) -> Option<String> {
    let failed = slots.iter().find(|slot| slot.tries == Some(0) && !slot.running)?;
    Some(format!(
        "Version {} in slot {} did not prove itself in three starts, so the former system runs again.",
        failed.version, failed.name
    ))
}

/// The work of tenrec-good.service: waits until the web UI answers and the sensor is up, and makes the running slot the one that
/// starts. On trial, a system that cannot prove itself restarts the machine.
///
/// # Errors
/// When the system does not prove itself, or the disk cannot be written.
pub(crate) fn good(places: &Places) -> anyhow::Result<()> {
    let disk = Disk::booted(places)?;
    let environment = esp::environment(&disk.esp())?;
    let on_trial = environment.trial == disk.running;
    if environment.slot == disk.running && environment.trial.is_empty() {
        return tell_slots(places);
    }
    if !on_trial {
        tracing::warn!(slot = disk.running, trial = environment.trial, tries = environment.tries, "not on trial: nothing is changed");
        return tell_slots(places);
    }
    match prove(places) {
        Ok(()) => {
            esp::change(&disk.esp(), |environment| environment.good(&disk.running))?;
            tracing::info!(slot = disk.running, "the system has proved itself");
            tell_slots(places)
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the system on trial does not prove itself: the machine starts again");
            Program::new("systemctl").args(["--no-block", "--no-wall", "reboot"]).run()?;
            Err(error)
        }
    }
}

fn prove(places: &Places) -> anyhow::Result<()> {
    let deadline = Instant::now() + PROOF;
    let mut since: Option<Instant> = None;
    let mut said = String::new();
    loop {
        let outcome = is_up(places);
        let word = outcome.as_ref().map_or_else(|error| format!("{error:#}"), |()| "all is up".to_owned());
        if word != said {
            tracing::info!("on trial: {word}");
            said = word;
        }
        match outcome {
            Ok(()) if since.get_or_insert_with(Instant::now).elapsed() >= STEADY => return Ok(()),
            Ok(()) => {}
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => since = None,
        }
        std::thread::sleep(LOOK);
    }
}

fn is_up(places: &Places) -> anyhow::Result<()> {
    for unit in ["tenrec-appliance.service", "tenrec-web.service"] {
        if !services::is_active(unit) {
            bail!("{unit} is not up");
        }
    }
    crate::fetch::web_answers()?;
    if places.run("sensor").exists() && !services::is_active("tenrec.service") {
        bail!("tenrec.service is not up");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::testing;
    use crate::install::tests::installed_disk;

    #[test]
    fn a_bundle_goes_into_the_other_slot_on_trial_and_a_bad_one_changes_nothing() {
        let Some((loop_disk, root, places)) = installed_disk() else { return };
        let disk = Disk { device: loop_disk.device.clone(), running: "a".to_owned() };
        fs::create_dir_all(places.at("/etc")).unwrap();
        fs::write(places.at("/etc/os-release"), "IMAGE_VERSION=9.9\n").unwrap();
        let system: Vec<u8> = vec![7; 20_000_000];
        let files: [(&str, &[u8]); 3] = [("vmlinuz", b"kernel"), ("initrd.img", b"initrd"), ("filesystem.squashfs", &system)];
        let path = root.path().join("update.tenrec");
        let update_with = |(bytes, key): (Vec<u8>, String)| {
            fs::write(&path, bytes).unwrap();
            let request = Request { bundle: path.clone(), keys: vec![key] };
            update(&places, &disk, &request, &mut Progress::begin(&places, "update")).map_err(|error| format!("{error:#}"))
        };
        let before = esp::environment(&disk.esp()).unwrap();
        esp::change(&disk.esp(), |environment| environment.trial = "a".to_owned()).unwrap();
        assert!(update_with(testing::make("10.0", "1.0", &files)).unwrap_err().contains("on trial"));
        esp::change(&disk.esp(), |environment| environment.good("a")).unwrap();
        assert!(update_with(testing::make("9.8", "1.0", &files)).unwrap_err().contains("older"));
        let (bundle, _) = testing::make("10.0", "1.0", &files);
        assert!(update_with((bundle, testing::make("1", "1", &files).1)).unwrap_err().contains("not signed"));
        assert_eq!(esp::environment(&disk.esp()).unwrap(), before);

        let (mut bundle, key) = testing::make("10.0", "1.0", &files);
        let damaged = bundle.len() - 10_000_000;
        bundle[damaged] ^= 1;
        assert!(update_with((bundle, key)).unwrap_err().contains("damaged"));
        assert_eq!(esp::environment(&disk.esp()).unwrap().start(), "a");

        update_with(testing::make("10.0", "1.0", &files)).unwrap();
        let mut environment = esp::environment(&disk.esp()).unwrap();
        assert_eq!(
            (environment.start(), environment.versions["b"].as_str(), environment.versions["a"].as_str()),
            ("b".to_owned(), "10.0", "9.9")
        );
        let mounted = Mounted::at(&places, &disk.slot("b"), "check").unwrap();
        assert!(fs::read(mounted.path().join("live/filesystem.squashfs")).unwrap() == system);
        assert_eq!(fs::read_to_string(mounted.path().join("version")).unwrap(), "10.0\n");
        mounted.unmount().unwrap();
    }

    #[test]
    fn slots_tell_what_runs_what_is_next_and_what_failed() {
        let mut environment =
            Environment { slot: "a".to_owned(), versions: [("a".to_owned(), "1.0".to_owned())].into(), ..Environment::default() };
        environment.written("a", "1.1");
        let told = slots(&environment, "a");
        assert_eq!((told[0].running, told[0].next, told[0].tries), (true, false, None));
        assert_eq!((told[1].running, told[1].next, told[1].tries, told[1].version.as_str()), (false, true, Some(3), "1.1"));
        assert_eq!(note(&told), None);
        for _ in 0..3 {
            environment.start();
        }
        let told = slots(&environment, "a");
        assert!(told[0].next && note(&told).unwrap().contains("1.1 in slot b"));
        assert_eq!(note(&slots(&environment, "b")), None);
    }
}
