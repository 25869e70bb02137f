//! The configuration that decisions depend on, and the reply topics that are known: both enter as logged events.

use yardmaster_state::StateError;

use crate::ctx::Ctx;
use crate::settings::Settings;
use crate::tables::{ReplyTopicTable, SettingsTable};

/// New settings; they hold for the whole batch that brings them, so that one batch sees one configuration.
pub(super) fn configured(ctx: &mut Ctx<'_, '_>, settings: &Settings) -> Result<(), StateError> {
    ctx.txn.put::<SettingsTable>(&(), settings)
}

/// A topic for replies exists.
pub(super) fn reply_ready(ctx: &mut Ctx<'_, '_>, topic: &str) -> Result<(), StateError> {
    ctx.txn.put::<ReplyTopicTable>(&topic.to_owned(), &())
}

/// A topic for replies is gone.
pub(super) fn reply_lost(ctx: &mut Ctx<'_, '_>, topic: &str) -> Result<(), StateError> {
    ctx.txn.delete::<ReplyTopicTable>(&topic.to_owned())
}
