//! LDAP (RFC 4511): who binds, and how.

use super::{Parser, ber};
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::{Direction, Pair, Reader};

/// Bytes of one side after which Arkime looks at them, and looks at no more.
const ENOUGH: usize = 6000;
/// Operations (§4.2): the first is a bind, the last an intermediate response.
const BIND: u8 = 0;
const LAST: u8 = 25;
const INTEGER: u8 = 2;

/// Whether a beginning is a message of LDAP: a number and an operation.
pub(in super::super) fn is_ldap(data: &[u8]) -> bool {
    let outer = ber::next(&mut Reader::new(data)).filter(|outer| outer.is_constructed && outer.number == 16);
    outer.and_then(|outer| operation(outer.body)).is_some_and(|operation| operation.is_application)
}

fn operation(message: &[u8]) -> Option<ber::Element<'_>> {
    let mut r = Reader::new(message);
    ber::next(&mut r).filter(|id| !id.is_constructed && id.number == INTEGER)?;
    ber::next(&mut r).filter(|operation| operation.is_constructed && operation.number <= LAST)
}

pub(in super::super) fn ldap(_: &Beginning<'_>) -> Box<dyn Parser> {
    Box::<Ldap>::default()
}

#[derive(Default)]
struct Ldap {
    kept: Pair<Vec<u8>>,
    done: Pair<bool>,
}

impl Parser for Ldap {
    fn read(&mut self, from: Direction, data: &[u8], fields: &mut Fields) -> bool {
        if !*self.done.of(from) {
            self.kept.of_mut(from).extend_from_slice(data);
            if self.kept.of(from).len() > ENOUGH {
                self.look(from, fields);
            }
        }
        !(self.done.orig && self.done.resp)
    }

    fn end(&mut self, fields: &mut Fields) {
        for from in [Direction::Originator, Direction::Responder] {
            self.look(from, fields);
        }
    }
}

impl Ldap {
    fn look(&mut self, from: Direction, fields: &mut Fields) {
        *self.done.of_mut(from) = true;
        let kept = std::mem::take(self.kept.of_mut(from));
        let mut r = Reader::new(&kept);
        while r.remaining() > 5
            && let Some(message) = ber::next(&mut r)
            && let Some(operation) = operation(message.body)
        {
            if operation.number == BIND {
                let _ = bind(operation.inside(), fields);
            }
        }
    }
}

/// §4.2: version, name, and how the name is proven.
fn bind(mut r: Reader<'_>, fields: &mut Fields) -> Option<()> {
    ber::next(&mut r)?;
    let name = ber::next(&mut r)?;
    fields.text("ldap.bindname", if name.body.is_empty() { b"<ROOT>" } else { name.body });
    let proof = ber::next(&mut r)?;
    let kind = match proof.number {
        0 if proof.body.is_empty() => "none".to_owned(),
        0 => "simple".to_owned(),
        3 => "sasl".to_owned(),
        10 => "ntlmsspNegotiate".to_owned(),
        11 => "ntlmsspAuth".to_owned(),
        other => other.to_string(),
    };
    fields.text("ldap.authtype", kind.as_bytes());
    Some(())
}
