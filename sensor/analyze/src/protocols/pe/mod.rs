//! Portable Executables on the wire (Microsoft's PE format): their headers, in `pe.log`.
//!
//! Only the beginning of a file is looked at. Non-goals: code, imports and signatures.

mod record;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::files::Content;
use crate::{Output, Reader, Time, Uid};

pub use record::{LOG, Pe};

/// Where the DOS header says where the other headers are.
const NEW_HEADER_AT: usize = 0x3c;

/// Bytes of a section's header behind its name.
const SECTION: usize = 32;

/// Sections; the format allows 96.
const MAX_SECTIONS: u16 = 96;

/// Magic of an optional header with 64 bits.
const PE32_PLUS: u16 = 0x20b;

/// Writes what an executable says of itself.
pub(crate) fn log(content: &Content, out: &mut Output<'_>) {
    if let Some(row) = read(content.at, content.fuid, &content.bytes) {
        out.record(row);
    }
}

/// Reads as far as the bytes go; `None` if not even the machine is known.
fn read(at: Time, fuid: Uid, bytes: &[u8]) -> Option<Pe> {
    let mut reader = Reader::new(bytes.get(NEW_HEADER_AT..)?);
    let start = reader.u32_le()? as usize;
    // The signature is not looked at, as Zeek does not.
    let mut reader = Reader::new(bytes.get(start.checked_add(4)?..)?);
    let machine = reader.u16_le()?;
    let sections = reader.u16_le()?;
    let compiled = reader.u32_le()?;
    // Symbols.
    reader.skip(8)?;
    let optional = reader.u16_le()?;
    let characteristics = reader.u16_le()?;
    let mut row = Pe {
        at,
        fuid,
        machine: machine_name(machine),
        compiled: Time::from_secs(i64::from(compiled)),
        os: None,
        subsystem: None,
        is_exe: optional > 0,
        is_64_bit: characteristics & 0x100 == 0,
        uses_aslr: false,
        uses_dep: false,
        uses_code_integrity: false,
        uses_seh: true,
        has_import_table: None,
        has_export_table: None,
        has_cert_table: None,
        has_debug_data: None,
        sections: None,
    };
    if row.is_exe
        && let Some(header) = reader.take(usize::from(optional))
    {
        let _ = optional_header(&mut row, header);
        let mut names = Vec::new();
        for _ in 0..sections.min(MAX_SECTIONS) {
            let Some(name) = reader.take(8) else { break };
            if reader.skip(SECTION).is_none() {
                break;
            }
            let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
            names.push(name.get(..end).unwrap_or_default().to_vec());
        }
        row.sections = Some(names).filter(|names| !names.is_empty());
    }
    Some(row)
}

fn optional_header(row: &mut Pe, header: &[u8]) -> Option<()> {
    let mut reader = Reader::new(header);
    let is_plus = reader.u16_le()? == PE32_PLUS;
    // Linker, sizes and addresses up to the alignments; the longer form has a longer base and no base of data.
    reader.skip(22 + 8 + 8)?;
    let os = (reader.u16_le()?, reader.u16_le()?);
    // Versions of image, subsystem and Windows, sizes and checksum.
    reader.skip(8 + 4 + 4 + 4 + 4)?;
    let subsystem = reader.u16_le()?;
    let characteristics = reader.u16_le()?;
    row.os = Some(os_name(os));
    row.subsystem = Some(subsystem_name(subsystem));
    row.uses_aslr = characteristics & 0x40 != 0;
    row.uses_code_integrity = characteristics & 0x80 != 0;
    row.uses_dep = characteristics & 0x100 != 0;
    row.uses_seh = characteristics & 0x400 == 0;
    // Sizes of stack and heap, and flags.
    reader.skip(if is_plus { 32 + 4 } else { 16 + 4 })?;
    let count = reader.u32_le().unwrap_or(0);
    let mut sizes = [0u32; 7];
    for size in sizes.iter_mut().take(usize::try_from(count).unwrap_or(usize::MAX)) {
        if reader.skip(4).is_none() {
            break;
        }
        *size = reader.u32_le().unwrap_or(0);
    }
    let [export, import, _, _, certificates, _, debug] = sizes;
    row.has_export_table = Some(export > 0);
    row.has_import_table = Some(import > 0);
    row.has_cert_table = Some(certificates > 0);
    row.has_debug_data = Some(debug > 0);
    Some(())
}

/// Names of machines, subsystems and systems (scripts/base/files/pe/consts.zeek).
fn machine_name(number: u16) -> Cow<'static, str> {
    Cow::Borrowed(match number {
        0x00 => "UNKNOWN",
        0x1d3 => "AM33",
        0x8664 => "AMD64",
        0x1c0 => "ARM",
        0x1c4 => "ARMNT",
        0xaa64 => "ARM64",
        0xebc => "EBC",
        0x14c => "I386",
        0x200 => "IA64",
        0x9041 => "M32R",
        0x266 => "MIPS16",
        0x366 => "MIPSFPU",
        0x466 => "MIPSFPU16",
        0x1f0 => "POWERPC",
        0x1f1 => "POWERPCFP",
        0x166 => "R4000",
        0x1a2 => "SH3",
        0x1a3 => "SH3DSP",
        0x1a6 => "SH4",
        0x1a8 => "SH5",
        0x1c2 => "THUMB",
        0x169 => "WCEMIPSV2",
        _ => return Cow::Owned(format!("unknown-{number}")),
    })
}

fn subsystem_name(number: u16) -> Cow<'static, str> {
    Cow::Borrowed(match number {
        0 => "UNKNOWN",
        1 => "NATIVE",
        2 => "WINDOWS_GUI",
        3 => "WINDOWS_CUI",
        7 => "POSIX_CUI",
        9 => "WINDOWS_CE_GUI",
        10 => "EFI_APPLICATION",
        11 => "EFI_BOOT_SERVICE_DRIVER",
        12 => "EFI_RUNTIME_DRIVER",
        13 => "EFI_ROM",
        14 => "XBOX",
        _ => return Cow::Owned(format!("unknown-{number}")),
    })
}

fn os_name(version: (u16, u16)) -> Cow<'static, str> {
    Cow::Borrowed(match version {
        (10, 0) => "Windows 10",
        (6, 4) => "Windows 10 Technical Preview",
        (6, 3) => "Windows 8.1 or Server 2012 R2",
        (6, 2) => "Windows 8 or Server 2012",
        (6, 1) => "Windows 7 or Server 2008 R2",
        (6, 0) => "Windows Vista or Server 2008",
        (5, 2) => "Windows XP x64 or Server 2003",
        (5, 1) => "Windows XP",
        (5, 0) => "Windows 2000",
        (4, 90) => "Windows Me",
        (4, 10) => "Windows 98",
        (4, 0) => "Windows 95 or NT 4.0",
        (3, 51) => "Windows NT 3.51",
        (3, 50) => "Windows NT 3.5",
        (3, 2) => "Windows 3.2",
        (3, 11) => "Windows for Workgroups 3.11",
        (3, 10) => "Windows 3.1 or NT 3.1",
        (3, 0) => "Windows 3.0",
        (2, 11) => "Windows 2.11",
        (2, 10) => "Windows 2.10",
        (2, 0) => "Windows 2.0",
        (1, 4) => "Windows 1.04",
        (1, 3) => "Windows 1.03",
        (1, 1) => "Windows 1.01",
        (1, 0) => "Windows 1.0",
        (major, minor) => return Cow::Owned(format!("unknown-{major}.{minor}")),
    })
}
