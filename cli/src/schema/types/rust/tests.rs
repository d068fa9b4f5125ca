//! What must hold of generated code: the same bytes for the same schema, and the form in which rustfmt leaves it.
//! That it compiles, and what it does, is tested where the SDK is.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What rustfmt makes of a text, under the repository's rules.
fn formatted(text: &str) -> String {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--emit", "stdout", "--config-path"]).arg(root().join("rustfmt.toml"));
    rustfmt.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = rustfmt.spawn().expect("rustfmt is part of the toolchain");
    let text = text.to_owned();
    let mut stdin = running.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = running.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "rustfmt reads what was generated");
    String::from_utf8(output.stdout).unwrap()
}

fn check_formatted(text: &str) {
    for (line, (ours, theirs)) in text.lines().zip(formatted(text).lines()).enumerate() {
        assert_eq!(ours, theirs, "line {}", line + 1);
    }
    assert_eq!(text, formatted(text));
}

/// The committed types are those of their schema. After a change of either:
/// `tidelog schema types --lang rust SCHEMA --out FILE`.
fn check_committed(schema: &str, types: &str) {
    let schema = Schema::parse(&fs::read_to_string(root().join(schema)).unwrap()).unwrap();
    let generated = generate(&schema);
    check_formatted(&generated);
    let committed = fs::read_to_string(root().join(types)).unwrap();
    assert!(generated == committed, "{types} is not what is generated now");
}

#[test]
fn the_examples_types_are_those_of_the_example_schema() {
    check_committed("config/fitness.yaml", "client/examples/fitness/mod.rs");
}

#[test]
fn any_schema_has_types() {
    check_committed("client/tests/generated/awkward.yaml", "client/tests/generated/awkward.rs");
    check_committed("client/tests/generated/every_type.yaml", "client/tests/generated/every_type.rs");
}

#[test]
fn a_schema_without_entities_is_an_empty_module() {
    let schema = Schema::parse("{ name: nothing, version: 1, entities: {}, events: {} }").unwrap();
    let generated = generate(&schema);
    check_formatted(&generated);
    assert!(generated.ends_with(")]\n"), "{generated}");
}

#[test]
fn names_of_every_length_leave_lines_where_rustfmt_wants_them() {
    let mut schema = "name: lengths\nversion: 1\nentities:\n".to_owned();
    let lengths = 1..=64_usize;
    let name = |first: char, length: usize| format!("{first}{}", "n".repeat(length - 1));
    for length in lengths.clone() {
        let _ = write!(schema, "  {}: {{ fields: {{ a: {{ type: boolean }}", name('e', length));
        for (first, field) in [
            ('t', "{ type: string }"),
            ('s', "{ type: stamp, merge: set }"),
            ('l', "{ type: integer, merge: sum }"),
        ] {
            let _ = write!(schema, ", {}: {field}", name(first, length));
        }
        schema += " } }\n";
    }
    schema += "events:\n";
    for length in lengths {
        let entity = name('e', length);
        let (t, s, l) = (name('t', length), name('s', length), name('l', length));
        let _ = write!(
            schema,
            "  N{length}: {{ entity: {entity} }}
  O{length}: {{ entity: {entity}, payload: {{ {t}: optional, {s}: optional, {l}: optional }} }}
  P{length}: {{ entity: {entity}, payload: {{ {t}: required }} }}
  Q{length}: {{ entity: {entity}, payload: {{ {s}: required, {l}: required }} }}
  R{length}: {{ entity: {entity}, payload: {{ a: required, {t}: required, {l}: required }} }}
  S{length}: {{ entity: {entity}, payload: {{ {l}: required }} }}
"
        );
    }
    check_formatted(&generate(&Schema::parse(&schema).unwrap()));
}
