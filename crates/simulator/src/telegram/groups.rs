//! What bots do to groups. A bot is an administrator with every right until a `my_chat_member` update says otherwise.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Answer, BotError, BotState, Chat, user};
use crate::config::Bot;
use crate::ids::now_seconds;
use crate::params::Params;
use crate::state::Inner;

/// Methods of this file.
pub(super) const NAMES: &[&str] = &[
    "getChatAdministrators",
    "getChatMember",
    "getChatMemberCount",
    "createChatInviteLink",
    "exportChatInviteLink",
    "banChatMember",
    "unbanChatMember",
    "promoteChatMember",
    "setChatTitle",
    "setChatDescription",
    "setChatPhoto",
    "deleteChatPhoto",
    "approveChatJoinRequest",
    "declineChatJoinRequest",
];

fn is_supergroup(chat: i64) -> bool {
    chat <= -1_000_000_000_000
}

fn is_inside(member: Option<&Value>) -> bool {
    let status = member.and_then(|member| member["status"].as_str());
    matches!(status, Some("creator" | "administrator" | "member" | "restricted"))
}

/// The bot's own entry among a chat's members.
fn own(bot: &Bot, chat: &Chat) -> Value {
    let known = chat.own.clone();
    known.unwrap_or_else(|| json!({"status": "administrator", "user": user(bot)}))
}

/// Whether the bot has a right; one that an administrator's entry does not mention it has.
fn may(bot: &Bot, chat: &Chat, right: &str) -> bool {
    let own = own(bot, chat);
    own["status"] == "creator" || (own["status"] == "administrator" && own[right] != false)
}

fn require(bot: &Bot, chat: &Chat, right: &str, what: &str) -> Result<(), BotError> {
    if may(bot, chat, right) { Ok(()) } else { Err(BotError::bad(&format!("not enough rights to {what}"))) }
}

/// Learns the members of a group from the updates a test gives the bot.
pub(super) fn learn(state: &mut BotState, update: &Value) {
    let chat_of = |object: &Value| object["chat"]["id"].as_i64().filter(|id| *id < 0);
    for (kind, is_own) in [("chat_member", false), ("my_chat_member", true)] {
        let Some(change) = update.get(kind) else { continue };
        if let Some(chat) = chat_of(change) {
            let chat = state.chats.entry(chat).or_default();
            chat.info.get_or_insert_with(|| change["chat"].clone());
            let new = change["new_chat_member"].clone();
            if is_own {
                chat.own = Some(new);
            } else if let Some(id) = new["user"]["id"].as_i64() {
                chat.members.insert(id, new);
            }
        }
    }
    if let Some(request) = update.get("chat_join_request")
        && let (Some(chat), Some(id)) = (chat_of(request), request["from"]["id"].as_i64())
    {
        state.chats.entry(chat).or_default().requests.insert(id, request["from"].clone());
    }
    let Some(message) = update.get("message") else { return };
    let Some(chat) = chat_of(message) else { return };
    let members = &mut state.chats.entry(chat).or_default().members;
    let joined = message["new_chat_members"].as_array().cloned().unwrap_or_default();
    for person in joined.into_iter().chain([message["from"].clone()]) {
        if let Some(id) = person["id"].as_i64()
            && !is_inside(members.get(&id))
        {
            members.insert(id, json!({"status": "member", "user": person}));
        }
    }
    if let Some(id) = message["left_chat_member"]["id"].as_i64() {
        members.insert(id, json!({"status": "left", "user": message["left_chat_member"]}));
    }
}

/// What `getChat` adds for a group.
pub(super) fn describe(info: &mut Value, chat: &Chat) {
    for (key, text) in [("description", &chat.description), ("invite_link", &chat.invite_link)] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            info[key] = json!(text);
        }
    }
}

pub(super) fn call(inner: &Arc<Inner>, bot: &Bot, method: &str, chat_id: i64, params: &Params) -> Answer {
    if chat_id > 0 {
        return Err(BotError::bad("method is available for group, supergroup and channel chats only"));
    }
    let mut telegram = inner.telegram();
    let state = telegram.bot(&bot.token);
    let shown = state.chat(chat_id);
    let chat = state.chats.entry(chat_id).or_default();
    let person = || params.int("user_id").ok_or_else(|| BotError::bad("invalid user_id specified"));
    let mut update = None;
    let result = match method {
        "getChatAdministrators" => {
            let people = chat.members.values();
            let admins = people
                .filter(|member| matches!(member["status"].as_str(), Some("creator" | "administrator")));
            Value::Array(admins.cloned().collect())
        }
        "getChatMemberCount" => {
            json!(chat.members.values().filter(|member| is_inside(Some(member))).count() + 1)
        }
        "getChatMember" => {
            let id = person()?;
            if id == bot.id() {
                own(bot, chat)
            } else {
                chat.members.get(&id).cloned().ok_or_else(|| BotError::bad("user not found"))?
            }
        }
        "createChatInviteLink" => {
            require(bot, chat, "can_invite_users", "manage chat invite link")?;
            let (limit, asks) = (params.int("member_limit"), params.flag("creates_join_request"));
            if limit.is_some_and(|limit| asks || !(1..=99_999).contains(&limit)) {
                return Err(BotError::bad("MEMBER_LIMIT_INVALID"));
            }
            let mut link = json!({"invite_link": link(inner), "creator": user(bot),
                "creates_join_request": asks, "is_primary": false, "is_revoked": false});
            if let Some(limit) = limit {
                link["member_limit"] = json!(limit);
            }
            link
        }
        "exportChatInviteLink" => {
            require(bot, chat, "can_invite_users", "export chat invite link")?;
            let link = link(inner);
            chat.invite_link = Some(link.clone());
            json!(link)
        }
        "banChatMember" | "unbanChatMember" => {
            require(bot, chat, "can_restrict_members", "restrict/unrestrict chat member")?;
            let id = person()?;
            let old = chat.members.get(&id).cloned();
            if old.as_ref().is_some_and(|old| old["status"] == "creator") {
                return Err(BotError::bad("can't remove chat owner"));
            }
            let who = old
                .as_ref()
                .map_or_else(|| json!({"id": id, "first_name": "User"}), |old| old["user"].clone());
            let banned = old.as_ref().is_some_and(|old| old["status"] == "kicked");
            let status = if method == "banChatMember" { "kicked" } else { "left" };
            if method == "banChatMember" || banned {
                update = Some(change(&mut chat.members, bot, &shown, &who, status));
            }
            json!(true)
        }
        "promoteChatMember" => {
            if !is_supergroup(chat_id) {
                return Err(BotError::bad("method is available for supergroup and channel chats only"));
            }
            require(bot, chat, "can_promote_members", "promote a chat member")?;
            let rights: Vec<&String> =
                params.values.keys().filter(|key| key.starts_with("can_") && params.flag(key)).collect();
            if rights.iter().any(|right| !may(bot, chat, right)) {
                return Err(BotError::bad("RIGHT_FORBIDDEN"));
            }
            let member = chat.members.get(&person()?).filter(|member| is_inside(Some(member))).cloned();
            let member = member.ok_or_else(|| BotError::bad("USER_NOT_PARTICIPANT"))?;
            if member["status"] == "creator" {
                return Err(BotError::bad("can't demote chat creator"));
            }
            let status = if rights.is_empty() { "member" } else { "administrator" };
            let mut event = change(&mut chat.members, bot, &shown, &member["user"], status);
            for right in rights {
                event["chat_member"]["new_chat_member"][right] = json!(true);
            }
            update = Some(event);
            json!(true)
        }
        "setChatTitle" => {
            require(bot, chat, "can_change_info", "change chat title")?;
            let title = params.text("title").filter(|title| title.chars().count() <= 128);
            let title = title.ok_or_else(|| BotError::bad("title is too long or empty"))?;
            let mut info = shown.clone();
            info["title"] = json!(title);
            chat.info = Some(info.clone());
            chat.last_message += 1;
            update =
                Some(json!({"message": {"message_id": chat.last_message, "from": user(bot), "chat": info,
                "date": now_seconds(), "new_chat_title": title}}));
            json!(true)
        }
        "setChatDescription" => {
            require(bot, chat, "can_change_info", "set chat description")?;
            let text = params.text("description").unwrap_or_default();
            if text.chars().count() > 255 {
                return Err(BotError::bad("chat description is too long"));
            }
            if chat.description.as_deref().unwrap_or_default() == text {
                return Err(BotError::bad("chat description is not modified"));
            }
            chat.description = Some(text);
            json!(true)
        }
        "setChatPhoto" => {
            require(bot, chat, "can_change_info", "change chat photo")?;
            let photo =
                params.upload("photo").ok_or_else(|| BotError::bad("there is no photo in the request"))?;
            if photo.bytes.is_empty() || photo.bytes.len() > 10 << 20 {
                return Err(BotError::bad("PHOTO_INVALID_DIMENSIONS"));
            }
            chat.has_photo = true;
            json!(true)
        }
        "deleteChatPhoto" => {
            require(bot, chat, "can_change_info", "change chat photo")?;
            if !chat.has_photo {
                return Err(BotError::bad("CHAT_NOT_MODIFIED"));
            }
            chat.has_photo = false;
            json!(true)
        }
        "approveChatJoinRequest" | "declineChatJoinRequest" => {
            require(bot, chat, "can_invite_users", "manage chat join requests")?;
            let who = chat.requests.remove(&person()?);
            let who = who.ok_or_else(|| BotError::bad("HIDE_REQUESTER_MISSING"))?;
            if method == "approveChatJoinRequest" {
                let mut event = change(&mut chat.members, bot, &shown, &who, "member");
                event["chat_member"]["via_join_request"] = json!(true);
                update = Some(event);
            }
            json!(true)
        }
        _ => return Err(BotError::of(404, Some("Not Found: method not found".to_owned()))),
    };
    drop(telegram);
    if let Some(update) = update {
        let (inner, token) = (Arc::clone(inner), bot.token.clone());
        tokio::spawn(async move { inner.push_update(&token, update).await });
    }
    Ok(result.into())
}

fn link(inner: &Inner) -> String {
    format!("https://t.me/+{}", &inner.ids.fbtrace()[1..])
}

/// Gives a member another standing; the update that tells of it.
fn change(
    members: &mut std::collections::BTreeMap<i64, Value>,
    bot: &Bot,
    chat: &Value,
    who: &Value,
    status: &str,
) -> Value {
    let mut new = Map::new();
    new.insert("status".into(), json!(status));
    new.insert("user".into(), who.clone());
    let new = Value::Object(new);
    let old = who["id"].as_i64().and_then(|id| members.insert(id, new.clone()));
    let old = old.unwrap_or_else(|| json!({"status": "left", "user": who}));
    json!({"chat_member": {"chat": chat, "from": user(bot), "date": now_seconds(), "old_chat_member": old,
        "new_chat_member": new}})
}
