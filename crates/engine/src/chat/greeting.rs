//! Whoever opens the chat with a Telegram bot is told what it is for; with the code of a facility, that it is about that.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kabar_domain::job::JobKind;
use kabar_domain::{JobId, MessageId, OrganisationId};
use kabar_store::jobs::{self, Leased, NewJob};
use kabar_store::{Error as StoreError, Tx, contacts, messages};

use super::{Saying, words};
use crate::engine::Engine;
use crate::error::Result;
use crate::jobs::Done;
use crate::operations::OperationsSettings;
use crate::places;
use crate::records::organisation;

const ATTEMPTS: i64 = 3;
const WAIT: Duration = Duration::from_secs(5);

impl Engine {
    /// Has those greeted who opened a chat by these messages.
    pub(crate) async fn have_greeted(
        &self,
        tx: &mut Tx,
        opened: Vec<(OrganisationId, MessageId)>,
    ) -> Result<(), StoreError> {
        if opened.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let jobs = opened.into_iter().map(|(organisation_id, message)| NewJob {
            organisation_id,
            id: JobId::new(&self.clock),
            kind: JobKind::Greet,
            subject_id: message.uuid(),
            data: None,
            due_at: now,
        });
        jobs::enqueue_all(tx, jobs.collect(), now).await?;
        self.jobs_expected.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) async fn greet(&self, job: &Leased) -> Done {
        if let Err(error) = self.try_to_greet(job).await {
            tracing::warn!(%error, "who opened a chat could not be greeted");
            if job.attempt < ATTEMPTS {
                return Done::Again(WAIT);
            }
        }
        Done::Finished
    }

    /// The job ends with what is said, so that nobody is greeted twice.
    async fn try_to_greet(&self, job: &Leased) -> Result<()> {
        let id = job.organisation_id;
        let mut tx = self.store.begin().await?;
        let found = messages::find_message(&mut tx, id, MessageId::from_uuid(job.subject_id)).await?;
        let (true, Some(message)) = (jobs::finish(&mut tx, job).await?, found) else { return Ok(()) };
        let owner = organisation(&mut tx, id).await?;
        let settings = OperationsSettings::of(&owner.settings);
        if !settings.commands {
            return Ok(());
        }
        let contact = match message.contact_id {
            Some(contact) => contacts::find(&mut tx, id, contact).await?,
            None => None,
        };
        let own = owner.settings["language"].as_str();
        let language =
            words::language(contact.and_then(|found| found.language).as_deref().or(own).unwrap_or("en"));
        let facility = match places::facility_of(message.body.as_deref().unwrap_or_default()) {
            Some(facility) => places::spoken(&mut tx, id, facility).await?,
            None => None,
        };
        let text = match facility {
            Some(facility) => words::about(language, &facility),
            None => words::help(language).to_owned(),
        };
        self.say(&mut tx, id, &settings, message.conversation_id, Saying::new(text, None)).await?;
        tx.commit().await?;
        self.outbound_ready.notify_one();
        Ok(())
    }
}
