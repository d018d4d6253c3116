//! A capture file, read in stretches: whole, or the blocks that an index names. It may be growing while it is read.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use analyze::Time;
use lz4_flex::frame::FrameDecoder;

use crate::{
    Name,
    record::{FILE_HEADER, RECORD_HEADER, Record, read_header},
};

/// Bytes of an LZ4 frame before its first block, as the sensor writes it: no content size, no dictionary.
const LZ4_HEADER: u64 = 7;
/// Length and checksum of a block.
const LZ4_BLOCK: u64 = 8;
/// A block length of 0.
const LZ4_END: [u8; 4] = [0; 4];
/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A capture file of ours.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Where it is.
    pub path: PathBuf,
    /// What its name tells.
    pub name: Name,
    /// When it was written to last; nothing if the file system does not say.
    pub modified: Option<Time>,
}

/// A part of a file that begins with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Bytes of the file before it, uncompressed.
    pub offset: u64,
    /// Bytes of the file before it on disk.
    pub disk_offset: u64,
    /// Where it ends on disk; nothing for the end of the file, wherever that is.
    pub disk_end: Option<u64>,
}

impl Capture {
    /// Looks at a file; nothing if its name is none of ours.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let name = Name::of(path)?;
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let modified = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let modified = modified.and_then(|time| i64::try_from(time.as_nanos()).ok()).map(Time);
        Some(Self { path: path.to_owned(), name, modified })
    }

    /// All of its records. Of a compressed file they begin within the first block.
    #[must_use]
    pub const fn whole(&self) -> Stretch {
        let disk_offset = if self.name.lz4 { LZ4_HEADER } else { FILE_HEADER as u64 };
        Stretch { offset: if self.name.lz4 { 0 } else { FILE_HEADER as u64 }, disk_offset, disk_end: None }
    }

    /// Opens it.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(&self) -> io::Result<Opened> {
        let file = Arc::new(File::open(&self.path)?);
        let mut header = [0; LZ4_HEADER as usize];
        if self.name.lz4 {
            file.read_exact_at(&mut header, 0)?;
        }
        Ok(Opened { file, lz4: self.name.lz4.then_some(header) })
    }
}

/// An open capture file.
#[derive(Clone, Debug)]
pub struct Opened {
    file: Arc<File>,
    /// How its LZ4 frame begins, if it is one.
    lz4: Option<[u8; LZ4_HEADER as usize]>,
}

impl Opened {
    /// The records of a stretch.
    #[must_use]
    pub fn records(&self, stretch: Stretch) -> Records {
        let section = Section { file: Arc::clone(&self.file), at: stretch.disk_offset, end: stretch.disk_end.unwrap_or(u64::MAX) };
        let source: Box<dyn Read + Send> = match (self.lz4, stretch.disk_end) {
            (None, _) => Box::new(section),
            (Some(header), None) => Box::new(FrameDecoder::new(io::Cursor::new(header).chain(section))),
            // What comes before the end of the file has no end mark.
            (Some(header), Some(_)) => Box::new(FrameDecoder::new(io::Cursor::new(header).chain(section).chain(LZ4_END.as_slice()))),
        };
        // Of a compressed file the header of the capture itself lies in the first block.
        let skip = if stretch.offset == 0 { FILE_HEADER } else { 0 };
        Records { source, buffer: Vec::new(), at: 0, offset: stretch.offset, skip, ended: false, read: 0 }
    }
}

impl Opened {
    /// Where so many blocks of LZ4 end that begin at a place on disk; nothing if they are not all there, or if the file was
    /// not compressed as the sensor does it, in blocks that stand alone.
    pub(crate) fn blocks_end(&self, from: u64, blocks: usize) -> io::Result<Option<u64>> {
        // Version 1, blocks that do not depend on each other and have checksums (LZ4 frame format 1.6.4, FLG).
        const FLAGS: u8 = 0b0111_0000;
        if self.lz4.is_none_or(|[.., flags, _, _]| flags != FLAGS) {
            return Ok(None);
        }
        let length = self.file.metadata()?.len();
        let mut end = from;
        for _ in 0..blocks {
            let mut word = [0; 4];
            match self.file.read_exact_at(&mut word, end) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                read => read?,
            }
            // The highest bit says that the block is not compressed.
            let bytes = u32::from_le_bytes(word) & 0x7fff_ffff;
            end = end.saturating_add(u64::from(bytes) + LZ4_BLOCK);
            if bytes == 0 || end > length {
                return Ok(None);
            }
        }
        Ok(Some(end))
    }
}

/// Bytes of a file from one place to another.
struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The records of a stretch, one after the other.
pub struct Records {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the file before `at`, uncompressed.
    offset: u64,
    skip: usize,
    ended: bool,
    read: u64,
}

impl Records {
    /// Goes to the next record and says where it begins, and when it was captured. Nothing at the end: also at a record
    /// that is not whole yet, or bytes that are none.
    ///
    /// # Errors
    /// If the file cannot be read. What cannot be decompressed is an end: it may just be being written.
    pub fn advance(&mut self) -> io::Result<Option<(At, Time)>> {
        if self.skip > 0 {
            if !self.have(self.skip)? {
                return Ok(None);
            }
            (self.at, self.offset) = (self.skip, self.skip as u64);
            self.skip = 0;
        }
        if !self.have(RECORD_HEADER)? {
            return Ok(None);
        }
        let Some((time, kept, _)) = read_header(self.rest()) else {
            self.ended = true;
            return Ok(None);
        };
        if !self.have(RECORD_HEADER + kept)? {
            return Ok(None);
        }
        let at = At { offset: self.offset, start: self.at };
        self.at += RECORD_HEADER + kept;
        self.offset += (RECORD_HEADER + kept) as u64;
        Ok(Some((at, time)))
    }

    /// The record that was advanced to last.
    #[must_use]
    pub fn record(&self, at: At) -> Option<Record<'_>> {
        Record::read(self.buffer.get(at.start..)?).map(|(record, _)| record)
    }

    /// Where the next record would begin, uncompressed.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether nothing is left that is no record.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.rest().is_empty()
    }

    /// Bytes read so far, uncompressed.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.read
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Sees to it that so many bytes are at hand; false where the file ends.
    fn have(&mut self, wanted: usize) -> io::Result<bool> {
        while self.rest().len() < wanted {
            if self.ended {
                return Ok(false);
            }
            self.buffer.drain(..self.at.min(self.buffer.len()));
            self.at = 0;
            let before = self.buffer.len();
            self.buffer.resize(before + CHUNK.max(wanted), 0);
            let read = self.source.read(self.buffer.get_mut(before..).unwrap_or_default());
            self.buffer.truncate(before + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => self.ended = true,
                Ok(read) => self.read += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // lz4_flex says so of blocks that are cut off or fail their checksum.
                Err(error) if error.get_ref().is_some() || error.kind() == io::ErrorKind::UnexpectedEof => self.ended = true,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// In the file, uncompressed.
    pub offset: u64,
    /// In what was read.
    start: usize,
}
