//! Diameter (RFC 6733): commands, applications and who speaks.

use super::{Frame, Parser, frames_within};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

const MAX_MESSAGE: usize = 65_536;

pub(in super::super) fn diameter(_: &Beginning<'_>) -> Box<dyn Parser> {
    frames_within(MAX_MESSAGE, length, |_, data, fields| {
        let _ = message(data, fields);
        true
    })
}

fn length(data: &[u8]) -> Frame {
    if data.len() < 20 {
        return Frame::Open;
    }
    match *data {
        [1, high, mid, low, ..] => match usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low) {
            len @ 20.. => Frame::Whole(len),
            _ => Frame::Broken,
        },
        _ => Frame::Broken,
    }
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    r.skip(4)?;
    let kind = if r.u8()? & 0x80 != 0 { "Request" } else { "Answer" };
    let (code, app) = (r.u24()?, r.u32()?);
    r.skip(8)?;
    let command = command(code).map_or_else(|| format!("{kind} ({code})"), |name| format!("{name}-{kind} ({code})"));
    fields.text("diameter.cmd", command.as_bytes());
    let app = application(app).map_or_else(|| app.to_string(), |name| format!("{name} ({app})"));
    fields.text("diameter.app", app.as_bytes());
    while r.remaining() >= 8 {
        let (code, flags, len) = (r.u32()?, r.u8()?, r.u24()? as usize);
        let header = if flags & 0x80 != 0 { 12 } else { 8 };
        r.skip(header - 8)?;
        let value = r.take(len.checked_sub(header)?)?;
        r.take_up_to(len.next_multiple_of(4) - len);
        let path = match code {
            1 => "diameter.user",
            263 => "diameter.sessionId",
            264 => "diameter.originHost",
            283 => "diameter.destRealm",
            293 => "diameter.destHost",
            296 => "diameter.originRealm",
            268 => {
                if let Ok(code) = value.try_into() {
                    fields.number("diameter.resultCode", i64::from(u32::from_be_bytes(code)));
                }
                continue;
            }
            _ => continue,
        };
        fields.text(path, value);
    }
    Some(())
}

const fn command(code: u32) -> Option<&'static str> {
    Some(match code {
        257 => "Capabilities-Exchange",
        258 => "Re-Auth",
        271 => "Accounting",
        272 => "Credit-Control",
        274 => "Abort-Session",
        275 => "Session-Termination",
        280 => "Device-Watchdog",
        282 => "Disconnect-Peer",
        300 => "User-Authorization",
        301 => "Server-Assignment",
        302 => "Location-Info",
        303 => "Multimedia-Auth",
        304 => "Registration-Termination",
        305 => "Push-Profile",
        306 => "User-Data",
        307 => "Profile-Update",
        308 => "Subscribe-Notifications",
        309 => "Push-Notification",
        316 => "Update-Location",
        317 => "Cancel-Location",
        318 => "Authentication-Information",
        319 => "Insert-Subscriber-Data",
        320 => "Delete-Subscriber-Data",
        321 => "Purge-UE",
        322 => "Reset",
        323 => "Notify",
        _ => return None,
    })
}

const fn application(id: u32) -> Option<&'static str> {
    Some(match id {
        0 => "Common",
        1 => "NASREQ",
        2 => "Mobile-IPv4",
        3 => "Base-Accounting",
        4 => "Credit-Control",
        5 => "EAP",
        6 => "SIP",
        7 => "MIP6I",
        8 => "MIP6A",
        9 => "QoS",
        0xffff_ffff => "Relay",
        16_777_216 => "3GPP-Cx",
        16_777_217 => "3GPP-Sh",
        16_777_236 => "3GPP-Rx",
        16_777_238 => "3GPP-Gx",
        16_777_251 => "3GPP-S6a",
        16_777_252 => "3GPP-S13",
        16_777_255 => "3GPP-SLg",
        16_777_265 => "3GPP-SWm",
        16_777_272 => "3GPP-SWx",
        16_777_291 => "3GPP-S6b",
        _ => return None,
    })
}
