//! The description of the API (OpenAPI 3.1), made of the table of routes and of examples of what they answer.

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Answer, ROUTES, Route, answer};

/// What the description looks like.
pub(super) fn example() -> Value {
    let object = Value::Object(Map::new());
    json!({ "openapi": "", "info": object, "security": [object], "components": object, "paths": object })
}

/// The description.
pub(super) async fn description() -> Response {
    answer(document())
}

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_owned(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tenrec",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The sensor and its machine. Tokens are made on the page System, Access for programs. Fields may come to be; \
                            none goes, and none changes its meaning.",
        },
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": schema(&json!({
                "type": "about:blank", "title": "what is wrong", "status": 422, "detail": "what to do", "problems": [{ "key": "", "what": "" }],
            })) },
        },
        "paths": paths,
    })
}

fn operation(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = route.query.iter();
    let in_query =
        in_query.map(|(name, meaning)| json!({ "name": name, "in": "query", "description": meaning, "schema": { "type": "string" } }));
    let good = match route.answer {
        Answer::Json(example) => {
            ("200", json!({ "description": "The answer", "content": { "application/json": { "schema": schema(&example()) } } }))
        }
        Answer::Bytes(kind) => ("200", json!({ "description": "The bytes", "content": { kind: {} } })),
        Answer::Begun => ("202", json!({ "description": "It has begun: /api/job tells how it is doing" })),
    };
    let problem = json!({ "description": "What is wrong and what to do", "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
    let mut operation = json!({
        "summary": route.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": { good.0: good.1, "default": problem },
    });
    if let (Some(body), Some(operation)) = (route.body, operation.as_object_mut()) {
        let example = body();
        let content = json!({ "application/json": { "schema": schema(&example), "example": example } });
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    if let (true, Some(operation)) = (route.bundle, operation.as_object_mut()) {
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": { "application/octet-stream": {} } }));
    }
    operation
}

/// The schema that an example obeys.
fn schema(example: &Value) -> Value {
    match example {
        Value::Null => json!({}),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(number) if number.is_f64() => json!({ "type": ["number", "null"] }),
        Value::Number(_) => json!({ "type": ["integer", "null"] }),
        Value::String(_) => json!({ "type": "string" }),
        Value::Array(items) => json!({ "type": "array", "items": items.first().map(schema).unwrap_or_default() }),
        Value::Object(fields) => {
            let fields: Map<_, _> = fields.iter().map(|(name, value)| (name.clone(), schema(value))).collect();
            json!({ "type": "object", "properties": fields })
        }
    }
}
