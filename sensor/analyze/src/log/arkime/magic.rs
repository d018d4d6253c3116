//! Types of content by its first bytes, with the names that Arkime's `magicMode=basic` gives them (Malcolm's setting).
//!
//! Not those of [`crate::files`], which are Zeek's: the two disagree on names and on what they recognise.

/// A type by fixed bytes at its beginning, and the least number of bytes there have to be.
const MAGIC: &[(&[u8], usize, &str)] = &[
    (b"\x00\x01\x00\x00\x00", 5, "application/x-font-ttf"),
    (b"\x00\x00\x02\x00\x01\x00", 7, "image/x-win-bitmap"),
    (b"\x1f\x8b", 5, "application/x-gzip"),
    (b"\x1f\x9d", 5, "application/x-compress"),
    (b"!<arch>\ndebian-binary", 22, "application/x-debian-package"),
    (b"%PDF-", 5, "application/pdf"),
    (b"8BPS", 5, "image/vnd.adobe.photoshop"),
    (b"BM", 5, "application/x-ms-bmp"),
    (b"BZh", 5, "application/x-bzip2"),
    (b"CWS", 5, "application/x-shockwave-flash"),
    (b"FLV\x01", 5, "video/x-flv"),
    (b"GIF8", 5, "image/gif"),
    (b"icns", 5, "image/x-icns"),
    (b"ID3", 5, "audio/mpeg"),
    (b"MZ", 5, "application/x-dosexec"),
    (b"MSCF\x00\x00", 7, "application/vnd.ms-cab-compressed"),
    (b"OTTO", 5, "application/vnd.ms-opentype"),
    (b"PK\x03\x04", 5, "application/zip"),
    (b"PK\x05\x06", 5, "application/zip"),
    (b"PK\x07\x08PK", 7, "application/zip"),
    (b"RIFF", 5, "audio/x-wav"),
    (b"Rar!\x1a", 5, "application/x-rar"),
    (b"WAVE", 5, "audio/x-wav"),
    (b"d8:announce", 12, "application/x-bittorrent"),
    (b"wOFF", 5, "application/font-woff"),
    (b"wOF2", 5, "application/font-woff2"),
    (b"\x89PNG", 5, "image/png"),
    (b"\xfd7zXZ\x00", 7, "application/x-xz"),
    (b"\xff\xd8\xff", 11, "image/jpeg"),
    (b"\xed\xab\xee\xdb", 11, "application/x-rpm"),
];

/// Markup, in any case.
const MARKUP: &[(&[u8], usize, &str)] = &[
    (b"<!doctype html", 15, "text/html"),
    (b"<!doctype svg", 14, "text/svg+xml"),
    (b"<?php", 6, "text/x-php"),
    (b"<? php", 7, "text/x-php"),
    (b"<body", 5, "text/html"),
    (b"<head", 5, "text/html"),
    (b"<html", 5, "text/html"),
    (b"<svg", 5, "image/svg"),
];

/// Content of Ogg by where its codec is named.
const OGG: &[(usize, &[u8], &str)] =
    &[(28, b"Speex   ", "audio/ogg"), (29, b"FLAC", "audio/ogg"), (28, b"\x01vorbis", "audio/ogg"), (28, b"\x80theora", "video/ogg")];

/// The type of what begins with `data`.
pub fn magic(data: &[u8]) -> Option<&'static str> {
    if data.len() < 5 {
        return None;
    }
    begins(data).or_else(|| {
        if data.get(257..).is_some_and(|at| at.len() > 5 && at.starts_with(b"ustar")) {
            return Some("application/x-tar");
        }
        (contains(data, 0, b"document.write") || contains(data, 0, b"'use strict'")).then_some("text/javascript")
    })
}

fn begins(data: &[u8]) -> Option<&'static str> {
    let at = |place: usize, bytes: &[u8]| data.get(place..).is_some_and(|rest| rest.starts_with(bytes));
    match data {
        [0, ..] if data.len() > 10 && at(4, b"ftypqt") => return Some("video/quicktime"),
        [0, ..] if data.len() > 10 && at(4, b"ftyp3g") => return Some("video/3gpp"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => {
            return [("webm", "video/webm"), ("matroska", "video/x-matroska")]
                .iter()
                .find_map(|(word, name)| contains(data, 4, word.as_bytes()).then_some(*name));
        }
        [b'#', b'!', ..] => {
            return [("node", "application/javascript"), ("perl", "text/x-perl"), ("ruby", "text/x-ruby"), ("python", "text/x-python")]
                .iter()
                .find_map(|(word, name)| contains(data, 3, word.as_bytes()).then_some(*name))
                .or(Some("text/x-shellscript"));
        }
        [b'{', b'"', letter, ..] if letter.is_ascii_alphabetic() => return Some("application/json"),
        [b'O', ..] if data.len() > 40 && at(0, b"OggS") => {
            return OGG.iter().find_map(|(place, word, name)| at(*place, word).then_some(*name));
        }
        _ => {}
    }
    let lower = data.get(..data.len().min(16)).unwrap_or_default().to_ascii_lowercase();
    if lower.starts_with(b"<?xml") {
        return Some(if contains(data, 5, b"<svg") { "image/svg+xml" } else { "text/xml" });
    }
    let found = MAGIC.iter().find(|(magic, least, _)| data.len() >= *least && data.starts_with(magic));
    let found = found.or_else(|| MARKUP.iter().find(|(magic, least, _)| data.len() >= *least && lower.starts_with(magic)));
    if let Some((.., name)) = found {
        return Some(name);
    }
    // MPEG transport streams: a packet of 188 bytes and the next one's synchronising byte.
    (matches!(data, [b'G', _, 0, ..]) && data.get(188) == Some(&b'G')).then_some("video/mp2t")
}

fn contains(data: &[u8], from: usize, needle: &[u8]) -> bool {
    memchr::memmem::find(data.get(from..).unwrap_or_default(), needle).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_arkimes_names() {
        for (data, name) in [
            (&b"\x1f\x8b\x08\x00\x00"[..], Some("application/x-gzip")),
            (b"<!DOCTYPE html>", Some("text/html")),
            (b"<?xml version='1.0'?><svg>", Some("image/svg+xml")),
            (b"{\"a\":1}", Some("application/json")),
            (b"#!/usr/bin/python", Some("text/x-python")),
            (b"x = 1; document.write(x)", Some("text/javascript")),
            (b"MZ", None),
            (b"hello world", None),
        ] {
            assert_eq!(magic(data), name, "{data:?}");
        }
    }
}
