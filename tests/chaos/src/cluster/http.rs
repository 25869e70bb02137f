//! Requests as any program would send them.

use std::time::Duration;

use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// An instance's address.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    url: String,
    agent: ureq::Agent,
}

impl Http {
    pub(crate) fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(15)))
            .max_redirects(0)
            .build();
        Self { url: format!("http://127.0.0.1:{port}"), agent: config.into() }
    }

    /// `None` when nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<Answer> {
        self.agent.get(format!("{}{path}", self.url)).call().ok().map(answer)
    }

    /// `None` when nobody answers: it may have been done all the same.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Option<Answer> {
        let request =
            self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        request.send(body.to_string().as_bytes()).ok().map(answer)
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let status = response.status().as_u16();
    Answer { status, body: response.body_mut().read_to_string().unwrap_or_default() }
}
