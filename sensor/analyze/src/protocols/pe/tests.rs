use super::read;
use crate::{Time, UidSource};

#[test]
fn headers_are_read_as_far_as_they_go() {
    let mut file = b"MZ".to_vec();
    file.resize(0x3c, 0);
    file.extend(0x40u32.to_le_bytes());
    file.extend(b"PE\0\0\x64\x86\x02\0\x01\0\0\0\0\0\0\0\0\0\0\0\xf0\0\x22\0");
    let mut optional = vec![0; 240];
    optional[..2].copy_from_slice(&[0x0b, 2]);
    optional[40] = 6;
    optional[68..72].copy_from_slice(&[3, 0, 0x40, 1]);
    optional[108] = 16;
    optional[116] = 1;
    optional[124] = 1;
    file.extend(optional);
    for name in [b".text\0\0\0", b".longest"] {
        file.extend(name);
        file.extend([0; 32]);
    }
    let fuid = UidSource::new(1).file();
    let pe = read(Time::default(), fuid, &file).unwrap();
    assert_eq!((&*pe.machine, pe.compiled.secs(), pe.is_exe, pe.is_64_bit), ("AMD64", 1, true, true));
    assert_eq!((pe.os.as_deref(), pe.subsystem.as_deref()), (Some("Windows Vista or Server 2008"), Some("WINDOWS_CUI")));
    assert_eq!((pe.uses_aslr, pe.uses_dep, pe.uses_seh), (true, true, true));
    assert_eq!((pe.has_export_table, pe.has_import_table, pe.has_debug_data), (Some(true), Some(true), Some(false)));
    assert_eq!(pe.sections.unwrap(), [b".text".to_vec(), b".longest".to_vec()]);
    for len in 0..file.len() {
        let _ = read(Time::default(), fuid, &file[..len]);
    }
}
