//! The disks of this machine, what is on them, and which of them may be installed to.
//!
//! Never the medium that this system runs from, nothing that is in use, nothing too small.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use settings::appliance::DiskFound;

use crate::medium;
use crate::places::Places;
use crate::program::Program;

/// Bytes of a disk at least: the system takes 2.3 GiB, and data wants some room.
pub(crate) const SMALLEST: u64 = 8 << 30;
/// Lines about one disk's contents at most.
const MAX_CONTENTS: usize = 16;
const COLUMNS: &str = "NAME,TYPE,SIZE,MODEL,SERIAL,RO,FSTYPE,LABEL,PARTLABEL,MOUNTPOINTS";

#[derive(Debug, Deserialize)]
struct Listing {
    blockdevices: Vec<Device>,
}

/// A device as lsblk tells of it; what it does not know is null.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Device {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    size: Option<u64>,
    model: Option<String>,
    serial: Option<String>,
    ro: Option<bool>,
    fstype: Option<String>,
    label: Option<String>,
    partlabel: Option<String>,
    mountpoints: Vec<Option<String>>,
    children: Vec<Device>,
}

/// All disks but the one that this system was started from.
///
/// # Errors
/// When lsblk does not answer.
pub(crate) fn list(places: &Places) -> anyhow::Result<Vec<DiskFound>> {
    let text = Program::new("lsblk").args(["--json", "--bytes", "--output", COLUMNS]).run().context("the disks cannot be listed")?;
    parse(&text, medium::boot_disk(places).as_deref())
}

fn parse(text: &str, boot: Option<&str>) -> anyhow::Result<Vec<DiskFound>> {
    let listing: Listing = serde_json::from_str(text).context("lsblk's answer is not understood")?;
    let disks = listing.blockdevices.iter().filter(|device| device.kind.as_deref() == Some("disk") && device.name.as_deref() != boot);
    // Memory and read-only odds and ends (zram, empty card readers) are no disks to a person.
    Ok(disks.filter(|device| device.size.unwrap_or(0) > 0 && !text_of(&device.name).starts_with("zram")).map(found).collect())
}

fn text_of(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default().trim()
}

fn found(device: &Device) -> DiskFound {
    let bytes = device.size.unwrap_or(0);
    let mut contents = Vec::new();
    describe(device, &mut contents);
    contents.truncate(MAX_CONTENTS);
    let refused = if device.ro == Some(true) {
        "it is read-only".to_owned()
    } else if bytes < SMALLEST {
        format!("it is too small: {} at least", size(SMALLEST))
    } else if let Some(at) = mounted(device) {
        format!("it is in use: {at}")
    } else {
        String::new()
    };
    DiskFound {
        id: text_of(&device.name).to_owned(),
        model: text_of(&device.model).to_owned(),
        serial: text_of(&device.serial).to_owned(),
        bytes,
        contents,
        refused,
    }
}

fn describe(device: &Device, lines: &mut Vec<String>) {
    let what = [text_of(&device.partlabel), text_of(&device.label), text_of(&device.fstype)];
    let mut words: Vec<&str> = what.into_iter().filter(|word| !word.is_empty()).collect();
    words.dedup();
    if device.kind.as_deref() != Some("disk") || !words.is_empty() {
        lines.push(format!(
            "{}: {}, {}",
            text_of(&device.name),
            size(device.size.unwrap_or(0)),
            if words.is_empty() { "unknown".to_owned() } else { words.join(", ") }
        ));
    }
    for child in &device.children {
        describe(child, lines);
    }
}

/// Where it or a part of it is mounted, or that it is swapped to.
fn mounted(device: &Device) -> Option<&str> {
    let here = device.mountpoints.iter().flatten().map(String::as_str).find(|at| !at.is_empty());
    here.or_else(|| device.children.iter().find_map(mounted))
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib >= 1024.0 {
        format!("{:.1} TiB", gib / 1024.0)
    } else if gib >= 10.0 {
        format!("{gib:.0} GiB")
    } else if gib >= 1.0 {
        format!("{gib:.1} GiB")
    } else {
        format!("{:.0} MiB", gib * 1024.0)
    }
}

/// The one disk that a kernel parameter names, `serial:S` or `size:500G` (also `M`).
///
/// A serial number must match whole. A size matches disks that are sold or made as such: that many times 10^9 or 2^30 bytes
/// (10^6 or 2^20), within half a unit.
///
/// # Errors
/// When it names none, or more than one, or one that may not be taken. The disks are told then.
pub(crate) fn choose<'a>(disks: &'a [DiskFound], wanted: &str) -> anyhow::Result<&'a DiskFound> {
    let there = || {
        let lines = disks.iter().map(|disk| {
            let refused = if disk.refused.is_empty() { String::new() } else { format!(" ({})", disk.refused) };
            format!("{} serial:{} size:{}M{refused}", disk.id, disk.serial, disk.bytes >> 20)
        });
        let lines: Vec<String> = lines.collect();
        if lines.is_empty() { "there is no disk but the medium".to_owned() } else { format!("there are: {}", lines.join(", ")) }
    };
    let matches: Vec<&DiskFound> = match wanted.split_once(':') {
        Some(("serial", serial)) if !serial.is_empty() => disks.iter().filter(|disk| disk.serial == serial).collect(),
        Some(("size", text)) => {
            let units =
                size_units(text).with_context(|| format!("tenrec.disk=size:{text} is no size: write it like size:500G or size:16384M"))?;
            disks.iter().filter(|disk| units.iter().any(|(number, unit)| (disk.bytes + unit / 2) / unit == *number)).collect()
        }
        _ => bail!("no disk is named: tenrec.disk=serial:NUMBER or tenrec.disk=size:500G; {}", there()),
    };
    match matches.as_slice() {
        [disk] if disk.refused.is_empty() => Ok(disk),
        [disk] => bail!("{} cannot be taken: {}", disk.id, disk.refused),
        [] => bail!("no disk matches {wanted}; {}", there()),
        _ => bail!("{} disks match {wanted}; {}", matches.len(), there()),
    }
}

fn size_units(text: &str) -> Option<[(u64, u64); 2]> {
    let (number, units) = match text.split_at_checked(text.len().checked_sub(1)?)? {
        (number, "G") => (number, [1_000_000_000, 1 << 30]),
        (number, "M") => (number, [1_000_000, 1 << 20]),
        _ => return None,
    };
    let number = number.parse().ok().filter(|number| *number > 0)?;
    Some(units.map(|unit| (number, unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LSBLK: &str = r#"{"blockdevices":[
        {"name":"sda","type":"disk","size":500107862016,"model":"Samsung SSD 870 ","serial":"S1","ro":false,"fstype":null,"label":null,"partlabel":null,"mountpoints":[null],
         "children":[{"name":"sda1","type":"part","size":500105249280,"fstype":"ntfs","label":"Windows","partlabel":"Basic","ro":false,"mountpoints":[null]}]},
        {"name":"sdb","type":"disk","size":16008609792,"model":"Stick","serial":"S2","ro":false,"mountpoints":[]},
        {"name":"sdc","type":"disk","size":4000000000,"serial":"S3","ro":false,"mountpoints":[null]},
        {"name":"sdd","type":"disk","size":500107862016,"serial":null,"ro":false,"mountpoints":[null],
         "children":[{"name":"sdd1","type":"part","size":1,"children":[{"name":"dm-0","type":"crypt","size":1,"mountpoints":["/srv"]}]}]},
        {"name":"sr0","type":"rom","size":300000000,"mountpoints":["/run/live/medium"]},
        {"name":"vda","type":"disk","size":17179869184,"serial":"V1","ro":false,"mountpoints":[null]}]}"#;

    fn disks() -> Vec<DiskFound> {
        parse(LSBLK, Some("sdb")).unwrap()
    }

    #[test]
    fn the_medium_is_not_offered_and_what_cannot_be_taken_says_why() {
        let disks = disks();
        assert_eq!(disks.iter().map(|disk| disk.id.as_str()).collect::<Vec<_>>(), ["sda", "sdc", "sdd", "vda"]);
        assert_eq!(disks[0].contents, ["sda1: 466 GiB, Basic, Windows, ntfs"]);
        assert_eq!((disks[0].model.as_str(), disks[0].refused.as_str()), ("Samsung SSD 870", ""));
        assert!(disks[1].refused.contains("too small") && disks[2].refused.contains("/srv"), "{disks:?}");
    }

    #[test]
    fn exactly_one_disk_must_match() {
        let disks = disks();
        let chosen = |wanted: &str| choose(&disks, wanted).map(|disk| disk.id.clone()).map_err(|error| error.to_string());
        assert_eq!(chosen("serial:S1").unwrap(), "sda");
        assert_eq!(chosen("size:16G").unwrap(), "vda");
        assert_eq!(chosen("size:16384M").unwrap(), "vda");
        assert!(chosen("size:500G").unwrap_err().contains("2 disks match"));
        for (wanted, words) in [
            ("", "no disk is named"),
            ("serial:", "no disk is named"),
            ("serial:S", "no disk matches"),
            ("serial:S3", "too small"),
            ("serial:S2", "no disk matches"),
            ("size:17T", "is no size"),
            ("size:0G", "is no size"),
            ("vda", "no disk is named"),
        ] {
            assert!(chosen(wanted).unwrap_err().contains(words), "{wanted}");
        }
        assert!(chosen("serial:x").unwrap_err().contains("vda serial:V1 size:16384M"));
        assert!(choose(&[], "serial:x").unwrap_err().to_string().contains("no disk but the medium"));
    }
}
