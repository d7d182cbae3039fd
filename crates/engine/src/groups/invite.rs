//! Inviting people. Neither provider lets anybody be put into a group: they are sent its link, as a message each.

use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::inbound::Identity;
use kabar_domain::message::Platform;
use kabar_domain::{Ability, ContactId, MessageId};
use kabar_providers::whatsapp::MAX_PARTICIPANTS;
use kabar_store::{Db, contacts};

use super::members::present;
use super::{GroupName, Reached, find};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::messages::{SendMessage, identity};
use crate::rules;
use crate::templates::TemplateMessage;

/// People in one request, where the provider sets no limit.
const MOST: usize = 100;

/// The people a request names, and what to tell them.
#[derive(Clone, Debug, Default)]
pub struct Participants {
    pub people: Vec<Participant>,
    /// Before the link, in an invitation.
    pub message: Option<String>,
    /// What goes to those whose 24-hour window at WhatsApp is closed.
    pub fallback_template: Option<TemplateMessage>,
}

/// Somebody, as a client names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant(pub String);

/// Somebody a request named, found.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// As the client wrote it.
    pub given: String,
    pub identity: Identity,
    pub contact: Option<ContactId>,
}

/// What became of one of the people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// What the client called them.
    pub given: String,
    pub identity: Identity,
    /// `invited`, `joined` (already), `removing`, `removed`, `promoted` or `failed`.
    pub status: &'static str,
    /// The invitation.
    pub message_id: Option<MessageId>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Invited {
    pub(super) fn new(person: Named, status: &'static str) -> Self {
        let Named { given, identity, .. } = person;
        Self { given, identity, status, message_id: None, error: None }
    }

    pub(super) fn failed(person: Named, error: &Error) -> Self {
        Self { error: Some(error.to_string()), ..Self::new(person, "failed") }
    }
}

fn reachable(platform: Platform, contact: &contacts::Contact) -> Option<&Identity> {
    use kabar_domain::inbound::IdentityKind as Kind;
    contact.identities.iter().find(|identity| match platform {
        Platform::Whatsapp => matches!(identity.kind, Kind::WaId | Kind::Bsuid),
        Platform::Telegram => identity.kind == Kind::Telegram,
        Platform::Widget | Platform::Other => false,
    })
}

/// Finds those named, each once. An id of ours is a contact's; anything else the provider's name of a person.
pub(super) async fn named(db: &mut impl Db, reached: &Reached, given: Participants) -> Result<Vec<Named>> {
    let organisation = reached.group.organisation_id;
    let mut invalid = Invalid::default();
    if given.people.is_empty() {
        invalid.add("participants", "The participants field is required.");
    }
    if given.people.len() > MOST {
        invalid.add("participants", format!("The participants field must not have more than {MOST} items."));
    }
    invalid.check()?;
    let mut invalid = Invalid::default();
    let mut people: Vec<Named> = Vec::new();
    for (place, Participant(given)) in given.people.into_iter().enumerate() {
        let field = format!("participants.{place}");
        let identity = if let Ok(id) = given.trim().parse::<ContactId>() {
            let contact = contacts::find(db, organisation, id).await?;
            let identity = contact.as_ref().and_then(|contact| reachable(reached.platform(), contact));
            identity.cloned().ok_or_else(|| format!("The selected {field} is invalid."))
        } else {
            identity(reached.platform(), &given).map_err(|error| error.to_string())
        };
        match identity {
            Ok(identity) if people.iter().all(|person| person.identity != identity) => {
                let contact = contacts::find_identity(db, organisation, &identity).await?;
                people.push(Named { given, identity, contact });
            }
            Ok(_) => {}
            Err(reason) => invalid.add(&field, reason),
        }
    }
    invalid.check()?;
    Ok(people)
}

impl Engine {
    /// Sends people a group's link. Each is answered for: one who cannot be written to does not keep the others.
    pub async fn add_group_participants(
        &self,
        principal: &Principal,
        name: &GroupName,
        given: Participants,
    ) -> Result<Vec<Invited>> {
        principal.require(Ability::Send)?;
        let group = find(&mut self.store.reader().await?, principal, name).await?;
        let mut invalid = Invalid::default();
        let message = rules::optional(&mut invalid, "message", given.message.clone(), 1_000);
        invalid.check()?;
        let fallback = given.fallback_template.clone();
        let reached = self.reach(group).await?;
        let mut db = self.store.reader().await?;
        let people = named(&mut db, &reached, given).await?;
        let there = present(&mut db, &reached.group).await?;
        drop(db);
        let joined = |person: &Named| {
            there.iter().any(|member| {
                member.status == MemberStatus::Joined && Some(member.contact_id) == person.contact
            })
        };
        let (already, mut people): (Vec<_>, Vec<_>) = people.into_iter().partition(joined);
        let mut answers: Vec<Invited> =
            already.into_iter().map(|person| Invited::new(person, "joined")).collect();
        if reached.platform() == Platform::Whatsapp
            && reached.group.participants as usize + people.len() > MAX_PARTICIPANTS
        {
            return Err(Invalid::one(
                "participants",
                format!(
                    "A WhatsApp group has at most {MAX_PARTICIPANTS} participants; {} are in this one.",
                    reached.group.participants
                ),
            ));
        }
        if reached.platform() == Platform::Telegram {
            // A bot cannot begin a conversation.
            let strangers;
            (people, strangers) = people.into_iter().partition(|person| person.contact.is_some());
            let error = Error::Conflict("The person has never written to the bot.".into());
            answers.extend(strangers.into_iter().map(|person| Invited::failed(person, &error)));
        }
        if people.is_empty() {
            return Ok(answers);
        }
        let link = self.link_for(&reached, people.len()).await?;
        let text = match message {
            Some(message) if message.contains(&link) => message,
            Some(message) => format!("{message}\n{link}"),
            None => format!("You are invited to the group \"{}\": {link}", reached.group.subject),
        };
        let channel = reached.account.channel_id.map(|channel| channel.to_string());
        let mut invited = Vec::new();
        for person in people {
            let request = SendMessage {
                channel_id: channel.clone(),
                wa_id: Some(person.identity.value.clone()),
                body: Some(text.clone()),
                fallback_template: fallback.clone(),
                ..SendMessage::default()
            };
            match self.send_message(principal, request).await {
                Ok(message) => {
                    invited.push(person.identity.clone());
                    let answer = Invited::new(person, "invited");
                    answers.push(Invited { message_id: Some(message.id), ..answer });
                }
                Err(error) => answers.push(Invited::failed(person, &error)),
            }
        }
        let mut tx = self.store.begin().await?;
        let mut written = Vec::new();
        for identity in invited {
            let contact = self.member_contact(&mut tx, &reached.group, &identity, None).await?;
            let asked = |member: &&kabar_store::members::Member| member.contact_id == contact;
            // Who asks to be let in goes on asking.
            if there.iter().find(asked).is_none_or(|member| member.status != MemberStatus::Requested) {
                written.push((contact, identity, MemberRole::Member, MemberStatus::Invited, None));
            }
        }
        self.observe(&mut tx, &reached.group, written, None).await?;
        tx.commit().await?;
        Ok(answers)
    }

    /// A link for this many people. Telegram makes one for just them.
    async fn link_for(&self, reached: &Reached, people: usize) -> Result<String> {
        if reached.platform() == Platform::Telegram {
            let (token, id) = (reached.token(), reached.external_id.as_str());
            let link = self.telegram.create_invite_link(token, id, Some(people)).await;
            return link.map_err(reached.refused());
        }
        match &reached.group.invite_link {
            Some(link) => Ok(link.clone()),
            None => self.ask_invite_link(reached, false).await,
        }
    }
}
