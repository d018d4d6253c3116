//! Bytes as a picture: a pixel a byte, as Arkime shows them. PNG (W3C recommendation, third edition), grey.

use std::io::Write as _;

use flate2::{Compression, Crc, write::ZlibEncoder};

use crate::conversation::Turn;

/// Pixels in a line.
const WIDTH: usize = 256;
/// Lines at most.
const MAX_HEIGHT: usize = 4096;

/// The picture of some turns: each begins on a line of its own, after a white one.
pub(crate) fn draw<'a>(turns: impl Iterator<Item = &'a Turn>) -> Vec<u8> {
    let mut pixels: Vec<u8> = Vec::new();
    for turn in turns {
        if pixels.len() >= WIDTH * MAX_HEIGHT {
            break;
        }
        pixels.extend(&turn.bytes);
        pixels.resize(pixels.len().next_multiple_of(WIDTH) + WIDTH, 0xff);
    }
    pixels.truncate(WIDTH * MAX_HEIGHT);
    if pixels.is_empty() {
        pixels.resize(WIDTH, 0xff);
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend((WIDTH as u32).to_be_bytes());
    header.extend(((pixels.len() / WIDTH) as u32).to_be_bytes());
    // Eight bits, grey; compression, filter and interlace as there are no others.
    header.extend([8, 0, 0, 0, 0]);
    chunk(*b"IHDR", &header, &mut out);
    let mut data = ZlibEncoder::new(Vec::new(), Compression::fast());
    for line in pixels.chunks(WIDTH) {
        // Into memory nothing fails. 0: the line is not filtered.
        let _ = data.write_all(&[0]).and_then(|()| data.write_all(line));
    }
    chunk(*b"IDAT", &data.finish().unwrap_or_default(), &mut out);
    chunk(*b"IEND", b"", &mut out);
    out
}

fn chunk(kind: [u8; 4], data: &[u8], out: &mut Vec<u8>) {
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(kind);
    out.extend_from_slice(data);
    let mut sum = Crc::new();
    sum.update(&kind);
    sum.update(data);
    out.extend(sum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use analyze::Time;

    use super::*;
    use crate::conversation::Side;

    #[test]
    fn the_picture_holds_the_bytes() {
        let turn = Turn { side: Side::Source, at: Time(0), bytes: (0..=255).chain([1, 2]).collect() };
        let png = draw([&turn].into_iter());
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png[16..24] == [0, 0, 1, 0, 0, 0, 0, 3]);
        let start = png.windows(4).position(|window| window == b"IDAT").unwrap();
        let mut pixels = Vec::new();
        flate2::read::ZlibDecoder::new(&png[start + 4..]).read_to_end(&mut pixels).unwrap();
        assert_eq!(pixels.len(), 3 * (WIDTH + 1));
        assert_eq!((pixels[1], pixels[256], pixels[258], pixels[259], pixels[260]), (0, 255, 1, 2, 255));
        assert_eq!(draw([].into_iter())[20..24], [0, 0, 0, 1], "and there is always one");
    }
}
