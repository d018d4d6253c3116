//! ICMP as flows: Zeek takes the type for the originator's port, and the answering type (or the code) for the
//! responder's.

/// The type that answers `kind`; `None` if nothing does.
const fn counterpart4(kind: u8) -> Option<u8> {
    match kind {
        8 => Some(0),
        0 => Some(8),
        13 => Some(14),
        14 => Some(13),
        15 => Some(16),
        16 => Some(15),
        10 => Some(9),
        9 => Some(10),
        17 => Some(18),
        18 => Some(17),
        _ => None,
    }
}

const fn counterpart6(kind: u8) -> Option<u8> {
    match kind {
        128 => Some(129),
        129 => Some(128),
        133 => Some(134),
        134 => Some(133),
        135 => Some(136),
        136 => Some(135),
        130 => Some(131),
        131 => Some(130),
        // Node information, home agent address discovery (RFC 4620, RFC 6275).
        139 => Some(140),
        140 => Some(139),
        144 => Some(145),
        145 => Some(144),
        _ => None,
    }
}

/// The responder's port of a message, and whether nothing ever answers it.
pub(crate) fn counterpart(ip_proto: u8, kind: u8, code: u8) -> (u16, bool) {
    let answer = if ip_proto == 58 { counterpart6(kind) } else { counterpart4(kind) };
    answer.map_or((u16::from(code), true), |answer| (u16::from(answer), false))
}

/// Whether something answers this type.
pub(crate) fn has_counterpart(ip_proto: u8, kind: u16) -> bool {
    u8::try_from(kind).is_ok_and(|kind| !counterpart(ip_proto, kind, 0).1)
}
