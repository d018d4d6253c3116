//! Files into a slot: copied, forced to the disk, read back and compared.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::fs::{Advice, fadvise};
use sha2::{Digest as _, Sha256};

/// Bytes at a time.
const PIECE: usize = 1 << 20;

/// SHA-256 of bytes.
pub(crate) type Hash = [u8; 32];

/// Copies all of `from` to a new file, forces it to the disk, and gives its size and hash. `done` hears of each piece.
///
/// # Errors
/// When it cannot be read or written.
pub(crate) fn to_disk(from: &mut impl Read, to: &Path, mut done: impl FnMut(u64)) -> anyhow::Result<(u64, Hash)> {
    let mut file = File::create_new(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut hash = Sha256::new();
    let mut size = 0;
    each_piece(from, |piece| {
        hash.update(piece);
        size += piece.len() as u64;
        file.write_all(piece)?;
        done(size);
        Ok(())
    })
    .with_context(|| format!("cannot write {}", to.display()))?;
    file.sync_all().with_context(|| format!("cannot write {}", to.display()))?;
    Ok((size, hash.finalize().into()))
}

/// Reads a file back from the disk, not from memory, and compares.
///
/// # Errors
/// When it is not what was written.
pub(crate) fn verify(path: &Path, expected: &Hash) -> anyhow::Result<()> {
    let mut file = File::open(path).with_context(|| format!("cannot read {} back", path.display()))?;
    // It was forced to the disk before, so nothing keeps its pages in memory.
    fadvise(&file, 0, None, Advice::DontNeed).with_context(|| format!("cannot read {} back", path.display()))?;
    let mut hash = Sha256::new();
    each_piece(&mut file, |piece| {
        hash.update(piece);
        Ok(())
    })
    .with_context(|| format!("cannot read {} back", path.display()))?;
    if hash.finalize().as_slice() != expected {
        bail!("{} is not on the disk as it was written: the disk is damaged", path.display());
    }
    Ok(())
}

fn each_piece(from: &mut impl Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(buffer.get(..length).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back_and_a_changed_bit_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        let mut seen = 0;
        let (size, hash) = to_disk(&mut bytes.as_slice(), &path, |done| seen = done).unwrap();
        assert_eq!((size, seen), (3_000_000, 3_000_000));
        verify(&path, &hash).unwrap();
        let mut changed = std::fs::read(&path).unwrap();
        changed[2_000_000] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(verify(&path, &hash).unwrap_err().to_string().contains("damaged"));
        assert!(to_disk(&mut bytes.as_slice(), &path, |_| ()).is_err());
    }
}
