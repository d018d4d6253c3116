//! What Arkime analyses and Zeek leaves out: packets whose checksums are wrong.
//!
//! Hosts that leave checksums to their cards are seen with wrong ones by whoever captures on them. Zeek leaves such
//! packets out and Arkime does not look. From its first wrong checksum on, a session is followed by a second sensor
//! that does not look either; what that one finds is told to the session alone, and what the first finds is not. No
//! log of Zeek's changes. A connection with right checksums costs nothing here.

use super::Sensor;
use crate::app::{App, Scene};
use crate::flow::timers::FlowRef;
use crate::log::Alone;
use crate::packet::Below;
use crate::packet::ip::Ip;
use crate::{Direction, FlowId, FlowNotes, Options, Time, Transport};

/// Flows that the second sensor follows at once.
const MAX_FLOWS: usize = 50_000;

impl Sensor {
    /// Counts a packet into its session; whether the second sensor has to see it too.
    pub(super) fn count(&mut self, packet: &Ip<'_>, below: &Below, is_sound: bool) -> bool {
        let mut nowhere = u32::MAX;
        self.count_near(&mut nowhere, packet, below, is_sound)
    }

    /// As [`Sensor::count`] for a packet of a flow, which knows where its session is.
    pub(super) fn count_of(&mut self, flow: FlowRef, packet: &Ip<'_>, below: &Below, is_sound: bool) -> bool {
        let mut hint = self.get(flow).map_or(u32::MAX, |flow| flow.session);
        let is_wanted = self.count_near(&mut hint, packet, below, is_sound);
        if let Some(flow) = self.get(flow) {
            flow.session = hint;
        }
        is_wanted
    }

    fn count_near(&mut self, hint: &mut u32, packet: &Ip<'_>, below: &Below, is_sound: bool) -> bool {
        if !self.sink.counts {
            return false;
        }
        let Some(sessions) = &mut self.sink.sessions else { return false };
        // Whatever the second sensor counts has been refused by the first.
        sessions.packet(packet, below, is_sound, hint) && !sessions.is_lent
    }

    /// Shows the second sensor something, and tells the sessions what it found.
    pub(super) fn leniently(&mut self, at: Time, show: impl FnOnce(&mut Self)) {
        if self.sink.sessions.as_ref().is_none_or(|sessions| sessions.is_lent) {
            return;
        }
        let options = &self.sink.options;
        let sensor = self.lenient.get_or_insert_with(|| {
            let mut sensor = Self::new(Options {
                checksums: false,
                carve: crate::Carve::None,
                carve_bytes: 0,
                max_flows: MAX_FLOWS.min(options.max_flows),
                ..options.clone()
            });
            sensor.sink.counts = false;
            sensor.sink.sessions = None;
            Box::new(sensor)
        });
        sensor.sink.sessions = self.sink.sessions.take();
        sensor.lent(true);
        sensor.pass(at);
        sensor.last_frame = sensor.now;
        show(sensor);
        sensor.tell();
        sensor.lent(false);
        self.sink.sessions = sensor.sink.sessions.take();
    }

    /// Shows the analyzers the segments that came alone, as Arkime does when it gives up waiting for the rest.
    pub(super) fn alone(&mut self) {
        let Some(sessions) = self.sink.sessions.as_mut().filter(|sessions| !sessions.is_lent && !sessions.alone.is_empty()) else { return };
        for Alone { at, ends, from, data } in std::mem::take(&mut sessions.alone) {
            self.leniently(at, |sensor| {
                let id = FlowId { uid: sensor.sink.uids.flow(), orig: ends.orig, resp: ends.resp, transport: Transport::Tcp };
                let mut app = App::default();
                let mut scene = Scene { at, id, notes: &mut FlowNotes::default(), sink: &mut sensor.sink };
                app.start(&mut scene);
                app.stream(&mut scene, from, &data);
                for from in [Direction::Originator, Direction::Responder] {
                    app.end(&mut scene, from);
                }
                app.finish(&mut scene);
            });
        }
    }

    /// Ends what the second sensor follows.
    pub(super) fn finish_lenient(&mut self) {
        if self.lenient.is_some() {
            self.leniently(self.now, Self::finish);
        }
    }

    fn lent(&mut self, is_lent: bool) {
        if let Some(sessions) = &mut self.sink.sessions {
            sessions.is_lent = is_lent;
        }
    }

    fn tell(&mut self) {
        let records = std::mem::take(&mut self.sink.records);
        drop(self.sink.files.take_chunks());
        if let Some(sessions) = &mut self.sink.sessions {
            records.iter().skip(std::mem::take(&mut self.shown)).for_each(|record| record.arkime(sessions));
        }
    }
}
