//! Requests to a server, and its problems as words for a person.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::{Failure, Outcome};
use super::output::say;
use crate::trace::{TRACEPARENT, TraceContext};

/// Where a server of this machine is by default.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:9733";
/// How long a server may be silent in the middle of a request: longer than the longest `wait_ms`.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Refused tasks that a message names.
const REFUSED_SHOWN: usize = 10;

/// An answer whose body is not read yet.
type Response = ureq::http::Response<ureq::Body>;

/// Where the server is and how to speak to it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server's URL.
    #[arg(long, env = "YARDMASTER_URL", default_value = DEFAULT_URL, global = true)]
    pub(crate) url: String,
    /// A file whose first line is the bearer token.
    #[arg(long, env = "YARDMASTER_TOKEN_FILE", value_name = "FILE", global = true)]
    pub(crate) token_file: Option<std::path::PathBuf>,
}

/// A server, as a client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    url: String,
    token: Option<String>,
    /// The trace that this command is a part of: what it submits is one, too.
    trace: Option<TraceContext>,
    agent: ureq::Agent,
    /// For bodies in which nothing may come for as long as nothing happens.
    following: ureq::Agent,
}

/// What came back, whatever the status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Client {
    /// As the flags say.
    pub(crate) fn new(args: &ServerArgs) -> Result<Self, Failure> {
        let token = match &args.token_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(format!("--token-file {}: {error}", path.display())))?;
                text.lines().next().map(|line| line.trim().to_owned())
            }
        };
        Ok(Self { token, ..Self::at(&args.url) })
    }

    /// Without a token.
    pub(crate) fn at(url: &str) -> Self {
        Self::with_silence(url, SILENCE_MAX)
    }

    fn with_silence(url: &str, silence_max: Duration) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            token: None,
            trace: std::env::var(TRACEPARENT).ok().and_then(|text| TraceContext::parse(&text)),
            agent: agent(silence_max, Some(silence_max)),
            following: agent(silence_max, None),
        }
    }

    /// The same, but a server that is silent for so long does not answer.
    pub(crate) fn with_patience(self, silence_max: Duration) -> Self {
        Self { token: self.token, ..Self::with_silence(&self.url, silence_max) }
    }

    /// Another instance, spoken to in the same way.
    pub(crate) fn at_another(&self, url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), ..self.clone() }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether anybody is there at all: a mistyped URL is told at once, whatever is asked again later.
    pub(crate) fn greet(&self) -> Result<(), Failure> {
        self.raw_get("/healthz").map(|_| ())
    }

    /// The answer to a GET, followed once to the instance that knows.
    pub(crate) fn raw_get(&self, path: &str) -> Result<Answer, Failure> {
        self.read(self.follow(path, |url| self.with_headers(self.agent.get(url)).call())?)
    }

    /// A body that goes on, as server-sent events do.
    pub(crate) fn stream(&self, path: &str) -> Result<ureq::BodyReader<'static>, Failure> {
        self.reader(self.follow(path, |url| self.with_headers(self.following.get(url)).call())?)
    }

    /// The lines of a body, of any length, one after the other; each ends with a line break, or the body was cut.
    pub(crate) fn each_line(&self, path: &str, mut see: impl FnMut(&str) -> Outcome) -> Outcome {
        let answer = self.follow(path, |url| self.with_headers(self.agent.get(url)).call())?;
        let mut reader = BufReader::new(self.reader(answer)?);
        let mut text = String::new();
        for number in 1_u64.. {
            text.clear();
            let cut = |why: &str| Failure::Incomplete(format!("the answer was cut in line {number}: {why}"));
            reader.read_line(&mut text).map_err(|error| cut(&error.to_string()))?;
            if text.is_empty() {
                break;
            }
            see(text.strip_suffix('\n').ok_or_else(|| cut("it does not end"))?)?;
        }
        Ok(())
    }

    /// JSON; a problem is a failure.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        parse(&self.raw_get(path)?)
    }

    /// JSON as its text; a problem is a failure.
    pub(crate) fn get_text(&self, path: &str) -> Result<String, Failure> {
        good(self.raw_get(path)?).map(|answer| answer.body)
    }

    /// JSON as its text; a problem is a failure.
    pub(crate) fn post_text(&self, path: &str, body: &Value) -> Result<String, Failure> {
        good(self.raw_post(path, &body.to_string())?).map(|answer| answer.body)
    }

    /// The answer to a POST of JSON.
    pub(crate) fn raw_post(&self, path: &str, body: &str) -> Result<Answer, Failure> {
        let answer = self.follow(path, |url| {
            let request = self.with_headers(self.agent.post(url));
            request.header("content-type", "application/json").send(body.as_bytes())
        })?;
        self.read(answer)
    }

    /// JSON; a problem is a failure.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        parse(&self.raw_post(path, &body.to_string())?)
    }

    /// All rows of a list, page after page, up to `limit`; each as it came.
    pub(crate) fn list(&self, path: &str, field: &str, limit: usize) -> Result<Vec<Box<RawValue>>, Failure> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        let glue = if path.contains('?') { '&' } else { '?' };
        while rows.len() < limit {
            let page = (limit - rows.len()).min(1_000);
            let at = cursor.as_ref().map(|cursor| format!("&cursor={}", encode(cursor))).unwrap_or_default();
            let text = self.get_text(&format!("{path}{glue}limit={page}{at}"))?;
            let fields: BTreeMap<String, Box<RawValue>> =
                serde_json::from_str(&text).map_err(|error| not_json(&error))?;
            if let Some(found) = fields.get(field) {
                let found: Vec<Box<RawValue>> =
                    serde_json::from_str(found.get()).map_err(|error| not_json(&error))?;
                rows.extend(found);
            }
            cursor = fields.get("next_cursor").and_then(|cursor| serde_json::from_str(cursor.get()).ok());
            if cursor.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    fn follow(
        &self,
        path: &str,
        call: impl Fn(&str) -> Result<Response, ureq::Error>,
    ) -> Result<Response, Failure> {
        let first = call(&format!("{}{path}", self.url)).map_err(|error| self.unreachable(&error))?;
        match (location(&first), first.status().as_u16()) {
            (Some(there), 421) => call(&there).map_err(|error| self.unreachable(&error)),
            _here => Ok(first),
        }
    }

    fn reader(&self, answer: Response) -> Result<ureq::BodyReader<'static>, Failure> {
        if answer.status().as_u16() != 200 {
            return Err(problem(&self.read(answer)?));
        }
        Ok(answer.into_body().into_reader())
    }

    fn read(&self, mut answer: Response) -> Result<Answer, Failure> {
        let status = answer.status().as_u16();
        let reader = answer.body_mut().with_config().limit(1 << 30);
        let body = reader.read_to_string().map_err(|error| self.unreachable(&error))?;
        Ok(Answer { status, body })
    }

    fn with_headers<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = match self.trace {
            Some(trace) => request.header("traceparent", trace.to_string()),
            None => request,
        };
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::Unreachable(format!(
            "{} does not answer: {error}\nIs a server running there? Another one is named by --url or YARDMASTER_URL.",
            self.url
        ))
    }
}

/// `answer_max`: until an answer begins; `read_max`: between two parts of its body.
fn agent(answer_max: Duration, read_max: Option<Duration>) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(5)))
        .timeout_recv_response(Some(answer_max))
        .timeout_per_read(read_max)
        .timeout_per_write(Some(answer_max))
        .max_redirects(0);
    config.build().into()
}

fn location(answer: &Response) -> Option<String> {
    answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// An answer that is none of a problem.
pub(crate) fn good(answer: Answer) -> Result<Answer, Failure> {
    if answer.status >= 300 { Err(problem(&answer)) } else { Ok(answer) }
}

/// The JSON of a good answer; anything else in words.
pub(crate) fn parse(answer: &Answer) -> Result<Value, Failure> {
    if answer.status >= 300 {
        return Err(problem(answer));
    }
    serde_json::from_str(&answer.body).map_err(|error| not_json(&error))
}

/// Rows as values, for tables.
pub(crate) fn values(rows: &[Box<RawValue>]) -> Vec<Value> {
    rows.iter().filter_map(|row| serde_json::from_str(row.get()).ok()).collect()
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::Incomplete(format!("the server's answer is not JSON: {error}"))
}

/// A problem in words: what, where, the limit, the way out.
pub(crate) fn problem(answer: &Answer) -> Failure {
    let Ok(problem) = serde_json::from_str::<Value>(&answer.body) else {
        return Failure::Incomplete(format!("the server says {}: {}", answer.status, answer.body.trim()));
    };
    let word = |field: &str| super::table::text(&problem, field);
    let mut lines = vec![if word("detail").is_empty() { word("title") } else { word("detail") }];
    for (field, head) in [("field", "field"), ("limit", "limit"), ("owner", "ask"), ("remedy", "what helps")]
    {
        if !word(field).is_empty() {
            lines.push(format!("  {head}: {}", word(field)));
        }
    }
    for found in problem.get("matches").and_then(Value::as_array).into_iter().flatten() {
        let word = |field: &str| super::table::text(found, field);
        lines.push(format!("  --pool {}: {} ({})", word("pool"), word("id"), word("state")));
    }
    let tasks = problem.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let refused: Vec<&Value> =
        tasks.iter().filter(|task| super::table::text(task, "outcome") == "refused").collect();
    // The only task of a request is what the detail is about.
    let named = if tasks.len() > 1 { REFUSED_SHOWN } else { 0 };
    for task in refused.iter().take(named) {
        let word = |field: &str| super::table::text(task, field);
        lines.push(format!("  {}/{}: {} {}", word("pool"), word("id"), word("reason"), word("detail")));
    }
    if named > 0 && refused.len() > named {
        lines.push(format!("  and {} more", refused.len() - named));
    }
    let message = lines.iter().map(|line| super::table::clean(line)).collect::<Vec<_>>().join("\n");
    match answer.status {
        400 | 413 | 415 | 422 => Failure::Usage(message),
        502..=504 => Failure::Unreachable(message),
        _other => Failure::Incomplete(message),
    }
}

/// Prints what the server warns of.
pub(crate) fn show_warnings(answer: &Value) {
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        say(&format!("warning: {}", super::table::text(warning, "detail")));
    }
}

/// Percent-encodes a part of a path or query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_accepts_and_is_silent_does_not_answer() {
        // Connections are accepted by the system; nobody reads them.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::with_silence(&url, Duration::from_millis(100));
        assert!(matches!(client.raw_get("/"), Err(Failure::Unreachable(_))));
        assert!(matches!(client.raw_post("/", "{}"), Err(Failure::Unreachable(_))));
        assert!(matches!(client.stream("/"), Err(Failure::Unreachable(_))));
    }

    #[test]
    fn refused_tasks_are_named_where_there_are_several() {
        let task =
            |id: &str| format!(r#"{{"pool":"p","id":"{id}","outcome":"refused","reason":"conflict"}}"#);
        let failure = |ids: &[&str]| {
            let tasks: Vec<String> = ids.iter().map(|id| task(id)).collect();
            let body = format!(r#"{{"detail":"no","tasks":[{}]}}"#, tasks.join(","));
            problem(&Answer { status: 409, body }).message().to_owned()
        };
        assert_eq!(failure(&["a"]), "no");
        assert_eq!(failure(&["a", "b\\u001b"]).lines().nth(2), Some("  p/b : conflict "));
        assert!(failure(&["x"; 12]).ends_with("  and 2 more"));
    }

    #[test]
    fn ids_are_safe_in_paths() {
        assert_eq!(encode("a/b c:d"), "a%2Fb%20c%3Ad");
    }

    #[test]
    fn a_problem_shows_where_and_what_helps() {
        let body = r#"{"title":"T","detail":"tasks has too many","field":"tasks","limit":10000,"remedy":"send fewer"}"#;
        let failure = problem(&Answer { status: 422, body: body.to_owned() });
        assert_eq!(
            failure.message(),
            "tasks has too many\n  field: tasks\n  limit: 10000\n  what helps: send fewer"
        );
        assert!(matches!(failure, Failure::Usage(_)));
        let failure = problem(&Answer { status: 404, body: "gone".to_owned() });
        assert_eq!(failure.message(), "the server says 404: gone");
    }
}
