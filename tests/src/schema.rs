//! Checking documents against JSON schemas.

use boon::{Compiler, Schemas};
use serde_json::Value;

/// Checks a document against its schema, and allows only the keys that the schema names: readers must accept
/// keys that they do not know, but no program may write one that is not documented.
///
/// # Panics
///
/// When the schema is not one.
pub fn check(document: &Value, mut schema: Value) -> Result<(), String> {
    close(&mut schema);
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    let place = "memory:///schema.json";
    compiler.add_resource(place, schema).expect("a schema");
    let schema = compiler.compile(place, &mut schemas).expect("a schema");
    schemas.validate(document, schema).map_err(|error| format!("{error:#}"))
}

/// Makes a schema refuse keys that it does not name, wherever it names any.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            if object.contains_key("properties") {
                object.entry("additionalProperties").or_insert(false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
