//! Finding documents again: all, by their ids, by the value of a field. No scores, no order but that of the ids.

use serde_json::{Value, json};

use super::answers::Refusal;
use super::store::Store;

/// Hits of one answer at most, OpenSearch's `index.max_result_window`.
const MAX_HITS: u64 = 10_000;

/// What is looked for.
#[derive(Debug, PartialEq)]
enum Query {
    All,
    Ids(Vec<String>),
    Term(String, Value),
}

/// `_search` in the indices that `pattern` means.
pub(crate) fn search(store: &Store, pattern: &str, body: &Value) -> Result<Value, Refusal> {
    let number = |name: &str, default| match body.get(name) {
        None => Ok(default),
        Some(value) => value.as_u64().ok_or_else(|| Refusal::parsing(format!("[{name}] is no number of hits"))),
    };
    let (from, size) = (number("from", 0)?, number("size", 10)?);
    if from.saturating_add(size) > MAX_HITS {
        return Err(Refusal::illegal(format!("Result window is too large, from + size must be less than or equal to: [{MAX_HITS}]")));
    }
    let query = query(body, &["query", "from", "size", "_source", "track_total_hits", "sort"])?;
    let (mut total, mut hits) = (0_u64, Vec::new());
    find(store, pattern, &query, |index, id, source, version| {
        total += 1;
        if total > from && (hits.len() as u64) < size {
            hits.push(json!({"_index": index, "_id": id, "_version": version, "_score": 1.0, "_source": source}));
        }
    })?;
    Ok(json!({
        "took": 0, "timed_out": false, "_shards": shards(),
        "hits": {"total": {"value": total, "relation": "eq"}, "max_score": 1.0, "hits": hits},
    }))
}

/// `_count` in the indices that `pattern` means.
pub(crate) fn count(store: &Store, pattern: &str, body: &Value) -> Result<Value, Refusal> {
    let mut count = 0_u64;
    match query(body, &["query"])? {
        Query::All => {
            for name in indices(store, pattern)? {
                count += store.index(&name).map_or(0, |index| index.count());
            }
        }
        query => find(store, pattern, &query, |_, _, _, _| count += 1)?,
    }
    Ok(json!({"count": count, "_shards": shards()}))
}

/// One shard each, as every answer tells it.
pub(crate) fn shards() -> Value {
    json!({"total": 1, "successful": 1, "skipped": 0, "failed": 0})
}

fn query(body: &Value, known: &[&str]) -> Result<Query, Refusal> {
    if let Some(unknown) = body.as_object().into_iter().flatten().map(|(name, _)| name).find(|name| !known.contains(&name.as_str())) {
        return Err(Refusal::parsing(format!("Unknown key for a value in [{unknown}].")));
    }
    let Some(query) = body.get("query") else { return Ok(Query::All) };
    let single = query.as_object().filter(|query| query.len() == 1).and_then(|query| query.iter().next());
    let (kind, of) = single.ok_or_else(|| Refusal::parsing("[query] malformed, expected one query"))?;
    match kind.as_str() {
        "match_all" => Ok(Query::All),
        "ids" => {
            let values = of.get("values").and_then(Value::as_array).ok_or_else(|| Refusal::parsing("[ids] without values"))?;
            Ok(Query::Ids(values.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
        }
        "term" => {
            let (field, value) =
                of.as_object().and_then(|of| of.iter().next()).ok_or_else(|| Refusal::parsing("[term] without a field"))?;
            Ok(Query::Term(field.clone(), value.get("value").unwrap_or(value).clone()))
        }
        other => Err(Refusal::parsing(format!("unknown query [{other}]: there are match_all, ids and term here"))),
    }
}

fn indices(store: &Store, pattern: &str) -> Result<Vec<String>, Refusal> {
    let names = store.names(pattern);
    // A pattern that means nothing finds nothing; a name that means nothing is an error.
    match pattern
        .split(',')
        .find(|name| !name.contains('*') && *name != "_all" && !name.is_empty() && !names.iter().any(|known| known == name))
    {
        Some(missing) => Err(Refusal::new(404, "index_not_found_exception", format!("no such index [{missing}]"))),
        None => Ok(names),
    }
}

fn find(store: &Store, pattern: &str, query: &Query, mut each: impl FnMut(&str, &str, Value, u64)) -> Result<(), Refusal> {
    for name in indices(store, pattern)? {
        let Some(index) = store.index(&name) else { continue };
        let mut ids: Vec<&str> = match query {
            Query::Ids(ids) => ids.iter().map(String::as_str).collect(),
            Query::Term(field, value) if field == "_id" => value.as_str().into_iter().collect(),
            _ => index.ids().collect(),
        };
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let Some(found) = index.get(id).map_err(|error| Refusal::disk(&error))? else { continue };
            let wanted = match query {
                Query::Term(field, value) if field != "_id" => has(&found.source, field, value),
                _ => true,
            };
            if wanted {
                each(&name, id, found.source, found.version);
            }
        }
    }
    Ok(())
}

/// Whether a field, or a member of the list that it is, has the value.
fn has(source: &Value, field: &str, value: &Value) -> bool {
    match source {
        _ if field.is_empty() && !source.is_array() => source == value,
        Value::Array(all) => all.iter().any(|source| has(source, field, value)),
        Value::Object(members) => members.iter().any(|(name, inner)| {
            let rest = field.strip_prefix(name.as_str());
            rest.is_some_and(|rest| {
                rest.is_empty() && has(inner, "", value) || rest.strip_prefix('.').is_some_and(|rest| has(inner, rest, value))
            })
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Change;
    use super::*;

    #[test]
    fn documents_are_found_by_id_and_by_a_field_also_within_lists() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().to_owned()).unwrap();
        for (index, id, source) in [
            ("arkime_a", "1", json!({"http": {"host": ["x", "y"]}, "n": 1})),
            ("arkime_a", "2", json!({"http": {"host": ["z"]}, "n": 2})),
            ("arkime_b", "3", json!({"n": 2})),
        ] {
            store.apply(index, id, Change::Create(source)).unwrap();
        }
        let found = |query: Value| {
            let answer = search(&store, "arkime_*", &json!({"query": query})).unwrap();
            answer["hits"]["hits"].as_array().unwrap().iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found(json!({"match_all": {}})), ["1", "2", "3"]);
        assert_eq!(found(json!({"ids": {"values": ["2", "9"]}})), ["2"]);
        assert_eq!(found(json!({"term": {"http.host": "y"}})), ["1"]);
        assert_eq!(found(json!({"term": {"n": {"value": 2}}})), ["2", "3"]);
        assert_eq!(count(&store, "arkime_a", &json!({})).unwrap()["count"], 2);
        assert_eq!(search(&store, "arkime_c", &json!({})).unwrap_err().status, 404);
        assert!(search(&store, "arkime_a", &json!({"query": {"fuzzy": {}}})).unwrap_err().reason.contains("fuzzy"));
    }
}
