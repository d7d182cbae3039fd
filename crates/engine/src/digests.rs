//! The daily digest: what is open at the sites of a supervisor, at the hour of the site, by e-mail or as a message.

mod text;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use kabar_domain::hours::local;
use kabar_domain::inbound::{Identity, IdentityKind};
use kabar_domain::{OrganisationId, SiteId, Timestamp, UserId};
use kabar_store::digests::{self, Supervised};
use kabar_store::{Db, contacts, users};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::notifications::SendNotification;
use crate::operations::OperationsSettings;
use crate::templates::{TemplateMessage, Values};
use crate::{rules, words};

/// How often it is looked whether an hour has come.
const LOOK: Duration = Duration::from_secs(20);
/// A digest that is later than this, in minutes, waits for the next day.
const LATEST: u16 = 6 * 60;

/// A site's digest of a day, to one person.
type Sent = (SiteId, UserId, i64);

/// The sites of one supervisor whose hour it is.
struct Due {
    settings: OperationsSettings,
    /// The organisation's.
    language: Option<String>,
    sites: Vec<(Supervised, i64)>,
}

impl Engine {
    pub(crate) async fn run_digests(self: Arc<Self>, stop: CancellationToken) {
        // Of these it is known that they were sent.
        let mut sent: HashSet<Sent> = HashSet::new();
        while !stop.is_cancelled() {
            if let Err(error) = self.send_digests(&mut sent).await {
                tracing::warn!(%error, "digests could not be sent; it is tried again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn send_digests(&self, sent: &mut HashSet<Sent>) -> Result<()> {
        let now = self.clock.now();
        let sites = digests::supervised(&mut self.store.reader().await?).await?;
        let mut due: BTreeMap<(OrganisationId, UserId), Due> = BTreeMap::new();
        let mut today = HashSet::new();
        for site in sites {
            let settings = OperationsSettings::of(&site.settings);
            let Some(day) = day_due(&site, &settings, now) else { continue };
            for user in site.supervisors.clone() {
                let one = (site.site_id, user, day);
                today.insert(one);
                if !sent.contains(&one) {
                    let due = due.entry((site.organisation_id, user)).or_insert_with(|| Due {
                        settings: settings.clone(),
                        language: site.settings["language"].as_str().map(str::to_owned),
                        sites: Vec::new(),
                    });
                    due.sites.push((site.clone(), day));
                }
            }
        }
        for ((organisation, user), due) in due {
            if let Err(error) = self.send_digest(organisation, user, &due, now).await {
                match error {
                    Error::Store(error) if error.is_transient() => return Err(error.into()),
                    error => tracing::warn!(%error, %organisation, %user, "a digest could not be sent"),
                }
            }
        }
        *sent = today;
        Ok(())
    }

    async fn send_digest(
        &self,
        organisation: OrganisationId,
        user: UserId,
        due: &Due,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.store.begin().await?;
        let Some(person) = users::by_id(&mut tx, user).await?.filter(|person| person.disabled_at.is_none())
        else {
            return Ok(());
        };
        let mut sites = Vec::new();
        for (site, day) in &due.sites {
            // Another server may have sent it.
            if digests::claim(&mut tx, organisation, site.site_id, user, *day, now).await? {
                sites.push(site);
            }
        }
        if sites.is_empty() {
            return Ok(());
        }
        let number = due.settings.digest_to.get(&user.to_string());
        let own = match number {
            Some(number) => language_of(&mut tx, organisation, number).await?,
            None => None,
        };
        let language = words::language(own.as_ref().or(due.language.as_ref()).map_or("en", String::as_str));
        let mut text = String::new();
        for site in &sites {
            let open = digests::open(&mut tx, organisation, site.site_id).await?;
            let recent = digests::since(&mut tx, organisation, site.site_id, now.minus(DAY)).await?;
            text::describe(&mut text, language, &site.name, &open, recent, now);
        }
        let names: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
        let (channel, address) = match number {
            Some(number) => ("whatsapp", number.clone()),
            None => ("email", person.email),
        };
        let text = text.trim_end().to_owned();
        let template = due.settings.template.as_ref().map(|name| TemplateMessage {
            name: Some(name.clone()),
            language: None,
            // A variable holds one line.
            values: Values {
                variables: Some(serde_json::json!([text.split_whitespace().collect::<Vec<_>>().join(" ")])),
                ..Values::default()
            },
        });
        let request = SendNotification {
            channels: vec![channel.to_owned()],
            to: BTreeMap::from([(channel.to_owned(), vec![address])]),
            subject: Some(text::subject(language, &names)),
            text: Some(text),
            whatsapp_template: template.filter(|_| channel == "whatsapp"),
            ..SendNotification::default()
        };
        let before = tx.savepoint().await?;
        let queued = match Box::pin(self.queue_notification(&mut tx, organisation, user, request)).await {
            Ok(queued) => {
                tx.keep(before).await?;
                Some(queued)
            }
            Err(Error::Store(error)) => return Err(error.into()),
            // It would be refused again and again: the day's digest is over.
            Err(error) => {
                tracing::warn!(%error, %organisation, %user, "a digest could not be sent");
                tx.undo_to(before).await?;
                None
            }
        };
        tx.commit().await?;
        if let Some(queued) = queued {
            self.is_queued(&queued);
        }
        Ok(())
    }
}

/// That of the contact whose WhatsApp number it is.
async fn language_of(db: &mut impl Db, organisation: OrganisationId, number: &str) -> Result<Option<String>> {
    let Some(digits) = rules::phone_digits(number) else { return Ok(None) };
    let identity = Identity { kind: IdentityKind::WaId, value: digits };
    let Some(contact) = contacts::find_identity(db, organisation, &identity).await? else { return Ok(None) };
    Ok(contacts::find(db, organisation, contact).await?.and_then(|found| found.language))
}

const DAY: Duration = Duration::from_hours(24);

/// The day of a site's digest, in days since 1970, when its hour has come and is not long past.
fn day_due(site: &Supervised, settings: &OperationsSettings, now: Timestamp) -> Option<i64> {
    let at = settings.digest_at?;
    let zone = TimeZone::get(&site.timezone).unwrap_or(TimeZone::UTC);
    let local = local(now, &zone)?;
    let minutes = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
    let epoch = jiff::civil::date(1970, 1, 1);
    let day = i64::from(epoch.until(local.date()).ok()?.get_days());
    (at..at.saturating_add(LATEST)).contains(&minutes).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kabar_domain::Clock;
    use serde_json::json;

    #[test]
    fn the_hour_is_the_sites() {
        // 2023-11-14 22:13 UTC, 05:13 of the next day in Jakarta.
        let now = Timestamp::from_unix(1_700_000_000);
        let clock = Clock::manual(now);
        let site = |timezone: &str| Supervised {
            organisation_id: OrganisationId::new(&clock),
            site_id: SiteId::new(&clock),
            name: "A".into(),
            timezone: timezone.into(),
            supervisors: Vec::new(),
            settings: json!({}),
        };
        let at = |time: &str| OperationsSettings::of(&json!({"operations": {"digest_at": time}}));
        let day = |timezone: &str, time: &str| day_due(&site(timezone), &at(time), now);
        assert_eq!((day("Asia/Jakarta", "05:13"), day("Asia/Jakarta", "05:14")), (Some(19_676), None));
        assert_eq!((day("UTC", "22:00"), day("UTC", "07:00")), (Some(19_675), None));
        let never = OperationsSettings::of(&json!({"operations": {"digest_at": null}}));
        assert_eq!(day_due(&site("UTC"), &never, now), None);
    }
}
