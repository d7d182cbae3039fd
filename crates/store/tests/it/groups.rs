//! How requests for groups, their answers and their webhooks find each other.

use kabar_domain::channel::{ChannelStatus, GroupState, MemberRole, MemberStatus};
use kabar_domain::inbound::{GroupFacts, Identity, IdentityKind};
use kabar_domain::message::{Platform, ProviderError};
use kabar_domain::{AccountId, ChannelId, Clock, ContactId, OrganisationId, Timestamp};
use kabar_store::apply::{self, AccountRef};
use kabar_store::groups::{self, Answered, Group};
use kabar_store::members::{self, Change};
use kabar_store::{Store, Window};

use crate::both;
use crate::support::{clock, organisation};

struct Line {
    store: Store,
    clock: Clock,
    account: AccountRef,
}

impl Line {
    async fn new(store: Store) -> Self {
        let clock = clock();
        let organisation_id = organisation(&store, &clock).await;
        let account = AccountRef {
            organisation_id,
            id: AccountId::new(&clock),
            platform: Platform::Whatsapp,
            external_id: "1".into(),
            signed_by: None,
            has_linked_chats: false,
        };
        Self { store, clock, account }
    }

    fn organisation(&self) -> OrganisationId {
        self.account.organisation_id
    }

    async fn ask(&self, subject: &str) -> ChannelId {
        let now = self.clock.now();
        let group = Group {
            organisation_id: self.organisation(),
            id: ChannelId::new(&self.clock),
            account_id: self.account.id,
            platform: Platform::Whatsapp,
            state: GroupState::Asking,
            subject: subject.into(),
            description: None,
            invite_link: None,
            join_approval_mode: None,
            suspended: false,
            error: None,
            asked_at: Some(now),
            created_at: now,
            updated_at: now,
            external_id: None,
            channel_status: None,
            participants: 0,
        };
        let mut tx = self.store.begin().await.unwrap();
        groups::ask(&mut tx, &group).await.unwrap();
        tx.commit().await.unwrap();
        group.id
    }

    async fn accept(&self, id: ChannelId, request: &str) -> Answered {
        let mut tx = self.store.begin().await.unwrap();
        let now = self.clock.now();
        let (organisation, account) = (self.organisation(), self.account.id);
        let answered = groups::accept(&mut tx, organisation, account, id, request, now).await.unwrap();
        tx.commit().await.unwrap();
        answered
    }

    async fn lose(&self, id: ChannelId) -> Answered {
        let mut tx = self.store.begin().await.unwrap();
        let answered = groups::lose(&mut tx, self.organisation(), id, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        answered
    }

    /// What the applier does with `group_create`: the request it belongs to, or a channel of its own.
    async fn announce(&self, external: &str, request: &str, subject: &str) -> ChannelId {
        let mut tx = self.store.begin().await.unwrap();
        let (organisation, now) = (self.organisation(), self.clock.now());
        let named = (Some(request), Some(subject));
        let claimed = groups::claim(&mut tx, organisation, self.account.id, named, None, now).await.unwrap();
        let id = claimed.unwrap_or_else(|| ChannelId::new(&self.clock));
        let status = if claimed.is_some() { ChannelStatus::Connected } else { ChannelStatus::Pending };
        apply::insert_group_channel(&mut tx, &self.account, id, external, subject, status, now)
            .await
            .unwrap();
        groups::learn(&mut tx, organisation, id, Some(request), &GroupFacts::default(), now).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn group(&self, id: ChannelId) -> Option<Group> {
        groups::find(&mut self.store.reader().await.unwrap(), self.organisation(), id).await.unwrap()
    }

    async fn listed(&self) -> Vec<ChannelId> {
        let mut db = self.store.reader().await.unwrap();
        let window = Window { after: None, offset: 0, limit: 10 };
        let listed = groups::list(&mut db, self.organisation(), None, window).await.unwrap();
        assert_eq!(groups::count(&mut db, self.organisation(), None).await.unwrap(), listed.len() as i64);
        listed.into_iter().map(|group| group.id).collect()
    }
}

both! {
    async fn an_answer_finds_the_group_whose_webhook_overtook_it(store: Store) {
        let line = Line::new(store).await;
        let asked = line.ask("A").await;
        let announced = line.announce("G1", "R1", "A").await;
        assert_eq!(line.accept(asked, "R1").await, Answered::There(announced));
        let found = line.group(asked).await.unwrap();
        assert_eq!((found.id, found.channel_status), (announced, Some(ChannelStatus::Connected)));
        assert_eq!(line.listed().await, [announced]);
    }

    async fn two_groups_of_one_subject_end_with_one_request_each(store: Store) {
        let line = Line::new(store).await;
        let (lost, answered) = (line.ask("A").await, line.ask("A").await);
        assert_eq!(line.lose(lost).await, Answered::Waiting);
        // The webhook of the second comes first, and is taken for the one whose answer was lost.
        assert_eq!(line.announce("G2", "R2", "A").await, lost);
        assert_eq!(line.accept(answered, "R2").await, Answered::Waiting);
        assert_eq!(line.group(answered).await.unwrap().state, GroupState::Uncertain);
        assert_eq!(line.announce("G1", "R1", "A").await, answered);
        assert_eq!(line.listed().await, [lost, answered]);
    }

    async fn a_failure_that_overtook_its_answer_is_found_by_it(store: Store) {
        let line = Line::new(store).await;
        let asked = line.ask("A").await;
        let error = ProviderError { code: 131_214, title: "Paused".into(), ..ProviderError::default() };
        let mut tx = line.store.begin().await.unwrap();
        let trace = ChannelId::new(&line.clock);
        let (organisation, account, now) = (line.organisation(), line.account.id, line.clock.now());
        for _ in 0..2 {
            let failed = groups::fail(&mut tx, organisation, account, "R1", &error, trace, now).await.unwrap();
            assert_eq!(failed, None);
        }
        tx.commit().await.unwrap();
        assert_eq!(line.listed().await, [asked], "the trace is nobody's group");
        assert_eq!(line.accept(asked, "R1").await, Answered::Failed);
        let failed = line.group(asked).await.unwrap();
        assert_eq!((failed.state, failed.error), (GroupState::Failed, Some(error)));
        assert_eq!(line.group(trace).await, None);
    }

    async fn news_of_members_counts_by_its_time_and_what_we_saw_until_there_is_some(store: Store) {
        use MemberRole::{Admin, Member};
        use MemberStatus::{Invited, Joined, Left};
        let line = Line::new(store).await;
        let group = line.announce("G1", "R1", "A").await;
        let contact_id = ContactId::new(&line.clock);
        let mut tx = line.store.begin().await.unwrap();
        let mut write = async |status, role, at: Option<i64>| {
            let identity = Identity::new(IdentityKind::WaId, "62811");
            let change = Change { contact_id, identity, role, status, request_id: None };
            let at = at.map(Timestamp::from_unix);
            members::change(&mut tx, line.organisation(), group, &change, at, line.clock.now()).await.unwrap()
        };
        assert!(write(Invited, Member, None).await);
        assert!(!write(Invited, Member, None).await, "nothing new");
        assert!(write(Joined, Member, Some(10)).await, "any news is newer than what we did");
        assert!(!write(Joined, Member, Some(10)).await, "told twice");
        assert!(!write(Left, Member, Some(9)).await, "overtaken");
        assert!(write(Joined, Admin, Some(20)).await);
        assert!(write(Left, Member, None).await);
        assert!(!write(Left, Member, Some(15)).await, "older than the last news");
        assert!(write(Joined, Member, Some(20)).await, "of the same second, and another thing");
        tx.commit().await.unwrap();
        let mut db = line.store.reader().await.unwrap();
        let window = Window { after: None, offset: 0, limit: 10 };
        let found = members::list(&mut db, line.organisation(), group, MemberStatus::ALL, window).await.unwrap();
        assert_eq!((found.len(), found[0].status, found[0].left_at), (1, Joined, None));
        assert_eq!(line.group(group).await.unwrap().participants, 1);
    }
}
