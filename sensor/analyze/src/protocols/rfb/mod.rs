//! RFB, which VNC speaks: how a session was opened, in `rfb.log` (RFC 6143).
//!
//! Follows the handshake up to the server's description of its screen. Non-goals: the screen, keys and pointers.

mod record;
#[cfg(test)]
mod tests;

use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Reader, Step, Transport};

pub use record::{LOG, Rfb};

/// RFB (RFC 6143).
pub static RFB: Protocol = Protocol { name: "rfb", label: "RFB", tcp: &[], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Bytes of a version: `RFB 003.008` and a line feed (RFC 6143 §7.1.1).
const VERSION: usize = 12;

/// Bytes of a name or a reason.
const MAX_TEXT: u32 = 65_536;

/// Both sides start with their versions (scripts/base/protocols/rfb/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    let is = |bytes: &[u8]| b"RFB ".starts_with(bytes.get(..4).unwrap_or(bytes));
    match (is(beginning.orig) && is(beginning.resp), beginning.orig.len().min(beginning.resp.len()) >= 4) {
        (true, true) => Match::Yes,
        (true, false) => Match::Maybe,
        _ => Match::No,
    }
}

/// What comes next (RFC 6143 §7.1, §7.3). Each state names the side that speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    ServerVersion,
    ClientVersion,
    /// Version 3.3: the server chooses how to authenticate.
    ServerType,
    /// Later versions: the server offers, the client chooses.
    ServerTypes,
    ClientType,
    Challenge,
    Response,
    /// Apple's challenge: a generator, and two numbers of the length that stands before them.
    AppleChallenge,
    AppleResponse(u16),
    Result,
    ClientInit,
    ServerInit,
}

impl Next {
    const fn is_client(self) -> bool {
        matches!(self, Self::ClientVersion | Self::ClientType | Self::Response | Self::AppleResponse(_) | Self::ClientInit)
    }
}

#[derive(Default)]
struct Session {
    row: Option<Box<Rfb>>,
    next: Next,
    /// The client's minor version.
    minor: u16,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        if self.next.is_client() != from.is_orig() {
            return Step::NeedMore;
        }
        let mut reader = Reader::new(bytes);
        match self.read(&mut reader, out) {
            None => Step::NeedMore,
            Some(Ok(next)) => {
                self.next = next;
                Step::Consumed(reader.position())
            }
            Some(Err(step)) => step,
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(*row);
        }
    }
}

impl Session {
    fn row(&mut self, out: &Output<'_>) -> &mut Rfb {
        self.row.get_or_insert_with(|| {
            Box::new(Rfb {
                at: out.at,
                id: out.id,
                client_major_version: None,
                client_minor_version: None,
                server_major_version: None,
                server_minor_version: None,
                authentication_method: None,
                auth: None,
                share_flag: None,
                desktop_name: None,
                width: None,
                height: None,
            })
        })
    }

    /// Reads what comes next; `None` while it is not whole.
    fn read(&mut self, reader: &mut Reader<'_>, out: &mut Output<'_>) -> Option<Result<Next, Step>> {
        Some(match self.next {
            Next::ServerVersion | Next::ClientVersion => {
                let Some((major, minor)) = version(reader.take(VERSION)?) else {
                    return Some(Err(Step::Violation("invalid RFB version")));
                };
                let is_server = self.next == Next::ServerVersion;
                let row = self.row(out);
                if is_server {
                    (row.server_major_version, row.server_minor_version) = (Some(major.to_vec()), Some(minor.to_vec()));
                    Ok(Next::ClientVersion)
                } else {
                    (row.client_major_version, row.client_minor_version) = (Some(major.to_vec()), Some(minor.to_vec()));
                    self.minor = std::str::from_utf8(minor).ok().and_then(|minor| minor.parse().ok()).unwrap_or(0);
                    out.confirm();
                    Ok(if self.minor >= 7 { Next::ServerTypes } else { Next::ServerType })
                }
            }
            Next::ServerType => {
                let kind = reader.u32()?;
                if kind == 0 {
                    return reason(reader).map(Err);
                }
                self.chosen(u8::try_from(kind).unwrap_or(u8::MAX), out)
            }
            Next::ServerTypes => {
                let count = reader.u8()?;
                if count == 0 {
                    return reason(reader).map(Err);
                }
                reader.skip(usize::from(count))?;
                Ok(Next::ClientType)
            }
            Next::ClientType => {
                let kind = reader.u8()?;
                self.chosen(kind, out)
            }
            Next::Challenge => {
                reader.skip(16)?;
                Ok(Next::Response)
            }
            Next::Response => {
                reader.skip(16)?;
                Ok(Next::Result)
            }
            Next::AppleChallenge => {
                reader.skip(2)?;
                let len = reader.u16()?;
                reader.skip(usize::from(len).saturating_mul(2))?;
                Ok(Next::AppleResponse(len))
            }
            Next::AppleResponse(len) => {
                reader.skip(usize::from(len).saturating_add(128))?;
                Ok(Next::Result)
            }
            Next::Result => {
                let result = reader.u32()?;
                self.row(out).auth = Some(result == 0);
                if result == 0 { Ok(Next::ClientInit) } else { Err(Step::Done) }
            }
            Next::ClientInit => {
                let flag = reader.u8()?;
                self.row(out).share_flag = Some(flag != 0);
                Ok(Next::ServerInit)
            }
            Next::ServerInit => {
                let (width, height) = (reader.u16()?, reader.u16()?);
                // The format of pixels.
                reader.skip(16)?;
                let len = reader.u32()?;
                if len >= MAX_TEXT {
                    return Some(Err(Step::Violation("RFB name too long")));
                }
                let name = reader.take(len as usize)?;
                let row = self.row(out);
                row.desktop_name = Some(name.to_vec());
                row.width = Some(u64::from(width));
                row.height = Some(u64::from(height));
                Err(Step::Done)
            }
        })
    }

    fn chosen(&mut self, kind: u8, out: &Output<'_>) -> Result<Next, Step> {
        self.row(out).authentication_method = Some(method(kind));
        match kind {
            1 if self.minor >= 8 => Ok(Next::Result),
            1 => Ok(Next::ClientInit),
            2 => Ok(Next::Challenge),
            30 => Ok(Next::AppleChallenge),
            _ => Err(Step::Done),
        }
    }
}

/// Major and minor version.
fn version(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = line.strip_prefix(b"RFB ")?;
    (text.get(3) == Some(&b'.')).then_some(())?;
    Some((text.get(..3)?, text.get(4..7)?))
}

/// The reason why a server refuses: the session is over after it.
fn reason(reader: &mut Reader<'_>) -> Option<Step> {
    let len = reader.u32()?;
    if len >= MAX_TEXT {
        return Some(Step::Violation("RFB reason too long"));
    }
    reader.skip(len as usize)?;
    Some(Step::Done)
}

/// Name of a way to authenticate (scripts/base/protocols/rfb/main.zeek).
const fn method(kind: u8) -> &'static str {
    match kind {
        0 => "Invalid",
        1 => "None",
        2 => "VNC",
        16 => "Tight",
        17 => "Ultra",
        18 => "TLS",
        19 => "VeNCrypt",
        20 => "GTK-VNC SASL",
        21 => "MD5 hash authentication",
        22 => "Colin Dean xvp",
        30 => "Apple Remote Desktop",
        _ => "RealVNC",
    }
}
