//! People who ask to be let into a group.

use kabar_domain::Ability;
use kabar_domain::channel::{MemberRole, MemberStatus};
use kabar_domain::message::Platform;
use kabar_providers::whatsapp::Failed;
use kabar_store::Window;
use kabar_store::members::{self, Member};

use super::{GroupName, Reached};
use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::{Invalid, Result};

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The provider's id of it.
    pub id: String,
    /// `approved`, `rejected` or `failed`.
    pub status: &'static str,
    /// Why it failed.
    pub error: Option<String>,
}

impl Engine {
    /// Who asks to be let in. WhatsApp is asked; Telegram tells only once, when they ask.
    pub async fn list_join_requests(&self, principal: &Principal, name: &GroupName) -> Result<Vec<Member>> {
        principal.require(Ability::Read)?;
        let reached = self.reach_named(principal, name).await?;
        if reached.platform() == Platform::Whatsapp {
            self.read_join_requests(&reached).await?;
        }
        self.open_requests(&reached).await
    }

    async fn open_requests(&self, reached: &Reached) -> Result<Vec<Member>> {
        let window = Window { after: None, offset: 0, limit: i64::MAX };
        let (organisation, id) = (reached.group.organisation_id, reached.group.id);
        let mut db = self.store.reader().await?;
        Ok(members::list(&mut db, organisation, id, &[MemberStatus::Requested], window).await?)
    }

    async fn read_join_requests(&self, reached: &Reached) -> Result<()> {
        let asked = self.whatsapp.join_requests(&reached.external_id, reached.token()).await;
        let asked = asked.map_err(reached.refused())?;
        let mut tx = self.store.begin().await?;
        let mut people = Vec::new();
        for request in asked {
            let contact = self.member_contact(&mut tx, &reached.group, &request.identity, None).await?;
            let id = Some(request.id);
            people.push((contact, request.identity, MemberRole::Member, MemberStatus::Requested, id));
        }
        self.observe(&mut tx, &reached.group, people, Some(MemberStatus::Requested)).await?;
        Ok(tx.commit().await?)
    }

    /// Lets people in, or not, by the ids of their requests.
    pub async fn answer_join_requests(
        &self,
        principal: &Principal,
        name: &GroupName,
        ids: Vec<String>,
        approve: bool,
    ) -> Result<Vec<Decision>> {
        principal.require(Ability::Write)?;
        let reached = self.reach_named(principal, name).await?;
        let mut invalid = Invalid::default();
        if ids.is_empty() {
            invalid.add("join_requests", "The join requests field is required.");
        }
        if ids.len() > 100 || ids.iter().any(|id| id.is_empty() || id.len() > 255) {
            invalid.add("join_requests", "The join requests field must be a list of at most 100 ids.");
        }
        invalid.check()?;
        let (token, group) = (reached.token(), reached.external_id.as_str());
        let mut failed = Failed::new();
        if reached.platform() == Platform::Telegram {
            for id in &ids {
                if let Err(failure) = self.telegram.answer_join_request(token, group, id, approve).await {
                    failed.insert(id.clone(), failure.error);
                }
            }
        } else {
            let answered = self.whatsapp.answer_join_requests(group, token, &ids, approve).await;
            failed = answered.map_err(reached.refused())?;
        }
        let status = if approve { MemberStatus::Joined } else { MemberStatus::Declined };
        let done = self.open_requests(&reached).await?.into_iter().filter_map(|member| {
            let id = member.request_id?;
            let answered = ids.contains(&id) && !failed.contains_key(&id);
            answered.then_some((member.contact_id, member.identity, MemberRole::Member, status, None))
        });
        let mut tx = self.store.begin().await?;
        self.observe(&mut tx, &reached.group, done.collect(), None).await?;
        tx.commit().await?;
        let word = if approve { "approved" } else { "rejected" };
        let decision = |id: String| match failed.get(&id) {
            Some(error) => Decision { status: "failed", error: Some(error.sentence()), id },
            None => Decision { status: word, error: None, id },
        };
        Ok(ids.into_iter().map(decision).collect())
    }
}
