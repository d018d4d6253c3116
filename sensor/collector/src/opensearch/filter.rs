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
                    let deeper: Vec<&[&str]> = patterns.iter().flat_map(|pattern| rests(pattern, &name)).collect();
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

/// Whether `pattern` with its `*` covers a name.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| matches(after, rest)))
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
    fn stars_stand_for_any_part_of_a_name() {
        assert!(matches("arkime_*", "arkime_files") && matches("*", "") && matches("a*c*e", "abcde"));
        assert!(!matches("arkime_*", "arkime") && !matches("a*c", "abcd"));
    }
}
