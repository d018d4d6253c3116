//! Contents and patterns, and where in a buffer they may lie.

use memchr::memmem::Finder;

use crate::rule::Refused;

/// Steps that matching one buffer against one rule may take: contents that repeat in a buffer that repeats them would
/// otherwise take for ever. Suricata's `inspection-recursion-limit`.
const MAX_STEPS: u32 = 3000;

/// One content, or one pattern, of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) negated: bool,
    /// Found this many bytes from the start at the earliest.
    pub(crate) offset: Option<i64>,
    /// Found within this many bytes from `offset`.
    pub(crate) depth: Option<i64>,
    /// Found this many bytes after the last match at the earliest.
    pub(crate) distance: Option<i64>,
    /// Ends within this many bytes after the last match.
    pub(crate) within: Option<i64>,
    pub(crate) ends_with: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// The bytes, lower case if `nocase`.
    Bytes { bytes: Vec<u8>, finder: Box<Finder<'static>>, nocase: bool },
    /// A pattern; relative to the last match if its `R` flag says so.
    Pattern { regex: pcre2::bytes::Regex, relative: bool },
}

impl Part {
    pub(crate) fn content(bytes: Vec<u8>, negated: bool) -> Self {
        let finder = Box::new(Finder::new(&bytes).into_owned());
        Self::of(Kind::Bytes { bytes, finder, nocase: false }, negated)
    }

    pub(crate) fn pattern(regex: pcre2::bytes::Regex, relative: bool, negated: bool) -> Self {
        Self::of(Kind::Pattern { regex, relative }, negated)
    }

    const fn of(kind: Kind, negated: bool) -> Self {
        Self { kind, negated, offset: None, depth: None, distance: None, within: None, ends_with: false }
    }

    pub(crate) fn set_nocase(&mut self) {
        if let Kind::Bytes { bytes, finder, nocase } = &mut self.kind {
            bytes.make_ascii_lowercase();
            **finder = Finder::new(bytes).into_owned();
            *nocase = true;
        }
    }

    pub(crate) const fn is_relative(&self) -> bool {
        self.distance.is_some() || self.within.is_some() || matches!(self.kind, Kind::Pattern { relative: true, .. })
    }
}

/// Whether all parts match `buffer`; `lower` is the same in lower case.
pub(crate) fn matches(parts: &[Part], buffer: &[u8], lower: &[u8]) -> bool {
    let mut steps = MAX_STEPS;
    search(parts, buffer, lower, 0, &mut steps)
}

fn search(parts: &[Part], buffer: &[u8], lower: &[u8], last: usize, steps: &mut u32) -> bool {
    let Some((part, rest)) = parts.split_first() else { return true };
    let (from, until) = window(part, buffer.len(), last);
    if part.negated {
        return find(part, buffer, lower, from, until).is_none() && search(rest, buffer, lower, last, steps);
    }
    // Another place of the same content may be the one that the next relative part needs.
    let retry = rest.iter().any(Part::is_relative);
    let mut from = from;
    while let Some((start, end)) = find(part, buffer, lower, from, until) {
        *steps = steps.saturating_sub(1);
        if *steps == 0 {
            return false;
        }
        if search(rest, buffer, lower, end, steps) {
            return true;
        }
        if !retry {
            return false;
        }
        from = start + 1;
    }
    false
}

/// First byte at which a part may start, and the byte by which it has to end.
fn window(part: &Part, len: usize, last: usize) -> (usize, usize) {
    let clamp = |n: i64| usize::try_from(n.max(0)).unwrap_or(usize::MAX).min(len);
    let (mut from, mut until) = (0usize, len);
    if part.is_relative() {
        let base = last as i64;
        from = clamp(base.saturating_add(part.distance.unwrap_or(0)));
        if let Some(within) = part.within {
            until = clamp(base.saturating_add(part.distance.unwrap_or(0)).saturating_add(within));
        }
    }
    if let Some(offset) = part.offset {
        from = from.max(clamp(offset));
    }
    if let Some(depth) = part.depth {
        until = until.min(clamp(part.offset.unwrap_or(0).saturating_add(depth)));
    }
    (from, until)
}

fn find(part: &Part, buffer: &[u8], lower: &[u8], from: usize, until: usize) -> Option<(usize, usize)> {
    match &part.kind {
        Kind::Bytes { bytes, finder, nocase } => {
            let haystack = if *nocase { lower } else { buffer };
            if part.ends_with {
                let start = haystack.len().checked_sub(bytes.len())?;
                return (start >= from && haystack.len() <= until && haystack.ends_with(bytes)).then_some((start, haystack.len()));
            }
            let start = finder.find(haystack.get(from..until)?)? + from;
            Some((start, start + bytes.len()))
        }
        Kind::Pattern { regex, .. } => {
            let found = regex.find(buffer.get(from..)?).ok().flatten()?;
            Some((found.start() + from, found.end() + from))
        }
    }
}

/// The bytes of a content: text with hexadecimal between bars and escapes by backslash.
pub(crate) fn bytes_of(text: &str) -> Result<Vec<u8>, Refused> {
    let bad = || Refused::Unknown("content", text.to_owned());
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '|' => {
                let (hex, after) = after.split_once('|').ok_or_else(bad)?;
                let digits: String = hex.chars().filter(|c| !c.is_whitespace()).collect();
                if !digits.len().is_multiple_of(2) {
                    return Err(bad());
                }
                for pair in digits.as_bytes().chunks(2) {
                    let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
                    out.push(u8::from_str_radix(pair, 16).map_err(|_| bad())?);
                }
                after
            }
            '\\' => {
                let escaped = after.chars().next().ok_or_else(bad)?;
                out.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                after.get(escaped.len_utf8()..).unwrap_or_default()
            }
            c => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                after
            }
        };
    }
    if out.is_empty() { Err(bad()) } else { Ok(out) }
}
