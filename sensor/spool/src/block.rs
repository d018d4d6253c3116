//! One block: records in, bytes out, and back. Knows no files.

/// Bytes of one record at most: a scan result with all its strings stays below.
pub const MAX_RECORD: usize = 16 << 20;

/// Bytes of the header: length, checksum, sequence.
pub(crate) const HEADER: usize = 16;

/// Bytes of a payload before the packed records: count, unpacked length.
const PREFIX: usize = 8;

/// Bytes that a block's records may unpack to: one longest record, or many that began below it.
const MAX_UNPACKED: usize = MAX_RECORD + (1 << 20);

/// Bytes that a payload may have: LZ4 grows what does not compress by 1/255 at most.
pub(crate) const MAX_PAYLOAD: usize = PREFIX + MAX_UNPACKED + MAX_UNPACKED / 255 + 64;

/// What stands before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the payload.
    pub(crate) length: usize,
    checksum: u32,
    /// Sequence number of the first record.
    pub(crate) sequence: u64,
}

impl Header {
    /// The header in the first bytes of `bytes`; `None` for too few bytes or an impossible length.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (checksum, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, _) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let sequence = u64::from_le_bytes(*sequence);
        let possible = (PREFIX..=MAX_PAYLOAD).contains(&length) && sequence > 0;
        possible.then_some(Self { length, checksum: u32::from_le_bytes(*checksum), sequence })
    }

    /// The number of records in a payload whose checksum is right.
    pub(crate) fn count(&self, payload: &[u8]) -> Option<u32> {
        let count = payload.first_chunk::<4>()?;
        (self.checksum == checksum(self.sequence, payload)).then_some(u32::from_le_bytes(*count)).filter(|count| *count > 0)
    }
}

fn checksum(sequence: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&sequence.to_le_bytes()), payload)
}

/// Adds a record to the records of a block under way.
pub(crate) fn push(records: &mut Vec<u8>, record: &[u8]) {
    // MAX_RECORD fits into 32 bits; the caller has checked against it.
    records.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
    records.extend_from_slice(record);
}

/// The block of `count` records that begins with `sequence`.
pub(crate) fn encode(sequence: u64, count: u32, records: &[u8]) -> Vec<u8> {
    let packed = lz4_flex::block::compress(records);
    let mut block = Vec::with_capacity(HEADER + PREFIX + packed.len());
    block.extend_from_slice(&u32::try_from(PREFIX + packed.len()).unwrap_or(u32::MAX).to_le_bytes());
    block.extend_from_slice(&[0; 4]);
    block.extend_from_slice(&sequence.to_le_bytes());
    block.extend_from_slice(&count.to_le_bytes());
    block.extend_from_slice(&u32::try_from(records.len()).unwrap_or(u32::MAX).to_le_bytes());
    block.extend_from_slice(&packed);
    let sum = checksum(sequence, block.get(HEADER..).unwrap_or_default());
    if let Some(place) = block.get_mut(4..8) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
    block
}

/// The records of a payload whose checksum was found right; `None` if it lies all the same.
pub(crate) fn unpack(payload: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = payload.split_first_chunk::<4>()?;
    let (unpacked, packed) = rest.split_first_chunk::<4>()?;
    let unpacked = u32::from_le_bytes(*unpacked) as usize;
    if unpacked > MAX_UNPACKED {
        return None;
    }
    let records = lz4_flex::block::decompress(packed, unpacked).ok()?;
    (records.len() == unpacked).then_some(records)
}

/// The record at the begin of `records` and what follows it.
pub(crate) fn split(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = records.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
