//! The types of an index's fields: what the template says, else what the first document had; and what does not fit.
//!
//! OpenSearch's dynamic mapping: numbers make `long` or `float`, texts `text`, `true` and `false` `boolean`, objects
//! `object`. Lists have the type of their members, `null` has none. Dots in a name are levels. A value that can be read as
//! its field's type is taken (`"12"` for a `long`, `12` for a `text`), any other is refused with its whole document.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde_json::Value;

use super::answers::Refusal;

/// Fields of an index of sessions at most, as Arkime's template sets it.
const MAX_SESSION_FIELDS: usize = 7500;
/// Fields of any other index at most, OpenSearch's own limit.
const MAX_FIELDS: usize = 1000;
/// Levels of objects at most, `index.mapping.depth.limit`.
const MAX_DEPTH: usize = 20;

/// What Arkime's template says of sessions, as far as a guess would differ.
const SESSIONS: &[(&str, Kind)] = &[
    ("packetRange", Kind::DateRange),
    ("firstPacket", Kind::Date),
    ("lastPacket", Kind::Date),
    ("@timestamp", Kind::Date),
    ("source.ip", Kind::Ip),
    ("destination.ip", Kind::Ip),
    ("srcOuterIp", Kind::Ip),
    ("dstOuterIp", Kind::Ip),
    ("cert.notBefore", Kind::Date),
    ("cert.notAfter", Kind::Date),
];

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Long,
    Float,
    Text,
    Boolean,
    Date,
    DateRange,
    Ip,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Long => "long",
            Self::Float => "float",
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateRange => "date_range",
            Self::Ip => "ip",
        }
    }

    /// What a value makes a field that is not there yet.
    fn guess(value: &Value) -> Option<Self> {
        match value {
            Value::Null | Value::Array(_) => None,
            Value::Bool(_) => Some(Self::Boolean),
            Value::Number(number) => Some(if number.is_f64() { Self::Float } else { Self::Long }),
            Value::String(_) => Some(Self::Text),
            Value::Object(_) => Some(Self::Object),
        }
    }

    /// Whether a value that is neither an object nor a list can be read as this.
    fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null) | (Self::Text | Self::Float | Self::Long, Value::Number(_)) => true,
            (Self::Text, Value::Bool(_) | Value::String(_)) | (Self::Boolean, Value::Bool(_)) => true,
            (Self::Long | Self::Float, Value::String(text)) => text.trim().parse::<f64>().is_ok(),
            (Self::Boolean, Value::String(text)) => matches!(text.as_str(), "true" | "false" | ""),
            (Self::Date, Value::Number(number)) => number.is_i64() || number.is_u64(),
            (Self::Date, Value::String(text)) => {
                text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok() || text.parse::<i64>().is_ok()
            }
            (Self::Ip, Value::String(text)) => text.parse::<IpAddr>().is_ok(),
            _ => false,
        }
    }
}

/// The fields of one index.
#[derive(Debug)]
pub(crate) struct Mapping {
    fields: HashMap<String, Kind>,
    limit: usize,
}

/// Fields that a document adds.
pub(crate) type Added = BTreeMap<String, Kind>;

impl Mapping {
    /// As the templates have it for an index of this name.
    pub(crate) fn of(index: &str) -> Self {
        if !index.starts_with("arkime_sessions3-") {
            return Self { fields: HashMap::new(), limit: MAX_FIELDS };
        }
        let mut fields: HashMap<_, _> = SESSIONS.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        for (name, _) in SESSIONS {
            if let Some((parent, _)) = name.split_once('.') {
                fields.insert(parent.to_owned(), Kind::Object);
            }
        }
        Self { fields, limit: MAX_SESSION_FIELDS }
    }

    /// What a document would add.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn check(&self, id: &str, document: &Value) -> Result<Added, Refusal> {
        let mut added = Added::new();
        self.object("", id, document, 1, &mut added)?;
        if self.fields.len() + added.len() > self.limit {
            return Err(Refusal::illegal(format!("Limit of total fields [{}] has been exceeded", self.limit)));
        }
        Ok(added)
    }

    /// Takes over what [`Mapping::check`] gave.
    pub(crate) fn add(&mut self, added: Added) {
        self.fields.extend(added);
    }

    fn object(&self, path: &str, id: &str, value: &Value, depth: usize, added: &mut Added) -> Result<(), Refusal> {
        if depth > MAX_DEPTH {
            return Err(Refusal::illegal(format!("Limit of mapping depth [{MAX_DEPTH}] has been exceeded due to object field [{path}]")));
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            if name.is_empty() || name.starts_with('.') || name.ends_with('.') || name.contains("..") {
                return Err(failed(format!("object field starting or ending with a [.] makes object resolution ambiguous: [{name}]")));
            }
            let mut place = path.to_owned();
            let mut levels = name.split('.').peekable();
            while let Some(level) = levels.next() {
                if !place.is_empty() {
                    place.push('.');
                }
                place.push_str(level);
                if levels.peek().is_some() {
                    self.expect(&place, Kind::Object, id, added)?;
                }
            }
            self.value(&place, id, value, depth, added)?;
        }
        Ok(())
    }

    fn value(&self, path: &str, id: &str, value: &Value, depth: usize, added: &mut Added) -> Result<(), Refusal> {
        if let Value::Array(values) = value {
            return values.iter().try_for_each(|value| self.value(path, id, value, depth, added));
        }
        let known = self.kind(path, added);
        match (known, value) {
            (_, Value::Null) => Ok(()),
            (Some(Kind::DateRange), Value::Object(range)) => {
                let fits =
                    range.iter().all(|(bound, value)| matches!(bound.as_str(), "gte" | "gt" | "lte" | "lt") && Kind::Date.takes(value));
                if fits { Ok(()) } else { Err(does_not_fit(path, Kind::DateRange, id)) }
            }
            (_, Value::Object(_)) => {
                self.expect(path, Kind::Object, id, added)?;
                self.object(path, id, value, depth + 1, added)
            }
            (Some(Kind::Object), _) => Err(Refusal::new(
                400,
                "mapper_parsing_exception",
                format!("object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"),
            )),
            (Some(kind), value) if kind.takes(value) => Ok(()),
            (Some(kind), _) => Err(does_not_fit(path, kind, id)),
            (None, value) => {
                if let Some(kind) = Kind::guess(value) {
                    added.insert(path.to_owned(), kind);
                }
                Ok(())
            }
        }
    }

    fn expect(&self, path: &str, kind: Kind, id: &str, added: &mut Added) -> Result<(), Refusal> {
        match self.kind(path, added) {
            Some(known) if known == kind => Ok(()),
            Some(known) => Err(does_not_fit(path, known, id)),
            None => {
                added.insert(path.to_owned(), kind);
                Ok(())
            }
        }
    }

    fn kind(&self, path: &str, added: &Added) -> Option<Kind> {
        self.fields.get(path).or_else(|| added.get(path)).copied()
    }
}

fn does_not_fit(path: &str, kind: Kind, id: &str) -> Refusal {
    failed(format!("failed to parse field [{path}] of type [{}] in document with id '{id}'", kind.name()))
}

fn failed(reason: String) -> Refusal {
    Refusal::new(400, "mapper_parsing_exception", reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether a second document fits an index that has the first.
    fn fits(first: Value, second: Value) -> bool {
        let mut mapping = Mapping::of("arkime_x");
        let added = mapping.check("1", &first).unwrap();
        mapping.add(added);
        mapping.check("2", &second).is_ok()
    }

    #[test]
    fn objects_and_values_exclude_each_other_both_ways() {
        assert!(!fits(json!({"a": {"b": 1}}), json!({"a": "x"})));
        assert!(!fits(json!({"a": "x"}), json!({"a": {"b": 1}})));
        assert!(!fits(json!({"a": 1}), json!({"a.b": 1})));
        assert!(fits(json!({"a": {"b": 1}}), json!({"a.b": 2, "a": null})));
        assert!(!fits(json!({"a": [{"b": 1}]}), json!({"a": [2]})));
    }

    #[test]
    fn values_are_taken_where_they_can_be_read_as_the_fields_type() {
        assert!(fits(json!({"a": 1}), json!({"a": "12"})) && !fits(json!({"a": 1}), json!({"a": "twelve"})));
        assert!(fits(json!({"a": "x"}), json!({"a": 12})));
        assert!(!fits(json!({"a": true}), json!({"a": 1})));
        assert!(fits(json!({"a": [1, 2]}), json!({"a": 3.5})));
        assert!(fits(json!({"a": null}), json!({"a": {"b": 1}})));
    }

    #[test]
    fn sessions_have_the_types_of_arkimes_template() {
        let mapping = Mapping::of("arkime_sessions3-261124");
        let good = json!({"packetRange": {"gte": 1, "lte": 2}, "firstPacket": 1, "source": {"ip": "fe80::1", "port": 1}, "cert": [{"notAfter": 1}]});
        mapping.check("1", &good).unwrap();
        for bad in [
            json!({"source": {"ip": "nowhere"}}),
            json!({"firstPacket": "soon"}),
            json!({"packetRange": {"from": 1}}),
            json!({"packetRange": 3}),
            json!({"source": "10.0.0.1"}),
        ] {
            assert_eq!(mapping.check("1", &bad).unwrap_err().kind, "mapper_parsing_exception", "{bad}");
        }
    }

    #[test]
    fn too_many_fields_and_too_deep_ones_are_refused() {
        let wide: serde_json::Map<_, _> = (0..=MAX_FIELDS).map(|n| (format!("f{n}"), json!(1))).collect();
        assert!(Mapping::of("arkime_x").check("1", &Value::Object(wide)).unwrap_err().reason.contains("total fields"));
        let deep = (0..30).fold(json!(1), |inner, _| json!({"a": inner}));
        assert!(Mapping::of("arkime_x").check("1", &deep).unwrap_err().reason.contains("depth"));
    }
}
