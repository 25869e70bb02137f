//! Requests to a server, and its problems as words for a person.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::failure::Failure;
use super::output::say;

/// Where the server is and how to speak to it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server's URL.
    #[arg(long, env = "YARDMASTER_URL", default_value = "http://127.0.0.1:9733", global = true)]
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
    agent: ureq::Agent,
}

/// What came back, whatever the status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    location: Option<String>,
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
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .max_redirects(0)
            .build();
        Self { url: url.trim_end_matches('/').to_owned(), token: None, agent: config.into() }
    }

    /// The answer to a GET, followed once to the instance that knows.
    pub(crate) fn raw_get(&self, path: &str) -> Result<Answer, Failure> {
        self.follow(path, |url| self.with_token(self.agent.get(url)).call())
    }

    /// A body that goes on, as server-sent events do.
    pub(crate) fn stream(&self, path: &str) -> Result<ureq::BodyReader<'static>, Failure> {
        let url = format!("{}{path}", self.url);
        let answer =
            self.with_token(self.agent.get(&url)).call().map_err(|error| self.unreachable(&error))?;
        if answer.status().as_u16() != 200 {
            return Err(problem(&self.read(answer)?));
        }
        Ok(answer.into_body().into_reader())
    }

    /// JSON; a problem is a failure.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        parse(&self.raw_get(path)?)
    }

    /// The answer to a POST of JSON.
    pub(crate) fn raw_post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        let body = body.to_string();
        self.follow(path, |url| {
            self.with_token(self.agent.post(url))
                .header("content-type", "application/json")
                .send(body.as_bytes())
        })
    }

    /// JSON; a problem is a failure.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        parse(&self.raw_post(path, body)?)
    }

    /// All rows of a list, page after page, up to `limit`.
    pub(crate) fn list(&self, path: &str, field: &str, limit: usize) -> Result<Vec<Value>, Failure> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        let glue = if path.contains('?') { '&' } else { '?' };
        while rows.len() < limit {
            let page = (limit - rows.len()).min(1_000);
            let at = cursor.as_ref().map(|cursor| format!("&cursor={}", encode(cursor))).unwrap_or_default();
            let mut answer = self.get(&format!("{path}{glue}limit={page}{at}"))?;
            if let Some(Value::Array(found)) = answer.get_mut(field).map(Value::take) {
                rows.extend(found);
            }
            cursor = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    fn follow(
        &self,
        path: &str,
        call: impl Fn(&str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, Failure> {
        let first =
            self.read(call(&format!("{}{path}", self.url)).map_err(|error| self.unreachable(&error))?)?;
        match (&first.location, first.status) {
            (Some(there), 421) => self.read(call(there).map_err(|error| self.unreachable(&error))?),
            _here => Ok(first),
        }
    }

    fn read(&self, mut answer: ureq::http::Response<ureq::Body>) -> Result<Answer, Failure> {
        let location =
            answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = answer.status().as_u16();
        let reader = answer.body_mut().with_config().limit(1 << 30);
        let body = reader.read_to_string().map_err(|error| self.unreachable(&error))?;
        Ok(Answer { status, body, location })
    }

    fn with_token<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
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

/// The JSON of a good answer; anything else in words.
pub(crate) fn parse(answer: &Answer) -> Result<Value, Failure> {
    if answer.status >= 300 {
        return Err(problem(answer));
    }
    serde_json::from_str(&answer.body)
        .map_err(|error| Failure::Incomplete(format!("the server's answer is not JSON: {error}")))
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
    for refused in problem.get("tasks").and_then(Value::as_array).into_iter().flatten() {
        let word = |field: &str| super::table::text(refused, field);
        if word("outcome") == "refused" {
            lines.push(format!("  {}/{}: {} {}", word("pool"), word("id"), word("reason"), word("detail")));
        }
    }
    let message = lines.join("\n");
    match answer.status {
        400 | 413 | 415 | 422 => Failure::Usage(message),
        503 => Failure::Unreachable(message),
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
    fn ids_are_safe_in_paths() {
        assert_eq!(encode("a/b c:d"), "a%2Fb%20c%3Ad");
    }

    #[test]
    fn a_problem_shows_where_and_what_helps() {
        let body = r#"{"title":"T","detail":"tasks has too many","field":"tasks","limit":10000,"remedy":"send fewer"}"#;
        let failure = problem(&Answer { status: 422, body: body.to_owned(), location: None });
        assert_eq!(
            failure.message(),
            "tasks has too many\n  field: tasks\n  limit: 10000\n  what helps: send fewer"
        );
        assert!(matches!(failure, Failure::Usage(_)));
        let failure = problem(&Answer { status: 404, body: "gone".to_owned(), location: None });
        assert_eq!(failure.message(), "the server says 404: gone");
    }
}
