//! Protection of Initial packets (RFC 9001 §5.2, §5.4; RFC 9369 §3.3): keys that everybody can derive from the first
//! connection id of the client.

use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use super::wire::{Long, VERSION_2};

/// Keys of one direction.
pub(super) struct Keys {
    packet: LessSafeKey,
    iv: [u8; 12],
    header: HeaderProtectionKey,
}

impl Keys {
    /// Derives them from the client's first destination id.
    pub(super) fn derive(version: u32, destination: &[u8], from_client: bool) -> Option<Self> {
        let secret = Salt::new(HKDF_SHA256, salt(version)).extract(destination);
        let label: &[u8] = if from_client { b"client in" } else { b"server in" };
        let side = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(&secret, label)?);
        let [key, iv, hp]: [&[u8]; 3] =
            if version == VERSION_2 { [b"quicv2 key", b"quicv2 iv", b"quicv2 hp"] } else { [b"quic key", b"quic iv", b"quic hp"] };
        Some(Self {
            packet: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &expand::<16>(&side, key)?).ok()?),
            iv: expand::<12>(&side, iv)?,
            header: HeaderProtectionKey::new(&AES_128, &expand::<16>(&side, hp)?).ok()?,
        })
    }

    /// The frames of an Initial packet; `None` if it was not protected with these keys.
    pub(super) fn open(&self, packet: &Long<'_>) -> Option<Vec<u8>> {
        let mut whole = packet.whole.to_vec();
        let sample_at = packet.number_at.checked_add(4)?;
        let sample = whole.get(sample_at..sample_at.checked_add(16)?)?;
        let [first_mask, mask @ ..] = self.header.new_mask(sample).ok()?;
        let first = whole.first_mut()?;
        *first ^= first_mask & 0x0f;
        let number_len = usize::from(*first & 3).saturating_add(1);
        let number_end = packet.number_at.checked_add(number_len)?;
        let number = whole.get_mut(packet.number_at..number_end)?;
        number.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        let mut nonce = self.iv;
        nonce.iter_mut().rev().zip(number.iter().rev()).for_each(|(byte, n)| *byte ^= n);
        let (header, payload) = whole.split_at_mut_checked(number_end)?;
        let plain = self.packet.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(&*header), payload).ok()?;
        Some(plain.to_vec())
    }
}

/// TLS 1.3's HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
fn expand<const N: usize>(secret: &Prk, label: &[u8]) -> Option<[u8; N]> {
    struct Len(usize);
    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let len = u16::try_from(N).ok()?.to_be_bytes();
    let label_len = [u8::try_from(label.len()).ok()?.checked_add(6)?];
    let info: [&[u8]; 5] = [&len, &label_len, b"tls13 ", label, &[0]];
    let mut key = [0; N];
    secret.expand(&info, Len(N)).ok()?.fill(&mut key).ok()?;
    Some(key)
}

/// The salt of a version.
const fn salt(version: u32) -> &'static [u8; 20] {
    match version {
        VERSION_2 => {
            &[0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9]
        }
        0xff00_0017..=0xff00_001c => {
            &[0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02]
        }
        0xff00_001d..=0xff00_0020 => {
            &[0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99]
        }
        _ => &[0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a],
    }
}
