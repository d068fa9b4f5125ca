//! An event type in Rust: a struct of its payload, and how that becomes an event about an entity.

use tidelog_events::schema::{EventDefinition, Presence};

use super::field::RustField;
use super::layout::{bracketed, called, member};
use super::name::{Names, escaped, snake_case};

/// An event type, and what it is about.
pub(super) struct Event<'a> {
    pub(super) name: &'a str,
    pub(super) rust_type: String,
    pub(super) entity_type: &'a str,
    pub(super) rust_entity: &'a str,
    pub(super) definition: &'a EventDefinition,
}

impl Event<'_> {
    /// The struct and what it does, lines ended. `fields` are those of its entity type.
    pub(super) fn item(&self, fields: &[RustField<'_>]) -> String {
        let carried: Vec<_> = fields
            .iter()
            .filter_map(|field| Some((field, *self.definition.payload().get(field.name)?)))
            .collect();
        let (name, rust_type) = (self.name, &self.rust_type);
        format!(
            "{}
impl {rust_type} {{
    /// The event type, as the schema names it.
    pub const TYPE: &'static str = \"{name}\";

{}
{}}}
",
            self.declaration(&carried),
            constructor(&carried),
            self.about(&carried)
        )
    }

    fn declaration(&self, carried: &[(&RustField<'_>, Presence)]) -> String {
        let eq = if carried.iter().any(|(field, _)| field.is_float()) { "" } else { ", Eq" };
        let needs_nothing = carried.iter().all(|(_, presence)| *presence == Presence::Optional);
        let default = if needs_nothing { ", Default" } else { "" };
        let mut declared = String::new();
        for (field, presence) in carried {
            let written = field.written_type();
            let written =
                if *presence == Presence::Required { written } else { format!("Option<{written}>") };
            declared += &field.declaration(&field.written_doc(self.rust_entity), &written);
        }
        let body = if carried.is_empty() { ";".to_owned() } else { format!(" {{\n{declared}}}") };
        let (doc, rust_type) = (self.doc(), &self.rust_type);
        format!("/// {doc}\n#[derive(Debug, Clone, PartialEq{eq}{default})]\npub struct {rust_type}{body}\n")
    }

    fn doc(&self) -> String {
        let mut effects = Vec::new();
        if self.definition.creates() {
            effects.push("creates it".to_owned());
        }
        if self.definition.deletes() {
            effects.push("deletes it".to_owned());
        }
        effects.extend(self.definition.sets().keys().map(|field| format!("sets `{field}`")));
        let effects = if effects.is_empty() { String::new() } else { format!(": {}", effects.join(", ")) };
        format!("An event of type `{}`, about one [`{}`]{effects}.", self.name, self.rust_entity)
    }

    fn about(&self, carried: &[(&RustField<'_>, Presence)]) -> String {
        // The payload is a variable beside it.
        let entity = Names::without(&["payload"]).claim(snake_case(self.entity_type), "_entity");
        let entity = escaped(&entity);
        let arguments = ["self".to_owned(), format!("{entity}: &EntityId")];
        let mut lines = "    /// The event to be recorded, about that entity.\n    #[must_use]\n".to_owned();
        lines += &bracketed(4, "pub fn about", ("(", ")"), &arguments, " -> NewEvent {");
        let event = ["Self::TYPE".to_owned(), entity];
        if carried.is_empty() {
            lines += &called(8, "Payload::default()", ".into_event", &event, "");
            return lines + "    }\n";
        }
        lines += "        let mut payload = Payload::default();\n";
        for (field, presence) in carried {
            let method = if *presence == Presence::Required { ".put" } else { ".put_optional" };
            let write = [format!("\"{}\"", field.name), format!("self.{}", field.identifier)];
            lines += &called(8, "payload", method, &write, ";");
        }
        lines += &called(8, "payload", ".into_event", &event, "");
        lines + "    }\n"
    }
}

/// Whatever the event must carry as arguments: keys that a later schema version adds are optional, so callers stay
/// as they are.
fn constructor(carried: &[(&RustField<'_>, Presence)]) -> String {
    let (mut arguments, mut values) = (Vec::new(), Vec::new());
    for (field, presence) in carried {
        let identifier = &field.identifier;
        if *presence == Presence::Optional {
            values.push(format!("{identifier}: None"));
        } else if field.is_plain_text() {
            arguments.push(format!("{identifier}: impl Into<String>"));
            values.push(member(12, identifier, identifier, ".into()"));
        } else {
            arguments.push(format!("{identifier}: {}", field.written_type()));
            values.push(identifier.clone());
        }
    }
    let doc =
        if arguments.len() == carried.len() { "The event" } else { "The event, without what is optional" };
    let mut lines = format!("    /// {doc}.\n    #[must_use]\n");
    lines += &bracketed(4, "pub fn new", ("(", ")"), &arguments, " -> Self {");
    if carried.is_empty() {
        lines += "        Self\n";
    } else {
        lines += &bracketed(8, "Self", (" { ", " }"), &values, "");
    }
    lines + "    }\n"
}
