//! MIME types by content, with the names that Zeek gives them (scripts/base/frameworks/files/magic): the names by
//! which Malcolm decides what is carved. What Zeek does not know, `infer` may.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// How sure a signature is; the strongest one that matches names the type. Zeek's numbers.
type Strength = i16;

/// Signatures that start with fixed bytes.
const MAGIC: &[(&[u8], Strength, &str)] = &[
    (b"MZ", 51, "application/x-dosexec"),
    (b"%PDF-", 51, "application/pdf"),
    (b"\x1f\x8b", 81, "application/x-gzip"),
    (b"BZh", 60, "application/x-bzip2"),
    (b"\xfd7zXZ\x00", 90, "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", 50, "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", 70, "application/x-rar"),
    (b"PK\x03\x04", 10, "application/zip"),
    (b"PK\x05\x06", 10, "application/zip"),
    (b"\x1f\x9d", 70, "application/x-compress"),
    (b"MSCF\x00\x00\x00\x00", 110, "application/vnd.ms-cab-compressed"),
    (b"\x89PNG\x0d\x0a\x1a\x0a", 110, "image/png"),
    (b"GIF8", 110, "image/gif"),
    (b"\xff\xd8\xff", 52, "image/jpeg"),
    (b"BM", 10, "image/x-ms-bmp"),
    (b"MM\x00\x2a", 70, "image/tiff"),
    (b"II\x2a\x00", 70, "image/tiff"),
    (b"\x00\x00\x01\x00", 70, "image/x-icon"),
    (b"8BPS\x00", 70, "image/vnd.adobe.photoshop"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 50, "application/msword"),
    (b"{\\rtf", 110, "text/rtf"),
    (b"%!PS", 60, "application/postscript"),
    (b"ID3", 70, "audio/mpeg"),
    (b"OggS", 70, "application/ogg"),
    (b"fLaC", 70, "audio/x-flac"),
    (b"FLV\x01", 60, "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 60, "video/x-ms-asf"),
    (b"\x1aE\xdf\xa3", 70, "video/x-matroska"),
    (b"wOFF", 70, "application/font-woff"),
    (b"wOF2", 70, "application/font-woff2"),
    (b"OTTO\x00", 70, "application/vnd.ms-opentype"),
    (b"\x00\x01\x00\x00\x00", 70, "application/x-font-ttf"),
    (b"FWS", 60, "application/x-shockwave-flash"),
    (b"CWS", 60, "application/x-shockwave-flash"),
    (b"ZWS", 60, "application/x-shockwave-flash"),
    (b"\x78\x9f\x3e\x22", 100, "application/vnd.ms-tnef"),
    (b"\xce\xfa\xed\xfe", 100, "application/x-mach-o-executable"),
    (b"\xcf\xfa\xed\xfe", 100, "application/x-mach-o-executable"),
    (b"L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00F", 49, "application/x-ms-shortcut"),
    (b"\xa1\xb2\xc3\xd4", 70, "application/vnd.tcpdump.pcap"),
    (b"\xd4\xc3\xb2\xa1", 70, "application/vnd.tcpdump.pcap"),
    (b"-----BEGIN CERTIFICATE-----", 100, "application/x-pem"),
    (b"-----BEGIN PGP MESSAGE-----", 40, "application/pgp"),
    (b"<jnlp ", 100, "application/x-java-jnlp-file"),
    (b"solid ", 10, "application/sla"),
    (b"!<arch>\ndebian", 100, "application/x-debian-package"),
    (b"!<arch>", 50, "application/x-archive"),
    (b"\xed\xab\xee\xdb", 70, "application/x-rpm"),
    (b"SQLite format 3", 50, "application/x-sqlite3"),
    (b"ITSF\x03\x00\x00\x00", 80, "application/vnd.ms-htmlhelp"),
    (b"regf", 60, "application/vnd.ms-regf"),
    (b"\x28\xb5\x2f\xfd", 70, "application/zstd"),
    (b"\xca\xfe\xba\xbe\x00\x00\x00\x01", 100, "application/x-mach-o-executable"),
    (b"\xca\xfe\xba\xbe\x00\x00\x00\x02", 100, "application/x-mach-o-executable"),
    (b"Cr24", 60, "application/x-chrome-extension"),
    (b"\x00\x00\x01\xba", 40, "video/mpeg"),
    (b"\x00\x00\x01\xb3", 40, "video/mpv"),
    (b"wOFF", 70, "application/font-woff"),
];

/// What may come before the root of a document in markup: a byte order mark, space, comments, an XML declaration.
const PROLOGUE: &str = r"(?:\xef\xbb\xbf)?(?:[\r\n\t ]*(?:<!--.*-->)?[\r\n\t ]*)*(?:<\?xml .*\?>)?(?:[\r\n\t ]*(?:<!--.*-->)?[\r\n\t ]*)*";

/// Signatures that need more than a prefix.
static PATTERNS: LazyLock<Vec<(Regex, Strength, &'static str)>> = LazyLock::new(|| {
    let markup = |root: &str| format!("^{PROLOGUE}{root}");
    let script = |name: &str| format!(r"^#![^\n]{{1,15}}bin/(?:env\s+)?{name}");
    let sources: Vec<(String, Strength, &'static str)> = vec![
        (r"^(?:\xef\xbb\xbf|(?:\x00\x00)?\xfe\xff|\xff\xfe(?:\x00\x00)?)?[\s\x20-\x7e]{10}".to_owned(), -20, "text/plain"),
        (r#"^(?:\xef\xbb\xbf)?[\r\n\t ]*\{[\r\n\t ]*(?:"[^"]+"|[a-zA-Z][a-zA-Z0-9\\_]*)[\r\n\t ]*:[\r\n\t ]*(?:"|\[|\{|[0-9]|true|false)"#.to_owned(), 1, "text/json"),
        (r#"^(?:\xef\xbb\xbf)?[\r\n\t ]*\[[\r\n\t ]*(?:(?:(?:"[^"]+"|[0-9]+(?:\.[0-9]+)?|true|false)[\r\n\t ]*,)|\{|\[)"#.to_owned(), 1, "text/json"),
        (r"^(?:\xef\xbb\xbf)?[\r\n\t ]*(?:\[\]|\{\})[\r\n\t ]*\z".to_owned(), 0, "text/json"),
        (r"^(?:\xef\xbb\xbf)?(?:[\r\n\t ]*(?:<!--.*-->)?[\r\n\t ]*)*<\?xml ".to_owned(), 10, "application/xml"),
        (markup(r"<(?:!(?i:doctype) +(?i:html)|(?i:html)|(?i:meta) +(?i:http-equiv))"), 100, "text/html"),
        (markup(r"<(?i:head|html|title|body)"), 20, "text/html"),
        (markup("<(?i:rss)"), 90, "text/rss"),
        (markup(r#"<(?:(?i:rss)[^>]*xmlns:atom|(?i:feed)[^>]*xmlns=["']?http://www.w3.org/2005/Atom["']?)"#), 100, "text/atom"),
        (markup("<(?i:soap(?:-env)?:envelope)"), 49, "application/soap+xml"),
        (markup("<(?:!(?i:doctype) +)?(?i:cross-domain-policy)"), 49, "text/x-cross-domain-policy"),
        (markup("<(?i:methodresponse)>"), 49, "application/xml-rpc"),
        (markup("<(?i:svg)"), 50, "image/svg+xml"),
        (r"^PK\x03\x04.{1,200}\x14\x00..META-INF/MANIFEST\.MF".to_owned(), 100, "application/java-archive"),
        (r"^\xca\xfe\xba\xbe...[\x2d-\x34]".to_owned(), 71, "application/x-java-applet"),
        (r"^.{11,19}\x06\x05\x2b\x0e\x03\x02\x1a".to_owned(), 71, "application/ocsp-request"),
        (r"^.{11,19}\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01".to_owned(), 71, "application/ocsp-response"),
        (r"^\x0a\x0d\x0d\x0a.{4}(?:\x1a\x2b\x3c\x4d|\x4d\x3c\x2b\x1a)".to_owned(), 100, "application/vnd.tcpdump.pcap"),
        (script("(?:ba|tc|c|z|fa|ae|k)?sh"), 250, "text/x-shellscript"),
        (script("perl"), 60, "text/x-perl"),
        (script("ruby"), 60, "text/x-ruby"),
        (script("python"), 60, "text/x-python"),
        (script("(?:g|n)?awk"), 60, "text/x-awk"),
        (script("(?:wish|tcl)"), 60, "text/x-tcl"),
        (script("lua"), 49, "text/x-lua"),
        (script("php"), 60, "text/x-php"),
        (script("node(?:js)?"), 60, "application/javascript"),
        (r#"^[\r\n\t ]*<(?i:script)[\t ]+(?i:type|language)=['"]?(?i:text/)?(?i:javascript)"#.to_owned(), 60, "application/javascript"),
        (r"^[\r\n\t ]*for \(;;\);".to_owned(), 60, "application/javascript"),
        (r"^[\r\n\t ]*document\.write(?:ln)?[\t ]?\(".to_owned(), 60, "application/javascript"),
        (r"^\(function\(\)[\t \n]*\{".to_owned(), 60, "application/javascript"),
        (r"^[\r\n\t ]*<script>[\r\n\t ]*(?:var|function) ".to_owned(), 60, "application/javascript"),
        (r"^[^\n]*<\?php".to_owned(), 40, "text/x-php"),
        (r"^\x7fELF[\x01\x02](?:\x01.{10}\x01\x00|\x02.{10}\x00\x01)".to_owned(), 50, "application/x-object"),
        (r"^\x7fELF[\x01\x02](?:\x01.{10}\x02\x00|\x02.{10}\x00\x02)".to_owned(), 50, "application/x-executable"),
        (r"^\x7fELF[\x01\x02](?:\x01.{10}\x03\x00|\x02.{10}\x00\x03)".to_owned(), 50, "application/x-sharedlib"),
        (r"^\x7fELF[\x01\x02](?:\x01.{10}\x04\x00|\x02.{10}\x00\x04)".to_owned(), 50, "application/x-coredump"),
        (r"^.{257}ustar".to_owned(), 100, "application/x-tar"),
        (r"^PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/\.rels|docProps/)(?s:.*)word/".to_owned(), 80, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (r"^PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/\.rels|docProps/)(?s:.*)xl/".to_owned(), 80, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (r"^PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/\.rels|docProps/)(?s:.*)ppt/".to_owned(), 80, "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        (r"^PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/\.rels|docProps/)".to_owned(), 50, "application/vnd.openxmlformats-officedocument"),
        (r"^RIFF....WAVE".to_owned(), 70, "audio/x-wav"),
        (r"^RIFF....AVI ".to_owned(), 70, "video/x-msvideo"),
        (r"^RIFF....WEBP".to_owned(), 70, "image/webp"),
        (r"^....ftyp(?:isom|mp4[12]|iso[256]|avc1|M4V|dash|MSNV)".to_owned(), 70, "video/mp4"),
        (r"^....ftypqt".to_owned(), 70, "video/quicktime"),
        (r"^....ftypM4A".to_owned(), 70, "audio/mp4"),
        (r"^....(?:moov|mdat)".to_owned(), 70, "video/quicktime"),
        (r"^\xff[\xfa\xfb\xf3\xf2]".to_owned(), 20, "audio/mpeg"),
        (r"^#EXTM3U".to_owned(), 60, "application/vnd.apple.mpegurl"),
        (r"^MIME-Version:[^\n]*protocol=.application/pkcs7-signature".to_owned(), 100, "application/pkcs7-signature"),
        (r"^(?:From|Received|Return-Path|Delivered-To|Message-ID): ".to_owned(), 40, "message/rfc822"),
    ];
    sources
        .into_iter()
        .filter_map(|(source, strength, name)| {
            // Bytes, not text: a dot is any byte, also a line feed, as in Zeek's signatures.
            let regex = RegexBuilder::new(&source).unicode(false).dot_matches_new_line(true).build();
            debug_assert!(regex.is_ok(), "{source} is a pattern");
            regex.ok().map(|regex| (regex, strength, name))
        })
        .collect()
});

/// MIME type of a file by its first bytes (up to a few kilobytes); `None` if nothing is known about them.
pub fn mime(beginning: &[u8]) -> Option<&'static str> {
    if beginning.is_empty() {
        return None;
    }
    let magic = MAGIC.iter().filter(|(bytes, ..)| beginning.starts_with(bytes)).map(|&(_, strength, name)| (strength, name));
    let patterns = PATTERNS.iter().filter(|(regex, ..)| regex.is_match(beginning)).map(|&(_, strength, name)| (strength, name));
    let best = magic.chain(patterns).max_by_key(|(strength, _)| *strength);
    best.map(|(_, name)| name).or_else(|| infer::get(beginning).map(|kind| kind.mime_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_zeeks_names() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"MZ\x90\x00\x03", Some("application/x-dosexec")),
            (b"<!DOCTYPE html>\n<html>", Some("text/html")),
            (b"<?xml version=\"1.0\"?>\n<note/>", Some("application/xml")),
            (b"{\"a\": 1}", Some("text/json")),
            (b"hello there, plain text", Some("text/plain")),
            (b"#!/bin/sh\necho", Some("text/x-shellscript")),
            (b"\x1f\x8b\x08\x00\x00", Some("application/x-gzip")),
            (b"\x01\x02\x03", None),
            (b"short", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(mime(bytes), *expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
