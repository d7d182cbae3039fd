//! `STATUS P-2026-000123` and `HELP`.

use kabar_domain::ConversationId;
use kabar_domain::operations::{ProblemStatus, RecordKind};
use kabar_store::understanding::Unread;
use kabar_store::{Tx, organisations, records};
use kabar_understanding::Language;

use super::{Saying, words};
use crate::engine::Engine;
use crate::error::Result;
use crate::records::Record;
use crate::understanding::{Desk, Reading};

/// What somebody asks of Kabar itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The number as it is written in records.
    Status(String),
    /// Asked for in this language.
    Help(Language),
}

/// A command is all that a message says.
pub(super) fn read(text: &str) -> Option<Command> {
    let text = text.trim().trim_start_matches('/').trim_end_matches(['.', '!', '?', '؟']);
    if text.chars().count() > 40 {
        return None;
    }
    let lower = text.to_lowercase();
    match lower.as_str() {
        "help" | "start" => return Some(Command::Help(Language::English)),
        "bantuan" | "tolong bantuan" => return Some(Command::Help(Language::Indonesian)),
        "مساعدة" | "مساعده" | "المساعدة" => return Some(Command::Help(Language::Arabic)),
        _ => {}
    }
    let rest = ["status", "cek status", "حالة", "الحالة"].iter().find_map(|word| lower.strip_prefix(word))?;
    number(rest).map(Command::Status)
}

/// `P-2026-000123` of `p 2026 123`, `P-2026-000123`, in digits of either script.
fn number(text: &str) -> Option<String> {
    let western: String = text
        .chars()
        .map(|letter| match letter {
            '٠'..='٩' => char::from(b'0' + (letter as u32 - '٠' as u32) as u8),
            letter => letter,
        })
        .collect();
    let parts: Vec<&str> = western
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect();
    let [kind, year, serial] = parts.as_slice() else { return None };
    let kind = match *kind {
        "p" => 'P',
        "w" => 'W',
        _ => return None,
    };
    let (year, serial): (u16, u32) = (year.parse().ok()?, serial.parse().ok()?);
    Some(format!("{kind}-{year:04}-{serial:06}"))
}

impl Engine {
    pub(super) async fn obey(
        &self,
        tx: &mut Tx,
        item: &Unread,
        conversation: ConversationId,
        reading: &Reading,
        desk: &Desk,
        command: &Command,
    ) -> Result<()> {
        let text = match command {
            Command::Help(language) => words::help(*language).to_owned(),
            Command::Status(number) => {
                let language = self.language_of(tx, item, reading).await?;
                match self.visible_record(tx, item, conversation, number).await? {
                    None => words::not_found(language, number),
                    Some(record) => {
                        let due =
                            match record.due_at.filter(|_| record.status.is_some_and(ProblemStatus::is_open))
                            {
                                Some(due) => Some(self.local_time(tx, item, due).await?),
                                None => None,
                            };
                        words::standing(
                            language,
                            &record.number,
                            &record.title,
                            record.status,
                            due.as_deref(),
                        )
                    }
                }
            }
        };
        let saying = Saying::new(text, item.message_id);
        self.say(tx, item.organisation_id, &desk.settings, conversation, saying).await?;
        Ok(())
    }

    /// A command is in no language: the contact's counts.
    async fn language_of(&self, tx: &mut Tx, item: &Unread, reading: &Reading) -> Result<Language> {
        let contact = match item.contact_id {
            Some(contact) => kabar_store::contacts::find(tx, item.organisation_id, contact).await?,
            None => None,
        };
        let hint = contact.and_then(|contact| contact.language);
        let hint =
            hint.as_deref().map(|code| words::language(code.split(['-', '_']).next().unwrap_or_default()));
        Ok(hint.unwrap_or_else(|| reading.answer_in()))
    }

    /// A record that who asks may hear of: what they reported, and what was reported where they ask. A group hears of
    /// everything.
    async fn visible_record(
        &self,
        tx: &mut Tx,
        item: &Unread,
        conversation: ConversationId,
        number: &str,
    ) -> Result<Option<Record>> {
        let Some(mut found) = records::find_number(tx, item.organisation_id, number).await? else {
            return Ok(None);
        };
        let organisation = item.organisation_id;
        let sources = records::sources(tx, organisation, found.id).await?;
        let own = crate::understanding::in_group(item)
            || found.conversation_id == Some(conversation)
            || (item.contact_id.is_some()
                && (found.reporter_contact_id == item.contact_id
                    || sources.iter().any(|source| source.contact_id == item.contact_id)));
        if !own {
            return Ok(None);
        }
        if let Some(whole) = found.merged_into
            && let Some(other) = records::find(tx, organisation, RecordKind::Problem, whole).await?
        {
            found = other.record;
        }
        Ok(Some(found))
    }

    async fn local_time(&self, tx: &mut Tx, item: &Unread, at: kabar_domain::Timestamp) -> Result<String> {
        let organisation = organisations::by_id(tx, item.organisation_id).await?;
        let zone = organisation.and_then(|found| jiff::tz::TimeZone::get(&found.timezone).ok());
        let local = kabar_domain::hours::local(at, &zone.unwrap_or(jiff::tz::TimeZone::UTC));
        Ok(local.map_or_else(|| at.to_string(), |local| local.strftime("%Y-%m-%d %H:%M").to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_whole_messages() {
        let status = |text: &str| match read(text) {
            Some(Command::Status(number)) => number,
            other => format!("{other:?}"),
        };
        for text in ["STATUS P-2026-000123", "status p-2026-123", " Status: P 2026 123?", "حالة P-٢٠٢٦-١٢٣"]
        {
            assert_eq!(status(text), "P-2026-000123", "{text}");
        }
        assert_eq!(read("Bantuan"), Some(Command::Help(Language::Indonesian)));
        assert_eq!(read("/help"), Some(Command::Help(Language::English)));
        assert_eq!(read("مساعدة"), Some(Command::Help(Language::Arabic)));
        for text in ["status pompa?", "help, the pump is leaking", "STATUS", "status P-2026", "P-2026-000123"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
