//! `filter_path`: which parts of an answer are wanted.

use serde_json::{Map, Value};

/// Patterns of an answer at most.
const MAX_PATTERNS: usize = 100;

/// Leaves only what one of the patterns, separated by commas, names: `took,items.*.error`; `*` is one name or a part of it,
/// `**` any number of names. Patterns with `-` leave out and are not known here.
pub(crate) fn filter(value: Value, patterns: &str) -> Value {
    let patterns: Vec<Vec<&str>> = patterns.split(',').take(MAX_PATTERNS).map(|pattern| pattern.split('.').collect()).collect();
    let patterns: Vec<&[&str]> = patterns.iter().map(Vec::as_slice).collect();
    keep(value, &patterns).unwrap_or_else(|| Value::Object(Map::new()))
}

fn keep(value: Value, patterns: &[&[&str]]) -> Option<Value> {
    if patterns.iter().any(|pattern| pattern.is_empty()) {
        return Some(value);
    }
    match value {
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, value)| {
                    let mut deeper: Vec<&[&str]> = patterns.iter().flat_map(|pattern| rests(pattern, &name)).collect();
                    // The same rest by several ways is one: else `**.**` would double them with each level.
                    deeper.sort_by_key(|rest| (rest.as_ptr(), rest.len()));
                    deeper.dedup_by_key(|rest| (rest.as_ptr(), rest.len()));
                    Some((name, keep(value, &deeper)?))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        // Lists have no names of their own.
        Value::Array(values) => {
            let kept: Vec<Value> = values.into_iter().filter_map(|value| keep(value, patterns)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

/// What is left of a pattern below a member of this name.
fn rests<'a>(pattern: &'a [&'a str], name: &str) -> Vec<&'a [&'a str]> {
    match pattern {
        [] => Vec::new(),
        ["**", rest @ ..] => {
            let mut found = vec![pattern];
            found.extend(rests(rest, name));
            found
        }
        [first, rest @ ..] if matches(first, name) => vec![rest],
        _ => Vec::new(),
    }
}

/// Whether `pattern` with its `*` covers a name. Takes time in proportion to both at most.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Behind the last star, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, from));
            }
            Some(byte) if name.get(from) == Some(byte) => (at, from) = (at + 1, from + 1),
            _ => {
                // The star takes one more. An earlier one need not: it has found its place.
                let Some((behind, taken)) = &mut star else { return false };
                *taken += 1;
                (at, from) = (*behind, *taken);
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(patterns: &str, expected: Value) {
        let value = json!({"took": 1, "errors": true, "items": [{"index": {"_id": "a", "status": 201}}, {"index": {"status": 400, "error": {"type": "t"}}}]});
        assert_eq!(filter(value, patterns), expected, "{patterns}");
    }

    #[test]
    fn only_what_is_asked_for_is_left() {
        check("errors", json!({"errors": true}));
        check("errors,items.*.status", json!({"errors": true, "items": [{"index": {"status": 201}}, {"index": {"status": 400}}]}));
        check("items.*.error.type", json!({"items": [{"index": {"error": {"type": "t"}}}]}));
        check("**.type", json!({"items": [{"index": {"error": {"type": "t"}}}]}));
        check("nothing", json!({}));
    }

    #[test]
    fn patterns_made_to_be_slow_are_not() {
        let name = "a".repeat(10_000);
        assert!(!matches(&format!("{}b", "*a".repeat(1000)), &name));
        let deep = (0..100).fold(json!(1), |inner, _| json!({"a": inner}));
        assert_eq!(filter(deep, &(["**"; 50].join(".") + ".b")), json!({}));
    }

    #[test]
    fn stars_stand_for_any_part_of_a_name() {
        assert!(matches("arkime_*", "arkime_files") && matches("*", "") && matches("a*c*e", "abcde"));
        assert!(!matches("arkime_*", "arkime") && !matches("a*c", "abcd") && !matches("", "a"));
        assert!(matches("*ab*ab", "abxabab") && matches("", "") && matches("**", "x"));
    }
}
