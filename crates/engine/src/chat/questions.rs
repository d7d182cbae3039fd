//! Asking where it is, and taking the answer: a tap on a button, or, where there are none, a number or a name.

use std::time::Duration;

use kabar_domain::channel::{ChannelKind, InboxStatus};
use kabar_domain::content::Button;
use kabar_domain::message::Platform;
use kabar_domain::operations::RecordKind;
use kabar_domain::{ConversationId, EntryId};
use kabar_store::chat::{self, Question};
use kabar_store::events::NewEvent;
use kabar_store::understanding::Unread;
use kabar_store::{Tx, inbox};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Said, Saying, words};
use crate::engine::Engine;
use crate::error::Result;
use crate::records::{Author, RecordFields};
use crate::understanding::{Desk, Guess, Reading, in_group, sure};

/// What a button says to us begins so.
const MARK: &str = "kabar:";
/// WhatsApp shows so many characters of a button.
const TITLE: usize = 20;
/// Places beside `Somewhere else`.
const PLACES: usize = 2;
/// An answer that comes later is none.
const WAITS: Duration = Duration::from_hours(48);

/// What is kept of a question.
#[derive(Debug, Serialize, Deserialize)]
struct Choices {
    sites: Vec<Guess>,
    contact: Option<String>,
    elsewhere: String,
    /// Whether the answer makes a record of it; outside of groups people do.
    convert: bool,
}

fn short(title: &str) -> String {
    if title.chars().count() <= TITLE {
        return title.to_owned();
    }
    let mut cut: String = title.chars().take(TITLE - 1).collect();
    cut.push('…');
    cut
}

/// Which choice a tap names: the question's id and a number.
fn tapped(payload: Option<&Value>) -> Option<(EntryId, usize)> {
    let payload = payload?;
    let said = ["id", "data", "payload"].iter().find_map(|field| payload.get(*field)?.as_str());
    let (question, choice) = said?.strip_prefix(MARK)?.split_once(':')?;
    Some((question.parse().ok()?, choice.parse().ok()?))
}

/// Which choice a text names, by its number or its name; one past the places is `Somewhere else`.
fn typed(text: &str, choices: &Choices) -> Option<usize> {
    let text = text.trim().trim_end_matches(['.', ')']).to_lowercase();
    if let Ok(number) = text.parse::<usize>() {
        return (1..=choices.sites.len() + 1).contains(&number).then(|| number - 1);
    }
    if text == choices.elsewhere.to_lowercase() {
        return Some(choices.sites.len());
    }
    choices
        .sites
        .iter()
        .position(|site| site.name.to_lowercase() == text || short(&site.name).to_lowercase() == text)
}

impl Engine {
    /// Asks where a problem is. `false`: it cannot be asked there.
    pub(crate) async fn ask_where(
        &self,
        tx: &mut Tx,
        item: &Unread,
        reading: &Reading,
        desk: &Desk,
    ) -> Result<bool> {
        let Some(conversation) = item.conversation_id else { return Ok(false) };
        let language = reading.answer_in();
        let id = EntryId::new(&self.clock);
        let choices = Choices {
            sites: reading.choices.iter().take(PLACES).cloned().collect(),
            contact: item.contact_id.map(|contact| contact.to_string()),
            elsewhere: words::elsewhere(language).to_owned(),
            convert: desk.settings.auto_convert && in_group(item),
        };
        let titles: Vec<&str> =
            choices.sites.iter().map(|site| site.name.as_str()).chain([choices.elsewhere.as_str()]).collect();
        // WhatsApp has no buttons in groups.
        let plain = item.channel.is_some_and(|channel| {
            channel.kind == ChannelKind::Group && channel.platform == Platform::Whatsapp
        });
        let mut saying = Saying::new(words::wherever(language).to_owned(), item.message_id);
        if plain {
            for (index, title) in titles.iter().enumerate() {
                saying.text = format!("{}\n{}. {title}", saying.text, index + 1);
            }
            saying.text = format!("{}\n{}", saying.text, words::by_number(language));
        } else {
            if let [one, _] = titles.as_slice() {
                saying.text = format!("{one}?");
            }
            saying.buttons = titles
                .iter()
                .enumerate()
                .map(|(index, title)| Button { id: format!("{MARK}{id}:{index}"), title: short(title) })
                .collect();
        }
        let said = self.say(tx, item.organisation_id, &desk.settings, conversation, saying).await?;
        let Said::Queued(message) = said else { return Ok(false) };
        let question = Question {
            id,
            conversation_id: conversation,
            item_id: item.id,
            kind: "where".to_owned(),
            data: json!(choices),
            message_id: Some(message),
        };
        chat::ask(tx, item.organisation_id, &question, self.clock.now()).await?;
        Ok(true)
    }

    /// Whether an item answers a question that waits in its conversation. The first answer counts.
    pub(super) async fn take_answer(
        &self,
        tx: &mut Tx,
        item: &Unread,
        conversation: ConversationId,
        desk: &Desk,
    ) -> Result<bool> {
        let tap = tapped(item.payload.as_ref());
        let text = item.text.as_deref().unwrap_or_default();
        if tap.is_none() && (text.is_empty() || text.chars().count() > 100) {
            return Ok(false);
        }
        let now = self.clock.now();
        let open = chat::open(tx, item.organisation_id, conversation, now.minus(WAITS)).await?;
        for question in open {
            let Ok(choices) = serde_json::from_value::<Choices>(question.data.clone()) else { continue };
            let choice = match tap {
                Some((id, choice)) => (id == question.id).then_some(choice),
                // Of several who talk in a group only the one who was asked answers by a word.
                None if choices.contact == item.contact_id.map(|contact| contact.to_string()) => {
                    typed(text, &choices)
                }
                None => None,
            };
            let Some(choice) = choice else { continue };
            if chat::answered(tx, item.organisation_id, question.id, now).await?
                && let Some(site) = choices.sites.get(choice)
            {
                self.settle_place(tx, item, &question, site, choices.convert, desk).await?;
            }
            return Ok(true);
        }
        // A tap on a question that was answered says nothing new.
        Ok(tap.is_some())
    }

    async fn settle_place(
        &self,
        tx: &mut Tx,
        answer: &Unread,
        question: &Question,
        site: &Guess,
        convert: bool,
        desk: &Desk,
    ) -> Result<()> {
        let organisation = answer.organisation_id;
        let Some(mut item) = inbox::find_to_change(tx, organisation, question.item_id).await? else {
            return Ok(());
        };
        if !matches!(item.status, InboxStatus::New | InboxStatus::NeedsReview) {
            return Ok(());
        }
        if let Some(suggestions) = item.suggestions.as_mut().and_then(Value::as_object_mut) {
            suggestions.insert("site".to_owned(), json!(site));
            let named = site.id.parse().ok().and_then(|site| desk.vocabulary.things_at(site));
            let text = item.text.as_deref().unwrap_or_default();
            if let Some(mention) = named.and_then(|index| index.mentions(text).into_iter().next()) {
                let thing = json!({ "id": mention.key, "name": mention.name, "score": sure(mention.score) });
                suggestions.insert("facility".to_owned(), thing);
            }
        }
        if !convert {
            item.updated_at = self.clock.now();
            let before = item.status;
            inbox::update(tx, &item, before).await?;
            let data = json!({ "class": item.class, "status": item.status, "site_id": site.id }).to_string();
            let event =
                NewEvent { kind: "inbox.updated", subject_id: Some(item.id.uuid()), data: Some(data) };
            tx.record(organisation, item.updated_at, [event]);
            return Ok(());
        }
        let author = Author { user_id: None, contact_id: answer.contact_id, message_id: answer.message_id };
        self.convert(tx, &mut item, RecordKind::Problem, RecordFields::default(), author).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> Choices {
        let site = |name: &str| Guess { id: name.to_owned(), name: name.to_owned(), score: 0.5 };
        let long = "The Building With A Very Long Name";
        Choices {
            sites: vec![site("Building A"), site(long)],
            contact: None,
            elsewhere: "Di tempat lain".into(),
            convert: true,
        }
    }

    #[test]
    fn an_answer_is_a_number_or_a_name() {
        let answer = |text| typed(text, &choices());
        assert_eq!(
            (answer("1"), answer(" 2. "), answer("3"), answer("4"), answer("0")),
            (Some(0), Some(1), Some(2), None, None)
        );
        assert_eq!((answer("building a"), answer("The Building With A…")), (Some(0), Some(1)));
        assert_eq!((answer("di tempat lain"), answer("Building")), (Some(2), None));
    }

    #[test]
    fn a_tap_names_its_question() {
        let id = EntryId::new(&kabar_domain::Clock::system());
        for field in ["id", "data", "payload"] {
            let mut payload = json!({ "title": "Building A" });
            payload[field] = json!(format!("kabar:{id}:1"));
            assert_eq!(tapped(Some(&payload)), Some((id, 1)), "{field}");
        }
        assert_eq!(tapped(Some(&json!({"id": "yes"}))), None);
    }
}
