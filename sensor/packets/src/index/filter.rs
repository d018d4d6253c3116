//! Which keys a block of frames has, in few bits: a Bloom filter (Bloom 1970). It never denies a key that is there.

use crate::keys::Key;

/// Bits for each key: with [`PROBES`], one of a thousand keys that are not there is taken for one.
const BITS_PER_KEY: usize = 16;
/// Bits that a key sets.
const PROBES: u64 = 6;
/// Bytes of a filter at most. Scans have a flow in every frame; their blocks are found more often than need be.
pub(super) const MAX_BYTES: usize = 8 << 10;

/// Writes the filter of some keys, which should differ.
pub(super) fn write(keys: &[Key], out: &mut Vec<u8>) {
    let bytes = (keys.len() * BITS_PER_KEY / 8).clamp(8, MAX_BYTES);
    let start = out.len();
    out.resize(start + bytes, 0);
    let Some(filter) = out.get_mut(start..) else { return };
    for key in keys {
        for bit in bits(*key, bytes) {
            if let Some(byte) = filter.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
}

/// Whether a key may be among those of a filter.
pub(super) fn may_have(filter: &[u8], key: Key) -> bool {
    bits(key, filter.len()).all(|bit| filter.get(bit / 8).is_none_or(|byte| byte & 1 << (bit % 8) != 0))
}

/// The places of a key's bits (Kirsch and Mitzenmacher 2006: two hashes do for all).
fn bits(Key(key): Key, bytes: usize) -> impl Iterator<Item = usize> {
    let (first, step) = (key >> 32, key & 0xffff_ffff | 1);
    (0..PROBES).map(move |n| {
        let hash = first.wrapping_add(n.wrapping_mul(step)) & 0xffff_ffff;
        ((hash * (bytes as u64 * 8)) >> 32) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_there_are_found_and_hardly_any_other() {
        let keys: Vec<_> = (0..2000_u16).map(Key::port).collect();
        let mut filter = Vec::new();
        write(&keys, &mut filter);
        assert!(keys.iter().all(|key| may_have(&filter, *key)));
        let wrong = (2000..=u16::MAX).filter(|port| may_have(&filter, Key::port(*port))).count();
        assert!(wrong < 63_535 / 300, "{wrong} of 63535");
    }

    #[test]
    fn a_filter_is_bounded_and_an_empty_one_denies() {
        let mut filter = Vec::new();
        write(&(0..60_000_u16).map(Key::port).collect::<Vec<_>>(), &mut filter);
        assert_eq!(filter.len(), MAX_BYTES);
        filter.clear();
        write(&[], &mut filter);
        assert!(!may_have(&filter, Key::port(80)));
    }
}
