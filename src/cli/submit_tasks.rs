//! Makes tasks of flags and lines: pure, so that every corner can be tried. What stands in a line goes out as it stands.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;

/// What the flags say about every task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Template {
    pub(crate) pool: String,
    pub(crate) id: Option<String>,
    pub(crate) job: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<i32>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) payload: Option<Box<RawValue>>,
    pub(crate) command: Vec<String>,
}

/// A task that is ready to be sent. It has an id from here on, so that sending it twice is harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) pool: String,
    pub(crate) id: String,
    /// Its JSON.
    pub(crate) text: String,
}

/// The fields of an object in their order, repeated ones included, each as it stands in the text.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a task, which is a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

impl Fields {
    /// A field that must be a string where it is there; null is not there.
    fn string(&self, name: &str) -> Result<Option<String>, String> {
        let field = self.0.iter().find(|(key, raw)| key == name && raw.get() != "null");
        let Some((_, raw)) = field else {
            return Ok(None);
        };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| format!("`{name}` must be a string"))
    }
}

impl Template {
    /// A task with this command; only what was given is in it, the server fills in the rest.
    pub(crate) fn task(&self, command: &[String]) -> Draft {
        let mut parts = Vec::new();
        let id = self.id.clone().unwrap_or_else(new_id);
        parts.push(part("id", &json!(id).to_string()));
        parts.extend(self.fields(command).iter().map(|(name, text)| part(name, text)));
        Draft { pool: self.pool.clone(), id, text: format!("{{{}}}", parts.join(",")) }
    }

    /// All but the id.
    fn fields(&self, command: &[String]) -> Vec<(&'static str, String)> {
        let object = |pairs: &[(String, String)]| {
            let map: serde_json::Map<_, _> =
                pairs.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            (!map.is_empty()).then(|| json!(map).to_string())
        };
        let fields = [
            ("job", self.job.as_ref().map(|job| json!(job).to_string())),
            ("queue", self.queue.as_ref().map(|queue| json!(queue).to_string())),
            ("priority", self.priority.map(|priority| priority.to_string())),
            ("tags", object(&self.tags)),
            ("env", object(&self.env)),
            ("cwd", self.cwd.as_ref().map(|cwd| json!(cwd).to_string())),
            (
                "run_timeout_ms",
                self.timeout.map(|timeout| timeout.as_nanos().div_ceil(1_000_000).to_string()),
            ),
            ("retry", self.retries.map(|more| json!({ "max_failures": u64::from(more) + 1 }).to_string())),
            ("payload", self.payload.as_ref().map(|payload| payload.get().to_owned())),
            ("command", (!command.is_empty()).then(|| json!(command).to_string())),
        ];
        fields.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }
}

fn part(name: &str, text: &str) -> String {
    format!("{}:{text}", json!(name))
}

fn new_id() -> String {
    ulid::Ulid::generate().to_string().to_lowercase()
}

/// A task per line that is not empty: `{}` is the line, which is appended when there is no `{}`.
pub(crate) fn from_lines(lines: &str, template: &Template) -> Result<Vec<Draft>, String> {
    if template.command.is_empty() {
        return Err(
            "--each-line needs a command: yardmaster submit --each-line FILE -- ./price {}".to_owned()
        );
    }
    let has_place = template.command.iter().any(|word| word.contains("{}"));
    let task = |line: &str| {
        let mut command: Vec<String> = template.command.iter().map(|word| word.replace("{}", line)).collect();
        if !has_place {
            command.push(line.to_owned());
        }
        template.task(&command)
    };
    let tasks: Vec<Draft> = lines.lines().filter(|line| !line.trim().is_empty()).map(task).collect();
    if tasks.is_empty() {
        Err("there is no line, so there is nothing to submit".to_owned())
    } else {
        Ok(tasks)
    }
}

/// A task per line of JSON; flags fill in what a line leaves out.
pub(crate) fn from_jsonl(lines: &str, template: &Template) -> Result<Vec<Draft>, String> {
    let defaults = template.fields(&template.command);
    let mut tasks = Vec::new();
    for (at, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let task =
            from_json(line, template, &defaults).map_err(|error| format!("line {}: {error}", at + 1))?;
        tasks.push(task);
    }
    if tasks.is_empty() { Err("there is no task in it".to_owned()) } else { Ok(tasks) }
}

fn from_json(line: &str, template: &Template, defaults: &[(&str, String)]) -> Result<Draft, String> {
    let fields: Fields = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let id = fields.string("id")?.or_else(|| template.id.clone()).unwrap_or_else(new_id);
    let pool = fields.string("pool")?.unwrap_or_else(|| template.pool.clone());
    // The first id counts; a second one is for the server to refuse.
    let is_own_id = |name: &str, raw: &RawValue| name == "id" && raw.get() != "null";
    let has_id = fields.0.iter().any(|(name, raw)| is_own_id(name, raw));
    let kept = fields.0.iter().filter(|(name, raw)| name != "id" || is_own_id(name, raw));
    let is_left_out = |name: &str| !fields.0.iter().any(|(own, _)| own == name);
    let mut parts: Vec<String> = Vec::new();
    parts.extend((!has_id).then(|| part("id", &json!(id).to_string())));
    parts.extend(kept.map(|(name, raw)| part(name, raw.get())));
    parts.extend(defaults.iter().filter(|(name, _)| is_left_out(name)).map(|(name, text)| part(name, text)));
    Ok(Draft { pool, id, text: format!("{{{}}}", parts.join(",")) })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn template() -> Template {
        let command = ["price", "--book", "{}"].map(str::to_owned).to_vec();
        let pool = "default".to_owned();
        Template { pool, job: Some("j".to_owned()), retries: Some(2), command, ..Template::default() }
    }

    fn value(draft: &Draft) -> Value {
        serde_json::from_str(&draft.text).unwrap()
    }

    #[test]
    fn only_what_was_given_is_sent_and_an_id() {
        let plain = Template::default().task(&["true".to_owned()]);
        assert_eq!(value(&plain), json!({"id": plain.id, "command": ["true"]}));
        assert_eq!(plain.id.len(), 26, "an id that is unique without asking anybody");
        let full = Template {
            id: Some("t".to_owned()),
            timeout: Some(Duration::from_secs_f64(1.5)),
            tags: vec![("a".into(), "b".into())],
            ..template()
        };
        let wanted = json!({"id":"t","job":"j","retry":{"max_failures":3},"run_timeout_ms":1500,"tags":{"a":"b"},"command":["x"]});
        assert_eq!(value(&full.task(&["x".to_owned()])), wanted);
    }

    #[test]
    fn a_line_takes_its_place() {
        let tasks = from_lines("7\n\n8\n", &template()).unwrap();
        assert_eq!(tasks.len(), 2);
        assert_ne!(tasks[0].id, tasks[1].id);
        assert_eq!(value(&tasks[1])["command"], json!(["price", "--book", "8"]));
        let appended = Template { command: vec!["price".to_owned()], ..Template::default() };
        assert_eq!(value(&from_lines("a b", &appended).unwrap()[0])["command"], json!(["price", "a b"]));
        assert!(from_lines("x", &Template::default()).is_err());
        assert!(from_lines("\n", &template()).is_err());
    }

    #[test]
    fn flags_fill_in_what_a_json_line_leaves_out() {
        let lines = "{\"id\":\"t\",\"job\":\"k\",\"pool\":\"p\"}\n{}\n{\"id\":null}";
        let tasks = from_jsonl(lines, &template()).unwrap();
        assert_eq!((&value(&tasks[0])["job"], &value(&tasks[1])["job"]), (&json!("k"), &json!("j")));
        assert_eq!((tasks[0].pool.as_str(), tasks[0].id.as_str()), ("p", "t"));
        assert_eq!(tasks[1].pool, "default");
        assert_eq!(value(&tasks[2])["id"], json!(tasks[2].id), "null is no id");
        for bad in ["[1]", "{", "{\"id\":7}", "{\"pool\":{}}"] {
            let error = from_jsonl(&format!("{{}}\n{bad}"), &template()).unwrap_err();
            assert!(error.starts_with("line 2: "), "{error}");
        }
    }

    #[test]
    fn a_json_line_goes_out_as_it_stands() {
        let line =
            r#"{"id":"t","payload":{"z":0.1000,"a":123456789012345678901234567890,"a":1e400},"x":1,"x":2}"#;
        let plain = Template { pool: "default".to_owned(), ..Template::default() };
        assert_eq!(from_jsonl(line, &plain).unwrap()[0].text, line);
    }
}
