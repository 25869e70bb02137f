//! Writes a command, for our own clients.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::event::{Action, Command};
use crate::wire::json::{SpecJson, SubmitJson, some};

/// A command as the value of a record on `tasks`; its key is the pool.
#[must_use]
pub fn encode_command(command: &Command) -> Vec<u8> {
    serde_json::to_vec(&CommandJson(command)).unwrap_or_default()
}

struct CommandJson<'a>(&'a Command);

impl Serialize for CommandJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let command = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &1)?;
        map.serialize_entry("type", type_name(&command.action))?;
        map.serialize_entry("pool", &command.pool)?;
        some(&mut map, "request_id", command.request_id.as_ref())?;
        match &command.action {
            Action::Submit { tasks } => match tasks.as_slice() {
                [task] => map.serialize_entry("task", &SubmitJson(task))?,
                many => map.serialize_entry("tasks", &many.iter().map(SubmitJson).collect::<Vec<_>>())?,
            },
            Action::CancelTask { id, note } => {
                map.serialize_entry("id", id)?;
                map.serialize_entry("reason", note)?;
            }
            Action::CancelJob { job, note } => {
                map.serialize_entry("job", job)?;
                map.serialize_entry("reason", note)?;
            }
            Action::Requeue { task } => map.serialize_entry("task", &SpecJson(task))?,
            Action::Drain { worker } | Action::Undrain { worker } => map.serialize_entry("worker", worker)?,
        }
        map.end()
    }
}

fn type_name(action: &Action) -> &'static str {
    match action {
        Action::Submit { tasks } if tasks.len() == 1 => "submit",
        Action::Submit { .. } => "submit_many",
        Action::CancelTask { .. } | Action::CancelJob { .. } => "cancel",
        Action::Requeue { .. } => "requeue",
        Action::Drain { .. } => "drain",
        Action::Undrain { .. } => "undrain",
    }
}
