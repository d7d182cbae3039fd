//! Links and QR codes that open a chat with a facility named already.

use kabar_domain::message::Platform;
use kabar_domain::{Ability, AccountId, FacilityId, OrganisationId, SiteId};
use kabar_store::accounts::{self, Account};
use kabar_store::{Db, facilities, sites};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::facilities::not_found;
use super::qr::Qr;
use super::{Facility, Site, whole};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::rules;

/// Pixels of a picture's side.
const SIZES: std::ops::RangeInclusive<i64> = 64..=4096;
const SIZE: i64 = 512;

/// A link that opens a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacilityLink {
    pub platform: Platform,
    pub account_id: AccountId,
    /// The account's.
    pub display_name: String,
    pub url: String,
}

/// The links of a facility, those of the default account first.
#[derive(Clone, Debug)]
pub struct FacilityLinks {
    /// What the person's message begins with on WhatsApp. Matching finds the facility by its code, and by its name at
    /// its site.
    pub text: String,
    pub links: Vec<FacilityLink>,
}

/// Which link a code leads to; the first one when nothing is said.
#[derive(Clone, Debug, Default)]
pub struct LinkQuery {
    pub platform: Option<String>,
    pub messaging_account_id: Option<String>,
}

/// A facility and its code.
#[derive(Clone, Debug)]
pub struct SheetEntry {
    pub facility: Facility,
    pub url: String,
    pub qr: Qr,
}

/// The codes of what is at a site, to be printed.
#[derive(Clone, Debug)]
pub struct QrSheet {
    pub site: Site,
    pub entries: Vec<SheetEntry>,
}

/// `AC lantai 2 (AC-02), Building A: `
fn text(facility: &Facility, site: &Site) -> String {
    let code = facility.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    format!("{}{code}, {}: ", facility.name, site.name)
}

/// Telegram shows a text to whoever has written to the bot before, and to others a button that sends `/start …` alone:
/// so the bot is told, and the text left out.
fn link(account: &Account, facility: FacilityId, text: &str) -> Option<FacilityLink> {
    let text = utf8_percent_encode(text, NON_ALPHANUMERIC);
    let url = match account.platform {
        Platform::Whatsapp => format!("https://wa.me/{}?text={text}", account.phone_digits.as_deref()?),
        Platform::Telegram => {
            format!("https://t.me/{}?start={STARTS}{facility}", account.username.as_deref()?)
        }
        Platform::Widget | Platform::Other => return None,
    };
    Some(FacilityLink {
        platform: account.platform,
        account_id: account.id,
        display_name: account.display_name.clone(),
        url,
    })
}

/// What comes before a facility's id in what a link has a bot told: Telegram takes letters, figures, `_` and `-`.
const STARTS: &str = "f_";

/// What a message tells a bot who has just been opened: the text after `/start`, empty for none. `None` for any other
/// message.
pub(crate) fn started(message: &str) -> Option<&str> {
    let payload = message.trim().strip_prefix("/start")?;
    (payload.is_empty() || payload.starts_with(char::is_whitespace)).then(|| payload.trim())
}

/// The facility that a bot was opened about.
pub(crate) fn facility_of(message: &str) -> Option<FacilityId> {
    started(message)?.strip_prefix(STARTS)?.parse().ok()
}

/// How people are told which facility it is, as in a link's text.
pub(crate) async fn spoken(
    db: &mut impl Db,
    organisation: OrganisationId,
    id: FacilityId,
) -> Result<Option<String>> {
    let Some(facility) = facilities::find(db, organisation, id).await? else { return Ok(None) };
    let site = sites::find(db, organisation, facility.site_id).await?;
    let text = site.filter(|_| facility.archived_at.is_none()).map(|site| text(&facility, &site));
    Ok(text.map(|text| text.trim_end_matches([':', ' ']).to_owned()))
}

impl LinkQuery {
    fn checked(self) -> Result<(Option<Platform>, Option<AccountId>)> {
        let mut invalid = Invalid::default();
        let platform = self.platform.as_deref().map(crate::accounts::platform);
        if platform == Some(None) {
            rules::selected(&mut invalid, "platform");
        }
        let account = self.messaging_account_id.as_deref().map(|id| id.trim().parse().ok());
        if account == Some(None) {
            rules::selected(&mut invalid, "messaging_account_id");
        }
        invalid.check()?;
        Ok((platform.flatten(), account.flatten()))
    }
}

fn is_reachable(account: &Account) -> bool {
    match account.platform {
        Platform::Whatsapp => account.phone_digits.is_some(),
        Platform::Telegram => account.username.is_some(),
        Platform::Widget | Platform::Other => false,
    }
}

/// The organisation's accounts that people can write to, the default one first.
async fn reachable(db: &mut impl Db, principal: &Principal, query: LinkQuery) -> Result<Vec<Account>> {
    let (platform, wanted) = query.checked()?;
    let filter = accounts::Filter { platform, ..accounts::Filter::default() };
    let mut accounts = accounts::list(db, principal.organisation_id, filter, whole()).await?;
    accounts.retain(|account| wanted.is_none_or(|id| id == account.id) && is_reachable(account));
    accounts.sort_by_key(|account| !account.is_default);
    Ok(accounts)
}

fn unreachable() -> Error {
    Error::Conflict(
        "No number or bot can be linked to. Connect a WhatsApp number or a Telegram bot, or name one that is.".into(),
    )
}

impl Engine {
    async fn facility_at(
        &self,
        db: &mut impl Db,
        principal: &Principal,
        id: FacilityId,
    ) -> Result<(Facility, Site)> {
        let facility = facilities::find(db, principal.organisation_id, id).await?.ok_or_else(not_found)?;
        let site = sites::find(db, principal.organisation_id, facility.site_id).await?;
        Ok((facility, site.ok_or_else(not_found)?))
    }

    /// Links that open a chat with each number and bot, with the facility named already.
    pub async fn get_facility_links(&self, principal: &Principal, id: FacilityId) -> Result<FacilityLinks> {
        principal.require(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let (facility, site) = self.facility_at(&mut db, principal, id).await?;
        let accounts = reachable(&mut db, principal, LinkQuery::default()).await?;
        let text = text(&facility, &site);
        let links = accounts.iter().filter_map(|account| link(account, id, &text)).collect();
        Ok(FacilityLinks { text, links })
    }

    /// The code of a facility's link.
    pub async fn get_facility_qr(
        &self,
        principal: &Principal,
        id: FacilityId,
        query: LinkQuery,
    ) -> Result<Qr> {
        principal.require(Ability::Read)?;
        let mut db = self.store.reader().await?;
        let (facility, site) = self.facility_at(&mut db, principal, id).await?;
        let accounts = reachable(&mut db, principal, query).await?;
        let text = text(&facility, &site);
        let link = accounts.first().and_then(|account| link(account, id, &text)).ok_or_else(unreachable)?;
        Qr::new(&link.url)
    }

    /// The code of a facility's link as a PNG picture, `size` pixels wide or a little more.
    pub async fn get_facility_qr_png(
        &self,
        principal: &Principal,
        id: FacilityId,
        query: LinkQuery,
        size: Option<i64>,
    ) -> Result<Vec<u8>> {
        let qr = self.get_facility_qr(principal, id, query).await?;
        let size = size.unwrap_or(SIZE);
        if !SIZES.contains(&size) {
            let message = format!("The size field must be between {} and {}.", SIZES.start(), SIZES.end());
            return Err(Invalid::one("size", message));
        }
        qr.png(size as usize)
    }

    /// The codes of everything in use at a site.
    pub async fn get_site_qr_sheet(
        &self,
        principal: &Principal,
        id: SiteId,
        query: LinkQuery,
    ) -> Result<QrSheet> {
        principal.require(Ability::Read)?;
        let organisation = principal.organisation_id;
        let mut db = self.store.reader().await?;
        let site = sites::find(&mut db, organisation, id).await?.ok_or_else(super::sites::not_found)?;
        let accounts = reachable(&mut db, principal, query).await?;
        let account = accounts.into_iter().next().ok_or_else(unreachable)?;
        let filter = facilities::Filter::active(Some(id));
        let there = facilities::list(&mut db, organisation, &filter, whole()).await?;
        let draw = move || {
            let entries = there.into_iter().map(|facility| {
                let url = link(&account, facility.id, &text(&facility, &site)).ok_or_else(unreachable)?.url;
                Ok(SheetEntry { qr: Qr::new(&url)?, facility, url })
            });
            let entries = entries.collect::<Result<Vec<_>>>()?;
            Ok(QrSheet { site, entries })
        };
        let drawn = tokio::task::spawn_blocking(draw).await;
        drawn.map_err(|error| Error::Internal(format!("a sheet cannot be drawn: {error}")))?
    }
}
