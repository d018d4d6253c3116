//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

/// Sum of 16-bit words in network order, not yet folded.
pub(crate) fn sum(bytes: &[u8], start: u64) -> u64 {
    let mut total = start;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        if let Ok(word) = <[u8; 8]>::try_from(word) {
            let word = u64::from_be_bytes(word);
            total = total.wrapping_add((word >> 32) + (word & 0xffff_ffff));
        }
    }
    let mut pairs = words.remainder().chunks(2);
    for pair in &mut pairs {
        let word = match *pair {
            [a, b] => u64::from(u16::from_be_bytes([a, b])),
            [a] => u64::from(u16::from_be_bytes([a, 0])),
            _ => 0,
        };
        total = total.wrapping_add(word);
    }
    total
}

/// Whether a sum over data that holds its own checksum says that the data is intact.
pub(crate) const fn is_valid(mut total: u64) -> bool {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total == 0xffff
}

/// Sum of the pseudo header of TCP, UDP and ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1).
pub(crate) fn pseudo(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> u64 {
    let start = u64::from(protocol).wrapping_add(len as u64);
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => sum(&dst.octets(), sum(&src.octets(), start)),
        (IpAddr::V6(src), IpAddr::V6(dst)) => sum(&dst.octets(), sum(&src.octets(), start)),
        _ => start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_rfc_1071_style_example_is_valid_and_a_flipped_bit_is_not() {
        let mut header =
            [0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7];
        assert!(is_valid(sum(&header, 0)));
        header[3] ^= 1;
        assert!(!is_valid(sum(&header, 0)));
    }

    #[test]
    fn odd_lengths_are_padded_with_zero() {
        assert_eq!(sum(&[1, 2, 3], 0), 0x0102 + 0x0300);
    }
}
