//! GRUB on an installed disk: for UEFI Debian's signed shim and GRUB, for BIOS a core that holds all modules it needs, and one
//! grub.cfg for both, which picks the slot.
//!
//! The core is made by grub-mkimage and put where grub-bios-setup would put it, without that program's search for the device of
//! a mounted folder: the EFI system partition is never mounted.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::layout;
use crate::grubenv::Environment;
use crate::places::Places;
use crate::program::Program;

/// Bytes of a sector in GRUB's blocklists, whatever the disk's are.
const SECTOR: usize = 512;
/// Modules of the core: what grub.cfg needs, and nothing is loaded later.
const MODULES: &[&str] = &[
    "biosdisk",
    "part_gpt",
    "fat",
    "ext2",
    "normal",
    "configfile",
    "linux",
    "loadenv",
    "test",
    "true",
    "regexp",
    "serial",
    "terminal",
    "echo",
    "reboot",
    "halt",
    "minicmd",
];

/// What a disk's GRUB must know of it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// UUIDs of the file systems of slots a and b: they stay when a slot is written anew.
    pub(crate) slots: [String; 2],
    /// The machine's number for the journal, 32 hexadecimal digits: the read-only system has none of its own.
    pub(crate) machine: String,
}

/// Everything on the EFI system partition.
///
/// # Errors
/// When GRUB or shim is not there.
pub(crate) fn esp_files(places: &Places, identity: &Identity, version: &str) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let read = |path: &str| fs::read(places.at(path)).with_context(|| format!("cannot read {path}"));
    let shim = read("/usr/lib/shim/shimx64.efi.signed")?;
    let keys = read("/usr/lib/shim/mmx64.efi.signed")?;
    let grub = read("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")?;
    let config = grub_cfg(identity).into_bytes();
    let environment =
        Environment { slot: "a".to_owned(), versions: [("a".to_owned(), version.to_owned())].into(), ..Environment::default() };
    Ok(vec![
        // UEFI §3.5.1.1: where firmware looks by itself. GRUB is looked for beside shim, and looks in EFI/debian for its settings.
        ("EFI/BOOT/BOOTX64.EFI", shim),
        ("EFI/BOOT/mmx64.efi", keys),
        ("EFI/BOOT/grubx64.efi", grub),
        ("EFI/debian/grub.cfg", config.clone()),
        ("grub/grub.cfg", config),
        ("grub/grubenv", environment.to_block()),
    ])
}

/// GRUB's settings. The trial of a slot is [`Environment::start`]; `tries` is lowered on disk before the kernel is loaded, and a
/// slot whose start cannot be counted is not tried.
pub(crate) fn grub_cfg(identity: &Identity) -> String {
    let [a, b] = &identity.slots;
    let machine = &identity.machine;
    let (number_a, number_b) = (layout::SLOT_A, layout::SLOT_B);
    format!(
        r#"# By tenrec-appliance, when this disk was installed.
if serial --unit=0 --speed=115200; then
    terminal_input console serial
    terminal_output console serial
fi
set timeout_style=menu
set timeout=1
# Nobody has this name: entries can be chosen and not edited, since a kernel parameter is as good as root.
set superusers=nobody

# root is the EFI system partition that GRUB came from. The slots are on the same disk, whatever else is attached.
set esp=$root
regexp --set=1:disk '^([^,]+)' "$root"
load_env --file ($esp)/grub/grubenv slot trial tries

if [ "$slot" != b ]; then set slot=a; fi
set pick=$slot
set left=
if [ "$tries" = 3 ]; then set left=2; fi
if [ "$tries" = 2 ]; then set left=1; fi
if [ "$tries" = 1 ]; then set left=0; fi
if [ "$trial" = a -o "$trial" = b ]; then
    if [ -n "$left" ]; then
        set tries=$left
        if save_env --file ($esp)/grub/grubenv tries; then set pick=$trial; fi
    fi
fi
# A slot without a system is no choice.
if [ "$pick" = a -a ! -f ($disk,gpt{number_a})/live/vmlinuz ]; then set pick=b; fi
if [ "$pick" = b -a ! -f ($disk,gpt{number_b})/live/vmlinuz ]; then set pick=a; fi

# The other one is tried when a kernel cannot even be loaded.
if [ "$pick" = b ]; then set default=b; set fallback=a; else set default=a; set fallback=b; fi
set common="boot=live console=tty0 console=ttyS0,115200 lsm=landlock,lockdown,yama transparent_hugepage=madvise panic=10 systemd.machine_id={machine}"
set quiet="quiet loglevel=3 systemd.show_status=no"

menuentry "Tenrec, slot a" --id a --unrestricted {{
    linux ($disk,gpt{number_a})/live/vmlinuz $common $quiet live-media=/dev/disk/by-uuid/{a} tenrec.slot=a
    initrd ($disk,gpt{number_a})/live/initrd.img
}}
menuentry "Tenrec, slot b" --id b --unrestricted {{
    linux ($disk,gpt{number_b})/live/vmlinuz $common $quiet live-media=/dev/disk/by-uuid/{b} tenrec.slot=b
    initrd ($disk,gpt{number_b})/live/initrd.img
}}
menuentry "Tenrec, slot $pick, and tell what it does" --id verbose --unrestricted {{
    if [ "$pick" = b ]; then
        linux ($disk,gpt{number_b})/live/vmlinuz $common loglevel=6 live-media=/dev/disk/by-uuid/{b} tenrec.slot=b
        initrd ($disk,gpt{number_b})/live/initrd.img
    else
        linux ($disk,gpt{number_a})/live/vmlinuz $common loglevel=6 live-media=/dev/disk/by-uuid/{a} tenrec.slot=a
        initrd ($disk,gpt{number_a})/live/initrd.img
    fi
}}
"#
    )
}

/// Puts GRUB into the BIOS partition and into the master boot record.
///
/// # Errors
/// When GRUB is not there, or does not fit.
pub(crate) fn write_bios(places: &Places, disk: &Path) -> anyhow::Result<()> {
    let folder = places.at("/usr/lib/grub/i386-pc");
    let boot = fs::read(folder.join("boot.img")).context("cannot read GRUB's boot.img")?;
    let work = tempfile::tempdir().context("no temporary folder")?;
    let made = work.path().join("core.img");
    Program::new("grub-mkimage")
        .args(["--format=i386-pc", &format!("--prefix=(,gpt{})/grub", layout::ESP)])
        .args([format!("--directory={}", folder.display()), format!("--output={}", made.display())])
        .args(MODULES.iter().copied())
        .within(Duration::from_secs(60))
        .run()
        .context("GRUB's core cannot be made")?;
    let core = fs::read(&made)?;
    let mut device = OpenOptions::new().read(true).write(true).open(disk).with_context(|| format!("cannot write {}", disk.display()))?;
    embed(&mut device, &boot, core, layout::BIOS_SECTOR, layout::BIOS_SECTORS)?;
    device.sync_all()?;
    Ok(())
}

/// Offsets of GRUB 2's images (its include/grub/i386/pc/boot.h): where boot.img keeps the sector of the core, where the code of
/// a master boot record ends, and where the core's first sector keeps the list of the rest.
const KERNEL_SECTOR: usize = 0x5c;
const CODE_END: usize = 0x1b8;
const BLOCKLIST: usize = SECTOR - 12;
/// A jump over a check of the boot drive, in boot.img, that is blanked for BIOSes that hand over a right one.
const DRIVE_CHECK: usize = 0x66;
/// The BIOS parameter block, which boot.img leaves to the disk's.
const PARAMETERS: std::ops::Range<usize> = 0x3..0x5a;

fn embed(device: &mut File, boot: &[u8], mut core: Vec<u8>, first: u64, room: u64) -> anyhow::Result<()> {
    if boot.len() != SECTOR || core.len() <= SECTOR {
        bail!("GRUB's images are not what they should be");
    }
    core.resize(core.len().next_multiple_of(SECTOR), 0);
    let sectors = (core.len() / SECTOR) as u64;
    if sectors > room {
        bail!("GRUB's core takes {sectors} sectors, and there are {room}");
    }
    // The first sector of the core loads the rest: start (8 bytes), number of sectors (2), segment, which is there already.
    put(&mut core, BLOCKLIST, &(first + 1).to_le_bytes())?;
    put(&mut core, BLOCKLIST + 8, &u16::try_from(sectors - 1)?.to_le_bytes())?;
    device.seek(SeekFrom::Start(first * SECTOR as u64))?;
    device.write_all(&core)?;

    let mut record = [0; SECTOR];
    device.seek(SeekFrom::Start(0))?;
    device.read_exact(&mut record)?;
    let mut code = boot.to_vec();
    put(&mut code, KERNEL_SECTOR, &first.to_le_bytes())?;
    put(&mut code, DRIVE_CHECK, &[0x90, 0x90])?;
    let parameters = record.get(PARAMETERS).unwrap_or_default().to_vec();
    put(&mut code, PARAMETERS.start, &parameters)?;
    // What follows the code is the disk's: its number and the protective partition table.
    let code = code.get(..CODE_END).unwrap_or_default();
    device.seek(SeekFrom::Start(0))?;
    device.write_all(code)?;
    Ok(())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> anyhow::Result<()> {
    bytes.get_mut(at..at + value.len()).context("GRUB's image is too short")?.copy_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn identity() -> Identity {
        Identity { slots: ["aaaa-1".to_owned(), "bbbb-2".to_owned()], machine: "0123456789abcdef0123456789abcdef".to_owned() }
    }

    #[test]
    fn every_slot_is_started_from_its_own_partition_and_counted_first() {
        let text = grub_cfg(&identity());
        let save = text.find("save_env").unwrap();
        assert!(save < text.find("linux ").unwrap());
        for line in text.lines().filter(|line| line.trim_start().starts_with("linux ")) {
            let (part, uuid) = if line.contains("tenrec.slot=a") { ("gpt3", "aaaa-1") } else { ("gpt4", "bbbb-2") };
            assert!(line.contains(part) && line.contains(uuid), "{line}");
        }
        assert_eq!(text.matches("--unrestricted").count(), text.matches("menuentry").count());
    }

    #[test]
    fn grub_itself_finds_no_fault_with_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grub.cfg");
        fs::write(&path, grub_cfg(&identity())).unwrap();
        match Program::new("grub-script-check").arg(path.to_string_lossy()).run() {
            Ok(_) => {}
            Err(crate::program::ProgramError::Start { .. }) => println!("SKIPPED: no grub-script-check here"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_partition_table_stays_and_the_core_knows_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let mut record = vec![0xee; SECTOR];
        record[510..].copy_from_slice(&[0x55, 0xaa]);
        fs::write(&path, &record).unwrap();
        let mut device = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        embed(&mut device, &[0x11; SECTOR], vec![0x22; 3 * SECTOR + 1], 2048, 2048).unwrap();
        let disk = fs::read(&path).unwrap();
        assert_eq!(disk[CODE_END..SECTOR], record[CODE_END..]);
        assert_eq!(disk[KERNEL_SECTOR..KERNEL_SECTOR + 8], 2048_u64.to_le_bytes());
        let core = &disk[2048 * SECTOR..];
        assert_eq!(core[BLOCKLIST..BLOCKLIST + 10], [&2049_u64.to_le_bytes()[..], &3_u16.to_le_bytes()[..]].concat());
        assert!(embed(&mut device, &[0x11; SECTOR], vec![0x22; 3 * SECTOR], 2048, 2).is_err());
        assert!(embed(&mut device, &[0x11; 100], vec![0x22; 3 * SECTOR], 2048, 2048).is_err());
    }
}
