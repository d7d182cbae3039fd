//! Making a work update or a problem of an inbox item.

use std::str::FromStr;

use kabar_domain::channel::{InboxClass, InboxStatus};
use kabar_domain::operations::{RecordKind, Severity};
use kabar_domain::{Ability, InboxItemId, RecordId};
use kabar_store::events::NewEvent;
use kabar_store::inbox::{self, Item};
use kabar_store::{Tx, channels};
use kabar_understanding::templates::SUBJECTS;
use serde_json::{Value as Json, json};

use super::not_found;
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::patch::Patch;
use crate::places::Meant;
use crate::records::{Author, NewRecord, Record, RecordFields, Shown, Source};
use crate::rules;

/// Characters of a title made of a text.
const TITLE: usize = 120;

/// What to make of an item. What is left out of `fields` is what the understanding suggests.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    pub to: Option<String>,
    pub fields: RecordFields,
}

/// The record, the item, and whether the record was made just now.
#[derive(Clone, Debug)]
pub struct Converted {
    pub record: Shown,
    pub item: Item,
    pub created: bool,
}

/// What an item was converted to.
pub(crate) fn record_of(item: &Item) -> Option<(RecordKind, RecordId)> {
    let record = item.record.as_ref()?;
    let kind = RecordKind::from_name(record.get("type")?.as_str()?)?;
    Some((kind, record.get("id")?.as_str()?.parse().ok()?))
}

/// The id in a suggestion.
fn suggested<T: FromStr>(item: &Item, field: &str) -> Option<T> {
    item.suggestions.as_ref()?.get(field)?.get("id")?.as_str()?.parse().ok()
}

/// A line without the `#problem` before it.
fn unmarked(line: &str) -> &str {
    let line = line.trim();
    match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(char::is_alphabetic) => {
            rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start())
        }
        _ => line,
    }
}

/// What a form says that it is about, else the first line of what was said, else what it is.
fn title(item: &Item) -> String {
    let form = item.understanding.as_ref().and_then(|found| found.get("structured")?.get("fields"));
    let subject = form.and_then(|form| SUBJECTS.iter().find_map(|field| form.get(*field)?.as_str()));
    let said = subject.or(item.text.as_deref());
    let first = |unmarked: fn(&str) -> &str| {
        said.into_iter().flat_map(str::lines).map(unmarked).find(|line| !line.is_empty())
    };
    let caption = || item.media.iter().find_map(|file| file.caption.as_deref());
    let Some(line) = first(unmarked).or_else(caption).or_else(|| first(str::trim)) else {
        return item.kind.as_str().replace('_', " ");
    };
    match line.char_indices().nth(TITLE) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

impl Engine {
    /// Makes a record of an item, once: again it is the same record, and another kind is a conflict.
    pub async fn convert_inbox_item(
        &self,
        principal: &Principal,
        id: InboxItemId,
        conversion: Conversion,
    ) -> Result<Converted> {
        principal.require(Ability::Write)?;
        let organisation = principal.organisation_id;
        let mut tx = self.store.begin().await?;
        let found = inbox::find_to_change(&mut tx, organisation, id).await?;
        let mut item = found.ok_or_else(not_found)?;
        let mut invalid = Invalid::default();
        let to = conversion.to.filter(|text| !text.is_empty());
        invalid.require("to", to.is_some());
        let kind = to.as_deref().and_then(RecordKind::from_name);
        if kind.is_none() && to.is_some() {
            rules::selected(&mut invalid, "to");
        }
        let Some(kind) = kind else { return Err(Error::Invalid(invalid)) };
        let created = match record_of(&item) {
            Some((made, _)) if made != kind => {
                return Err(Error::Conflict(format!(
                    "The item was converted to a {} already.",
                    made.as_str().replace('_', " ")
                )));
            }
            Some(_) => false,
            None => {
                self.convert(&mut tx, &mut item, kind, conversion.fields, principal.into()).await?;
                true
            }
        };
        let (kind, record) = record_of(&item).ok_or_else(not_found)?;
        let record = self.shown_record(&mut tx, organisation, kind, record).await?;
        self.show_media(&mut tx, organisation, &mut item.media).await?;
        tx.commit().await?;
        Ok(Converted { record, item, created })
    }

    /// Makes a record of an item that was locked and is none yet, in the caller's transaction. What the fields leave
    /// out is what was suggested, and the channel's site. A channel may forbid it.
    pub(crate) async fn convert(
        &self,
        tx: &mut Tx,
        item: &mut Item,
        kind: RecordKind,
        mut fields: RecordFields,
        author: Author,
    ) -> Result<()> {
        let channel = match item.channel_id {
            Some(channel) => channels::find(tx, item.organisation_id, channel).await?,
            None => None,
        };
        let allowed = channel.as_ref().is_none_or(|channel| match kind {
            RecordKind::Problem => channel.allow_issues,
            RecordKind::WorkUpdate => channel.allow_routine_logs,
        });
        if !allowed {
            let what = if kind == RecordKind::Problem { "problems" } else { "work updates" };
            return Err(Invalid::one("to", format!("The item's channel does not allow {what}.")));
        }
        let said = item.text.clone().filter(|text| !text.trim().is_empty());
        let mut new = NewRecord {
            organisation_id: item.organisation_id,
            kind,
            title: title(item),
            body: said,
            site_id: suggested(item, "site").or(channel.and_then(|channel| channel.default_site_id)),
            facility_id: suggested(item, "facility"),
            category_id: suggested(item, "category"),
            severity: item
                .suggestions
                .as_ref()
                .and_then(|found| Severity::from_name(found.get("severity")?.as_str()?)),
            assignee_id: None,
            occurred_at: item.occurred_at,
            metadata: None,
            author: Author { message_id: author.message_id.or(item.message_id), ..author },
            reporter: item.contact_id,
            source: Some(Source {
                item_id: item.id,
                message_id: item.message_id,
                contact_id: item.contact_id,
                conversation_id: item.conversation_id,
                channel_id: item.channel_id,
            }),
            media: item.media.clone(),
        };
        if matches!(fields.title, Patch::Set(None)) {
            fields.title = Patch::Keep;
        }
        let said = [&fields.site_id, &fields.facility_id, &fields.category_id].map(|id| id.value().is_some());
        self.fill(tx, &mut new, fields).await?;
        let record = self.create_record(tx, new).await?;
        if author.user_id.is_some() {
            self.learn_names(tx, item, &record, said).await?;
        }
        let before = item.status;
        item.status = InboxStatus::Converted;
        item.class = match kind {
            RecordKind::WorkUpdate => InboxClass::WorkUpdate,
            RecordKind::Problem => InboxClass::Problem,
        };
        let made: Json = json!({ "type": kind, "id": record.id, "number": record.number });
        item.record = Some(made.clone());
        item.updated_at = self.clock.now();
        inbox::update(tx, item, before).await?;
        let event = NewEvent {
            kind: "inbox.converted",
            subject_id: Some(item.id.uuid()),
            data: Some(json!({ "record": made }).to_string()),
        };
        tx.record(item.organisation_id, item.updated_at, [event]);
        self.tell_number(tx, item, &record).await
    }

    /// What a person says of site, thing and category (where it was `said`) teaches the names that the text has for
    /// them: where it has one name, and something else was understood by it.
    async fn learn_names(&self, tx: &mut Tx, item: &Item, record: &Record, said: [bool; 3]) -> Result<()> {
        let entities = item.understanding.as_ref().and_then(|found| found.get("entities"));
        let only = |kind: &str| match entities?.get(kind)?.as_array()?.as_slice() {
            [one] => one.get("text")?.as_str(),
            _ => None,
        };
        let lessons = [
            (record.site_id.map(Meant::Site), suggested(item, "site").map(Meant::Site), "locations"),
            (
                record.facility_id.map(Meant::Facility),
                suggested(item, "facility").map(Meant::Facility),
                "things",
            ),
            (
                record.category_id.map(Meant::Category),
                suggested(item, "category").map(Meant::Category),
                "categories",
            ),
        ];
        for ((meant, understood, kind), _) in lessons.into_iter().zip(said).filter(|(_, said)| *said) {
            if let (Some(meant), Some(name)) = (meant.filter(|_| meant != understood), only(kind)) {
                self.learn_alias(tx, item.organisation_id, meant, name).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kabar_domain::message::{Media, MessageKind, Platform};
    use kabar_domain::{Clock, OrganisationId, Timestamp};

    fn item(text: Option<&str>, caption: Option<&str>) -> Item {
        let clock = Clock::manual(Timestamp::from_unix(1_700_000_000));
        let caption = caption.map(str::to_owned);
        Item {
            organisation_id: OrganisationId::new(&clock),
            id: InboxItemId::new(&clock),
            class: InboxClass::Unknown,
            status: InboxStatus::New,
            platform: Platform::Other,
            channel_id: None,
            conversation_id: None,
            contact_id: None,
            message_id: None,
            external_id: None,
            kind: MessageKind::Image,
            text: text.map(str::to_owned),
            media: vec![Media { caption, ..Media::default() }],
            sender: None,
            metadata: None,
            confidence: None,
            reasons: Vec::new(),
            suggestions: None,
            record: None,
            understanding: None,
            digest_id: None,
            occurred_at: clock.now(),
            created_at: clock.now(),
            updated_at: clock.now(),
            contact_name: None,
            contact_phone: None,
        }
    }

    #[test]
    fn a_title_is_what_was_said_first() {
        assert_eq!(title(&item(Some("\n  AC bocor \nsudah 2x"), None)), "AC bocor");
        assert_eq!(title(&item(Some(" \n"), Some("Lobi"))), "Lobi");
        assert_eq!(title(&item(None, None)), "image");
        assert_eq!(title(&item(Some("#problem AC bocor"), None)), "AC bocor");
        assert_eq!(title(&item(Some("#inspeksi\nPanel: 3"), None)), "Panel: 3");
        assert_eq!(
            (title(&item(Some("#3 rusak"), None)), title(&item(Some("#lapor"), None))),
            ("#3 rusak".into(), "#lapor".into())
        );
        let mut form = item(Some("Lokasi: Lobby\nMasalah: lampu mati"), None);
        form.understanding = Some(
            json!({ "structured": { "fields": { "location": "Lobby", "problem": "lampu mati\nsejak pagi" } } }),
        );
        assert_eq!(title(&form), "lampu mati");
        let long = title(&item(Some(&"ا ".repeat(100)), None));
        assert!(long.ends_with("ا…") && long.chars().count() <= 121, "{long}");
    }
}
