//! What was said, as the fragment of HTML that Arkime's session page puts in: its class names are that page's.

use std::fmt::Write as _;

use crate::conversation::{Side, Turn};

/// Turns that are shown if the viewer does not say, and at most.
pub(crate) const TURNS: usize = 200;
const MAX_TURNS: usize = 10_000;
/// Bytes of payload that are shown at most; the capture has the rest.
const MAX_BYTES: usize = 2 << 20;
/// Bytes in a line of the hexadecimal form.
const LINE: usize = 16;

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// As text where it is printable ASCII.
    Ascii,
    /// In hexadecimal, with the text beside it.
    Hex,
    /// As UTF-8.
    Utf8,
    /// Line breaks kept, the rest as ASCII.
    Natural,
}

/// What the viewer wants to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// How bytes are shown.
    pub(crate) base: Base,
    /// Whether lines of the hexadecimal form have their offset.
    pub(crate) line: bool,
    /// Whether each turn has its time and size.
    pub(crate) ts: bool,
    /// Turns that are shown.
    pub(crate) turns: usize,
}

impl View {
    /// From the parameters of a request: `base`, `line`, `ts`, `packets`.
    pub(crate) fn of(parameter: impl Fn(&str) -> Option<String>) -> Self {
        let is_true = |name| parameter(name).is_some_and(|value| value == "true");
        let base = match parameter("base").as_deref() {
            Some("hex") => Base::Hex,
            Some("utf8") => Base::Utf8,
            Some("ascii") | None => Base::Ascii,
            Some(_) => Base::Natural,
        };
        let turns = parameter("packets").and_then(|number| number.parse().ok()).unwrap_or(TURNS).clamp(1, MAX_TURNS);
        Self { base, line: is_true("line"), ts: is_true("ts"), turns }
    }
}

/// The fragment. `link` is where pictures of the two sides are.
pub(crate) fn render(turns: &[Turn], view: View, link: &str) -> String {
    let mut out = String::new();
    if turns.is_empty() {
        return error("No packets with payload in this session");
    }
    if turns.len() > view.turns {
        let _ = write!(out, "<h5 class=\"text-theme-quaternary\">Only showing first {} packets</h5>", view.turns);
    }
    let _ = write!(out, "<div class=\"row\" id=\"textpacket\">");
    for (class, name, kind) in [("src", "Source", "src"), ("dst", "Destination", "dst")] {
        let link = escaped(link);
        let _ = write!(
            out,
            "<div class=\"col-md-6\"><h4><span class=\"{class}col\">{name}<span class=\"{class}-col-tip\">{name} Bytes:<br>\
             <img src=\"{link}?type={kind}\"></span></span></h4></div>"
        );
    }
    let _ = write!(out, "</div>");
    let mut left = MAX_BYTES;
    for turn in turns.iter().take(view.turns) {
        let (own, other) = match turn.side {
            Side::Source => ("col-md-6 sessionsrc", "<div class=\"col-md-6\"></div>"),
            Side::Destination => ("col-md-6 offset-md-6 sessiondst", ""),
        };
        let _ = write!(out, "<div class=\"row\"><div class=\"{own}\">");
        if view.ts {
            let milliseconds = turn.at.0.div_euclid(1_000_000);
            let bytes = turn.bytes.len();
            let _ = write!(
                out,
                "<div class=\"session-detail-ts\" value=\"{milliseconds}\"><em class=\"ts-value\">{milliseconds}</em> \
                 <span class=\"pull-right\">{bytes} bytes</span></div>"
            );
        }
        let shown = turn.bytes.get(..turn.bytes.len().min(left)).unwrap_or_default();
        left -= shown.len();
        show(shown, view, &mut out);
        let _ = write!(out, "</div>{other}</div>");
        if left == 0 {
            let _ = write!(out, "<h5 class=\"text-theme-quaternary\">There is more than can be shown: download the PCAP</h5>");
            break;
        }
    }
    out
}

/// A fragment that says why there is nothing to see.
pub(crate) fn error(text: &str) -> String {
    format!(
        "<div class=\"alert alert-danger\"><span class=\"fa fa-exclamation-triangle\"></span><strong>&nbsp; {}</strong></div>",
        escaped(text)
    )
}

fn show(bytes: &[u8], view: View, out: &mut String) {
    out.push_str("<pre>");
    match view.base {
        Base::Hex => hex(bytes, view.line, out),
        Base::Utf8 => out.push_str(&escaped(&String::from_utf8_lossy(bytes))),
        Base::Ascii | Base::Natural => out.push_str(&escaped(&bytes.iter().map(|byte| printable(*byte, true)).collect::<String>())),
    }
    out.push_str("</pre>");
}

fn hex(bytes: &[u8], offsets: bool, out: &mut String) {
    for (n, line) in bytes.chunks(LINE).enumerate() {
        if offsets {
            let _ = write!(out, "<span class=\"sessionln\">{:08}:</span> ", n * LINE);
        }
        for place in 0..LINE {
            match line.get(place) {
                Some(byte) => drop(write!(out, "{byte:02x}")),
                None => out.push_str("  "),
            }
            if place % 2 == 1 {
                out.push(' ');
            }
        }
        out.push(' ');
        out.push_str(&escaped(&line.iter().map(|byte| printable(*byte, false)).collect::<String>()));
        out.push('\n');
    }
}

fn printable(byte: u8, breaks: bool) -> char {
    match byte {
        b'\n' | b'\t' | b'\r' if breaks => char::from(byte),
        b' '..=b'~' => char::from(byte),
        _ => '.',
    }
}

/// What came from the network must not become markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // NUL is none of HTML's characters.
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use analyze::Time;

    use super::*;

    fn turn(side: Side, bytes: &[u8]) -> Turn {
        Turn { side, at: Time(1_700_000_000_123_000_000), bytes: bytes.to_vec() }
    }

    fn view(base: &str) -> View {
        View::of(|name| match name {
            "base" => Some(base.to_owned()),
            "line" | "ts" => Some("true".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn sides_have_their_columns_and_markup_of_the_wire_is_text() {
        let html = render(&[turn(Side::Source, b"<script>\"'&"), turn(Side::Destination, b"ok\x00\xff")], view("ascii"), "/n/raw/x.png");
        assert!(html.contains("sessionsrc") && html.contains("offset-md-6 sessiondst") && html.contains("value=\"1700000000123\""));
        assert!(html.contains("&lt;script&gt;&quot;&#39;&amp;") && !html.contains("<script>"), "{html}");
        assert!(html.contains("<pre>ok..</pre>"), "{html}");
    }

    #[test]
    fn bytes_are_shown_in_all_bases() {
        let said = [turn(Side::Source, "GET ü\r\n0123456789ab".as_bytes())];
        let html = render(&said, view("hex"), "");
        assert!(
            html.contains("<span class=\"sessionln\">00000000:</span> 4745 5420 c3bc 0d0a") && html.contains("GET ....01234567"),
            "{html}"
        );
        assert!(render(&said, view("utf8"), "").contains("GET ü\r\n"));
        assert!(render(&said, view("natural"), "").contains("GET ..\r\n"));
    }

    #[test]
    fn a_long_session_is_cut_and_that_is_said() {
        let many: Vec<_> = (0..300).map(|_| turn(Side::Source, b"x")).collect();
        let html = render(&many, view("ascii"), "");
        assert!(html.contains("first 200 packets") && html.matches("<pre>").count() == 200);
        let html = render(&[turn(Side::Source, &vec![b'y'; MAX_BYTES + 1])], view("ascii"), "");
        assert!(html.contains("download the PCAP") && html.len() < MAX_BYTES + 2000);
        assert!(render(&[], view("ascii"), "").contains("alert"));
    }
}
