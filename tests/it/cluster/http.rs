//! Requests as any program would send them.

use std::time::Duration;

use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) location: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) content_type: String,
}

impl Answer {
    /// The body as JSON; anything else fails the test.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in the body of {self:?}"))
    }

    /// The body, if the status is this one.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }
}

/// A server's address.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) url: String,
    agent: ureq::Agent,
}

impl Http {
    pub(crate) fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .build();
        Self { url: url.to_owned(), agent: config.into() }
    }

    /// `None` when nobody answers.
    pub(crate) fn try_get(&self, path: &str) -> Option<Answer> {
        self.agent.get(format!("{}{path}", self.url)).call().ok().map(answer)
    }

    /// As another server asks: what is not there is not asked for elsewhere. `None` when nobody answers.
    pub(crate) fn passed_on(&self, path: &str) -> Option<Answer> {
        let request = self.agent.get(format!("{}{path}", self.url)).header("yardmaster-passed-on", "a-test");
        request.call().ok().map(answer)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// JSON; `None` when nobody answers.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        self.try_post_bytes(path, "application/json", body.to_string().as_bytes())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).unwrap_or_else(|| panic!("no answer to POST {path}"))
    }

    /// Any bytes; `None` when the connection was cut.
    pub(crate) fn try_post_bytes(&self, path: &str, kind: &str, body: &[u8]) -> Option<Answer> {
        let request = self.agent.post(format!("{}{path}", self.url)).header("content-type", kind);
        request.send(body).ok().map(answer)
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (location, retry_after) = (header("location"), header("retry-after"));
    let content_type = header("content-type").unwrap_or_default();
    Answer {
        status: response.status().as_u16(),
        location,
        retry_after,
        content_type,
        body: response.body_mut().read_to_string().unwrap_or_default(),
    }
}
