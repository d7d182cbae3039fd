//! Files and the objects behind them: content once, and gone with its last file.

use std::time::Duration;

use kabar_domain::file::{FileOrigin, FileStatus};
use kabar_domain::{AccountId, Clock, FileId, OrganisationId};
use kabar_store::files::{self, File, Object, Upload};
use kabar_store::{Store, Window};

use crate::support::{clock, organisation};

fn pending(clock: &Clock, organisation_id: OrganisationId) -> File {
    File {
        organisation_id,
        id: FileId::new(clock),
        status: FileStatus::Pending,
        origin: FileOrigin::Upload,
        mime_type: None,
        filename: Some("foto.jpg".into()),
        sha256: None,
        size: None,
        reason: None,
        account_id: None,
        message_id: None,
        provider_id: None,
        url: None,
        claimed_sha256: None,
        draft_until: None,
        created_at: clock.now(),
        updated_at: clock.now(),
        key: None,
    }
}

/// Stores a file whose bytes were written to `key`; the key that counts.
async fn stored(store: &Store, clock: &Clock, organisation: OrganisationId, key: &str) -> (FileId, String) {
    let file = pending(clock, organisation);
    let id = file.id;
    let mut tx = store.begin().await.unwrap();
    files::insert(&mut tx, vec![file]).await.unwrap();
    let object = Object { sha256: "ab".repeat(32), size: 9, key: key.into() };
    let kept = files::keep_object(&mut tx, organisation, &object, clock.now()).await.unwrap();
    let (sha256, mime) = (&object.sha256, Some("image/jpeg"));
    assert!(files::mark_stored(&mut tx, organisation, id, sha256, 9, mime, clock.now()).await.unwrap());
    assert!(!files::mark_missing(&mut tx, organisation, id, "late", clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    (id, kept)
}

async fn delete(store: &Store, organisation: OrganisationId, id: FileId) -> Option<Option<String>> {
    let mut tx = store.begin().await.unwrap();
    let deleted = files::delete(&mut tx, organisation, id).await.unwrap();
    tx.commit().await.unwrap();
    deleted.map(|deleted| deleted.object)
}

crate::both! {
    async fn the_same_content_is_one_object_until_its_last_file_goes(store: Store) {
        let clock = clock();
        let (ours, theirs) = (organisation(&store, &clock).await, organisation(&store, &clock).await);
        let (first, kept) = stored(&store, &clock, ours, "a/1").await;
        assert_eq!(kept, "a/1");
        let (second, kept) = stored(&store, &clock, ours, "a/2").await;
        assert_eq!(kept, "a/1", "the first one counts");
        let (foreign, kept) = stored(&store, &clock, theirs, "b/1").await;
        assert_eq!(kept, "b/1", "another organisation's content is its own");

        let mut db = store.reader().await.unwrap();
        let found = files::find(&mut db, ours, second).await.unwrap().unwrap();
        assert_eq!((found.key.as_deref(), found.size, found.status), (Some("a/1"), Some(9), FileStatus::Stored));
        assert_eq!(found.mime_type.as_deref(), Some("image/jpeg"));
        assert_eq!(files::find(&mut db, ours, foreign).await.unwrap(), None);
        assert_eq!(files::find_all(&mut db, ours, vec![first, second, foreign]).await.unwrap().len(), 2);
        let window = Window { after: None, offset: 0, limit: 10 };
        let whole = files::Filter { status: Some(FileStatus::Stored), ..files::Filter::default() };
        let listed = files::list(&mut db, ours, whole, window).await.unwrap();
        assert_eq!(listed.iter().map(|file| file.id).collect::<Vec<_>>(), [second, first]);
        drop(db);

        assert_eq!(delete(&store, ours, foreign).await, None);
        assert_eq!(delete(&store, ours, first).await, Some(None));
        assert_eq!(delete(&store, ours, second).await, Some(Some("a/1".into())));
        assert_eq!(delete(&store, ours, second).await, None);
        assert_eq!(stored(&store, &clock, ours, "a/3").await.1, "a/3");
    }

    async fn a_missing_file_says_why_until_it_is_fetched_again(store: Store) {
        let clock = clock();
        let organisation = organisation(&store, &clock).await;
        let file = pending(&clock, organisation);
        let id = file.id;
        let mut tx = store.begin().await.unwrap();
        files::insert(&mut tx, vec![file]).await.unwrap();
        assert!(!files::mark_pending(&mut tx, organisation, id, clock.now()).await.unwrap());
        assert!(files::mark_missing(&mut tx, organisation, id, "gone", clock.now()).await.unwrap());
        let missing = files::find(&mut tx, organisation, id).await.unwrap().unwrap();
        assert_eq!((missing.status, missing.reason.as_deref()), (FileStatus::Missing, Some("gone")));
        assert!(files::mark_pending(&mut tx, organisation, id, clock.now()).await.unwrap());
        let pending = files::find(&mut tx, organisation, id).await.unwrap().unwrap();
        assert_eq!((pending.status, pending.reason), (FileStatus::Pending, None));
        tx.commit().await.unwrap();
    }

    async fn a_providers_id_is_known_until_it_expires(store: Store) {
        let clock = clock();
        let organisation_id = organisation(&store, &clock).await;
        let account_id = AccountId::new(&clock);
        let upload = Upload { organisation_id, account_id, sha256: "ab", kind: "image" };
        let expires = clock.now().plus(Duration::from_hours(1));
        let mut tx = store.begin().await.unwrap();
        files::keep_upload(&mut tx, upload, "old", clock.now()).await.unwrap();
        files::keep_upload(&mut tx, upload, "77", expires).await.unwrap();
        assert_eq!(files::uploaded(&mut tx, upload, clock.now()).await.unwrap().as_deref(), Some("77"));
        assert_eq!(files::uploaded(&mut tx, upload, expires).await.unwrap(), None);
        let other = Upload { kind: "document", ..upload };
        assert_eq!(files::uploaded(&mut tx, other, clock.now()).await.unwrap(), None);
        assert!(!files::forget_upload(&mut tx, organisation_id, account_id, "old").await.unwrap());
        assert!(files::forget_upload(&mut tx, organisation_id, account_id, "77").await.unwrap());
        assert_eq!(files::uploaded(&mut tx, upload, clock.now()).await.unwrap(), None);
        files::keep_upload(&mut tx, upload, "78", expires).await.unwrap();
        assert_eq!(files::purge_uploads(&mut tx, expires.plus(Duration::from_secs(1))).await.unwrap(), 1);
        tx.commit().await.unwrap();
    }
}
