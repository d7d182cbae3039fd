//! `STATUS P-2026-000123`, as people write it, and `HELP`.

use kabar_domain::channel::ChannelStatus;
use kabar_domain::operations::{ProblemStatus, RecordKind};
use kabar_domain::{ConversationId, RecordId, SiteId};
use kabar_store::understanding::Unread;
use kabar_store::{Tx, inbox, organisations, records};
use kabar_understanding::Language;

use super::notes::written_in;
use super::{Saying, words};
use crate::engine::Engine;
use crate::error::Result;
use crate::records::{Record, number};
use crate::understanding::{Desk, Reading};

/// What somebody asks of Kabar itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The number as it is written in records, and the language of the words around it, where those tell.
    Status(String, Option<Language>),
    /// Asked for in this language.
    Help(Language),
}

/// What may stand around a number in a question for how things stand; the last three are of one language each.
const ASKING: [&str; 2] = ["status", "no"];
const ENGLISH: [&str; 10] = ["check", "number", "of", "report", "case", "ticket", "what", "is", "the", "for"];
const INDONESIAN: [&str; 11] =
    ["cek", "nomor", "nomer", "laporan", "kasus", "tiket", "apa", "gimana", "bagaimana", "untuk", "keadaan"];
const ARABIC: [&str; 9] = ["حالة", "الحالة", "حاله", "رقم", "بلاغ", "البلاغ", "بلاغي", "ما", "هي"];

/// A command is all that a message says.
pub(super) fn read(text: &str) -> Option<Command> {
    let text = text.trim().trim_end_matches(['.', '!', '?', '؟']);
    if text.chars().count() > 60 {
        return None;
    }
    let mut lower = text.to_lowercase();
    if let Some(command) = lower.strip_prefix('/') {
        // Telegram writes the bot's name behind a command in groups.
        let end = command.find(char::is_whitespace).unwrap_or(command.len());
        let (name, rest) = command.split_at(end);
        lower = format!("{}{rest}", name.split('@').next().unwrap_or_default());
    }
    match lower.as_str() {
        "help" | "start" => return Some(Command::Help(Language::English)),
        "bantuan" | "tolong bantuan" => return Some(Command::Help(Language::Indonesian)),
        "مساعدة" | "مساعده" | "المساعدة" => return Some(Command::Help(Language::Arabic)),
        _ => {}
    }
    status(&lower)
}

/// `P-2026-000123` of `status p 2026 123`, `cek P-2026-000123` or the number alone, in digits of either script.
fn status(text: &str) -> Option<Command> {
    let words = number::words(text);
    let (at, number) = number::among(&words)?;
    let mut language = None;
    for word in words[..at].iter().chain(&words[at + 3..]) {
        let of = |words: &[&str]| words.contains(&word.as_str());
        if of(&ASKING) {
            continue;
        }
        language = Some(if of(&ENGLISH) {
            Language::English
        } else if of(&INDONESIAN) {
            Language::Indonesian
        } else if of(&ARABIC) {
            Language::Arabic
        } else {
            return None;
        });
    }
    Some(Command::Status(number, language))
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
            Command::Status(number, said) => {
                let found = self.visible_record(tx, item, conversation, number).await?;
                let record = found.as_ref().map(|record| record.id);
                let language = match said {
                    Some(language) => *language,
                    None => self.language_of(tx, item, reading, record).await?,
                };
                match found {
                    None => words::not_found(language, number),
                    Some(record) => {
                        let due =
                            match record.due_at.filter(|_| record.status.is_some_and(ProblemStatus::is_open))
                            {
                                Some(due) => Some(self.local_time(tx, item, record.site_id, due).await?),
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

    /// A command is in no language. That in which who asks reported it counts, then the contact's, then that of the
    /// report.
    async fn language_of(
        &self,
        tx: &mut Tx,
        item: &Unread,
        reading: &Reading,
        record: Option<RecordId>,
    ) -> Result<Language> {
        let organisation = item.organisation_id;
        let sources = match record {
            Some(record) => records::sources(tx, organisation, record).await?,
            None => Vec::new(),
        };
        let own = sources.iter().find(|source| source.contact_id == item.contact_id);
        if let Some(own) = own {
            return Ok(written_in(inbox::find(tx, organisation, own.item_id).await?.as_ref()));
        }
        let contact = match item.contact_id {
            Some(contact) => kabar_store::contacts::find(tx, item.organisation_id, contact).await?,
            None => None,
        };
        let hint = contact.and_then(|contact| contact.language);
        let hint = hint.as_deref().map(words::language);
        match (hint, sources.first()) {
            (Some(hint), _) => Ok(hint),
            (None, Some(first)) => {
                Ok(written_in(inbox::find(tx, organisation, first.item_id).await?.as_ref()))
            }
            (None, None) => Ok(reading.answer_in()),
        }
    }

    /// A record that who asks may hear of: what they reported, and what was reported where they ask. A group that people
    /// here connected hears of everything.
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
        let is_team = item.channel.is_some_and(|channel| channel.status == ChannelStatus::Connected)
            && crate::understanding::in_group(item);
        let own = is_team
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

    /// On the clocks of the site, else of the organisation.
    async fn local_time(
        &self,
        tx: &mut Tx,
        item: &Unread,
        site: Option<SiteId>,
        at: kabar_domain::Timestamp,
    ) -> Result<String> {
        let site = match site {
            Some(site) => records::places::site(tx, item.organisation_id, site).await?,
            None => None,
        };
        let zone = match site.and_then(|site| site.timezone) {
            Some(zone) => Some(zone),
            None => organisations::by_id(tx, item.organisation_id).await?.map(|found| found.timezone),
        };
        let zone = zone.and_then(|zone| jiff::tz::TimeZone::get(&zone).ok());
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
            Some(Command::Status(number, _)) => number,
            other => format!("{other:?}"),
        };
        for text in [
            "STATUS P-2026-000123",
            "status p-2026-123",
            " Status: P 2026 123?",
            "حالة P-٢٠٢٦-١٢٣",
            "P-2026-000123",
            "p2026-123",
            "/status@acme_bot P-2026-000123",
            "status of #P-2026-000123",
            "cek status laporan no. P-2026-000123",
            "ما حالة البلاغ رقم P-2026-000123؟",
        ] {
            assert_eq!(status(text), "P-2026-000123", "{text}");
        }
        let language = |text: &str| match read(text) {
            Some(Command::Status(_, language)) => language,
            other => panic!("{other:?}"),
        };
        assert_eq!(language("STATUS P-2026-000123"), None);
        assert_eq!(language("cek P-2026-000123"), Some(Language::Indonesian));
        assert_eq!(language("حالة P-2026-000123"), Some(Language::Arabic));
        assert_eq!(read("Bantuan"), Some(Command::Help(Language::Indonesian)));
        assert_eq!(read("/help@acme_bot"), Some(Command::Help(Language::English)));
        assert_eq!(read("مساعدة"), Some(Command::Help(Language::Arabic)));
        for text in [
            "status pompa?",
            "help, the pump is leaking",
            "STATUS",
            "status P-2026",
            "P-2026-000123 sudah selesai",
            "lihat P-2026-000123",
            "P 2 3",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
