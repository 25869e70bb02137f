//! Makes tasks of flags and lines: pure, so that every corner can be tried.

use serde_json::{Map, Value, json};

/// What the flags say about every task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Template {
    pub(crate) id: Option<String>,
    pub(crate) job: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<i32>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<String>,
    pub(crate) timeout_seconds: Option<f64>,
    pub(crate) retries: Option<u32>,
    pub(crate) payload: Option<Value>,
    pub(crate) command: Vec<String>,
}

impl Template {
    /// A task with this command; only what was given is in it, the server fills in the rest.
    pub(crate) fn task(&self, command: &[String]) -> Value {
        let mut task = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                task.insert(name.to_owned(), value);
            }
        };
        let object = |pairs: &[(String, String)]| {
            let map: Map<String, Value> =
                pairs.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            (!map.is_empty()).then_some(Value::Object(map))
        };
        put("id", self.id.as_ref().map(|id| json!(id)));
        put("job", self.job.as_ref().map(|job| json!(job)));
        put("queue", self.queue.as_ref().map(|queue| json!(queue)));
        put("priority", self.priority.map(|priority| json!(priority)));
        put("tags", object(&self.tags));
        put("env", object(&self.env));
        put("cwd", self.cwd.as_ref().map(|cwd| json!(cwd)));
        put("run_timeout_ms", self.timeout_seconds.map(|seconds| json!(millis(seconds))));
        put("retry", self.retries.map(|retries| json!({ "max_failures": u64::from(retries) + 1 })));
        put("payload", self.payload.clone());
        put("command", (!command.is_empty()).then(|| json!(command)));
        Value::Object(task)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be positive and below 1e9"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0).ceil() as u64
}

/// A task per line that is not empty: `{}` is the line, which is appended when there is no `{}`.
pub(crate) fn from_lines(lines: &str, template: &Template) -> Result<Vec<Value>, String> {
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
    let tasks: Vec<Value> = lines.lines().filter(|line| !line.trim().is_empty()).map(task).collect();
    if tasks.is_empty() {
        Err("there is no line, so there is nothing to submit".to_owned())
    } else {
        Ok(tasks)
    }
}

/// A task per line of JSON; flags fill in what a line leaves out.
pub(crate) fn from_jsonl(lines: &str, template: &Template) -> Result<Vec<Value>, String> {
    let Value::Object(defaults) = template.task(&template.command) else {
        return Ok(Vec::new());
    };
    let mut tasks = Vec::new();
    for (at, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at + 1;
        let value: Value =
            serde_json::from_str(line).map_err(|error| format!("line {number} is not JSON: {error}"))?;
        let Value::Object(mut task) = value else {
            return Err(format!("line {number} is not a task: a task is a JSON object"));
        };
        for (name, value) in &defaults {
            task.entry(name.clone()).or_insert_with(|| value.clone());
        }
        tasks.push(Value::Object(task));
    }
    if tasks.is_empty() { Err("there is no task in it".to_owned()) } else { Ok(tasks) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let command = ["price", "--book", "{}"].map(str::to_owned).to_vec();
        Template { job: Some("j".to_owned()), retries: Some(2), command, ..Template::default() }
    }

    #[test]
    fn only_what_was_given_is_sent() {
        assert_eq!(Template::default().task(&["true".to_owned()]), json!({"command":["true"]}));
        let full =
            Template { timeout_seconds: Some(1.5), tags: vec![("a".into(), "b".into())], ..template() };
        let wanted = json!({"job":"j","retry":{"max_failures":3},"run_timeout_ms":1500,"tags":{"a":"b"},"command":["x"]});
        assert_eq!(full.task(&["x".to_owned()]), wanted);
    }

    #[test]
    fn a_line_takes_its_place() {
        let tasks = from_lines("7\n\n8\n", &template()).unwrap();
        assert_eq!(tasks.len(), 2);
        assert_eq!(tasks[1]["command"], json!(["price", "--book", "8"]));
        let appended = Template { command: vec!["price".to_owned()], ..Template::default() };
        assert_eq!(from_lines("a b", &appended).unwrap()[0]["command"], json!(["price", "a b"]));
        assert!(from_lines("x", &Template::default()).is_err());
        assert!(from_lines("\n", &template()).is_err());
    }

    #[test]
    fn flags_fill_in_what_a_json_line_leaves_out() {
        let tasks = from_jsonl("{\"id\":\"t\",\"job\":\"k\"}\n{}\n", &template()).unwrap();
        assert_eq!((&tasks[0]["job"], &tasks[1]["job"]), (&json!("k"), &json!("j")));
        assert_eq!(
            from_jsonl("{}\n[1]", &template()).unwrap_err(),
            "line 2 is not a task: a task is a JSON object"
        );
        assert!(from_jsonl("{", &template()).unwrap_err().starts_with("line 1 is not JSON"));
    }
}
