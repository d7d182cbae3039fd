//! What becomes of an item once it is understood.

use kabar_domain::channel::{ChannelKind, InboxClass};
use kabar_domain::operations::RecordKind;
use kabar_store::understanding::Unread;
use kabar_understanding::templates::SUBJECTS;

use super::read::Reading;
use crate::operations::OperationsSettings;

/// What becomes of an item that nobody has decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays as it is, perhaps for a reason.
    Stay(Option<&'static str>),
    /// People look at it, for this reason.
    Review(&'static str),
    Convert(RecordKind),
}

/// What an item would become.
pub(crate) const fn kind_of(class: InboxClass) -> Option<RecordKind> {
    match class {
        InboxClass::WorkUpdate => Some(RecordKind::WorkUpdate),
        InboxClass::Problem => Some(RecordKind::Problem),
        InboxClass::Unknown => None,
    }
}

/// Whether it was said where a team sees it.
pub(crate) fn in_group(item: &Unread) -> bool {
    item.channel.is_some_and(|channel| channel.kind == ChannelKind::Group)
}

/// A form in which only the place is filled in, or nothing at all.
fn says_nothing(reading: &Reading) -> bool {
    let form = reading.analysis.structured.as_ref();
    form.is_some_and(|form| SUBJECTS.iter().any(|field| form.errors.contains_key(*field)))
}

/// Before floods are looked at.
pub(crate) fn fate(settings: &OperationsSettings, item: &Unread, reading: &Reading) -> Fate {
    let Some(kind) = kind_of(reading.class) else { return Fate::Stay(None) };
    if item.text.as_deref().is_some_and(crate::chat::is_command) {
        return Fate::Stay(Some("it asks about a record, or for help"));
    }
    let forbidden = item.channel.and_then(|channel| match kind {
        RecordKind::Problem => (!channel.allow_issues).then_some("the channel takes no problems"),
        RecordKind::WorkUpdate => {
            (!channel.allow_routine_logs).then_some("the channel takes no work updates")
        }
    });
    if forbidden.is_some() {
        return Fate::Stay(forbidden);
    }
    if says_nothing(reading) {
        return Fate::Review("its form does not say what it is about");
    }
    if reading.confidence < settings.threshold {
        return Fate::Review("not sure enough to convert it");
    }
    if kind == RecordKind::Problem && !in_group(item) {
        return Fate::Review("reported outside of a group: a person looks at it first");
    }
    if !settings.auto_convert {
        return Fate::Stay(None);
    }
    Fate::Convert(kind)
}

/// Whether the reporter of a problem should be asked where it is.
pub(crate) fn is_unsure(settings: &OperationsSettings, item: &Unread, reading: &Reading) -> bool {
    settings.confirm
        && reading.class == InboxClass::Problem
        && reading.confidence >= settings.threshold
        && reading.site.is_none()
        && !reading.choices.is_empty()
        && item.channel.is_some_and(|channel| channel.allow_issues)
}
