//! What is told of an event.

use std::collections::HashMap;

use kabar_domain::{MessageId, OrganisationId};
use kabar_store::messages::{self, Summary};
use kabar_store::{Db, events};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use super::Event;
use crate::error::{Error, Result};

/// Bytes of an event's data at most: with its envelope it stays under the 20 kB that Standard Webhooks advises.
const LARGEST: usize = 19_000;
/// Characters of a message's text; no provider takes longer ones.
const LONGEST_BODY: usize = 4_096;

fn about_message(kind: &str) -> bool {
    kind.starts_with("message.")
}

/// Puts the messages that events are about beside them, all with one query.
pub(crate) async fn render(
    db: &mut impl Db,
    organisation: OrganisationId,
    events: Vec<events::Event>,
) -> Result<Vec<Event>> {
    let subjects = events.iter().filter(|event| about_message(&event.kind));
    let ids: Vec<_> =
        subjects.filter_map(|event| event.subject_id).map(|id| MessageId::from_uuid(id.uuid())).collect();
    let mut found = HashMap::new();
    if !ids.is_empty() {
        for summary in messages::summaries(db, organisation, ids).await? {
            found.insert(summary.id.uuid(), summary);
        }
    }
    events
        .into_iter()
        .map(|event| {
            let message = event
                .subject_id
                .filter(|_| about_message(&event.kind))
                .and_then(|subject| found.get(&subject.uuid()));
            let data = data(&event, message)?;
            Ok(Event {
                seq: event.seq,
                kind: event.kind,
                at: event.created_at,
                subject_id: event.subject_id,
                channel_id: message.map(|message| message.channel_id),
                data,
            })
        })
        .collect()
}

fn data(event: &events::Event, message: Option<&Summary>) -> Result<Box<RawValue>> {
    let mut data = match &event.data {
        Some(Json::Object(fields)) => fields.clone(),
        _ => Map::new(),
    };
    if let Some(subject) = event.subject_id {
        data.insert("id".into(), json!(subject));
    }
    if let Some(message) = message {
        data.insert("message".into(), essentials(message));
    }
    let mut text = Json::Object(data).to_string();
    if text.len() > LARGEST {
        let ids = message.map(|message| {
            json!({ "id": message.id, "conversation_id": message.conversation_id,
                "channel_id": message.channel_id, "status": message.status })
        });
        text = json!({ "id": event.subject_id, "message": ids, "truncated": true }).to_string();
    }
    RawValue::from_string(text).map_err(|error| Error::Internal(format!("an event is not JSON: {error}")))
}

fn essentials(message: &Summary) -> Json {
    let body = message.body.as_deref().map(|body| match body.char_indices().nth(LONGEST_BODY) {
        Some((end, _)) => &body[..end],
        None => body,
    });
    json!({
        "id": message.id,
        "conversation_id": message.conversation_id,
        "channel_id": message.channel_id,
        "contact_id": message.contact_id,
        "direction": message.direction,
        "type": message.kind,
        "status": message.status,
        "body": body,
        "provider_message_id": message.provider_message_id,
        "occurred_at": message.occurred_at,
    })
}

#[cfg(test)]
mod tests {
    use kabar_domain::{Clock, SubjectId, Timestamp};

    use super::*;

    #[test]
    fn what_is_too_large_is_told_by_its_ids() {
        let clock = Clock::manual(Timestamp::from_unix(1_700_000_000));
        let subject = SubjectId::new(&clock);
        let mut event = events::Event {
            seq: 1,
            kind: "provider.event".into(),
            subject_id: Some(subject),
            data: Some(json!({ "value": "x".repeat(100) })),
            created_at: clock.now(),
        };
        let small: Json = serde_json::from_str(data(&event, None).unwrap().get()).unwrap();
        assert_eq!(small, json!({ "id": subject, "value": "x".repeat(100) }));
        event.data = Some(json!({ "value": "x".repeat(LARGEST) }));
        let large: Json = serde_json::from_str(data(&event, None).unwrap().get()).unwrap();
        assert_eq!(large, json!({ "id": subject, "message": null, "truncated": true }));
    }
}
