//! What a bot can do to a group. It can neither make one, nor end one, nor list its members.

use kabar_domain::inbound::Party;
use kabar_domain::outbound::SendFailure;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Client;
use super::parse::party;
use crate::http::Upload;

/// What an administrator is given, as far as the bot has it itself: a bot cannot give what it lacks.
pub const ADMIN_RIGHTS: &[&str] = &[
    "can_manage_chat",
    "can_delete_messages",
    "can_restrict_members",
    "can_invite_users",
    "can_pin_messages",
    "can_change_info",
    "can_manage_topics",
    "can_manage_video_chats",
];

/// A chat as Telegram describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ChatInfo {
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// The bot's own primary link.
    #[serde(default)]
    pub invite_link: Option<String>,
}

/// Somebody's standing in a chat.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatMember {
    /// `creator`, `administrator`, `member`, `restricted`, `left` or `kicked`.
    pub status: String,
    pub party: Party,
    fields: Map<String, Value>,
}

impl ChatMember {
    fn read(value: Value) -> Option<Self> {
        let party = party(value.get("user")?)?;
        let status = value.get("status")?.as_str()?.to_owned();
        let Value::Object(fields) = value else { return None };
        Some(Self { status, party, fields })
    }

    /// Whether it has a right, as `can_invite_users`.
    pub fn may(&self, right: &str) -> bool {
        self.fields.get(right) == Some(&Value::Bool(true))
    }
}

#[derive(Deserialize)]
struct InviteLink {
    invite_link: String,
}

impl Client {
    pub async fn chat(&self, bot_token: &str, chat: &str) -> Result<ChatInfo, SendFailure> {
        self.call(bot_token, "getChat", &json!({"chat_id": chat})).await
    }

    /// The chat's owner and administrators, other bots left out by Telegram
    pub async fn chat_administrators(
        &self,
        bot_token: &str,
        chat: &str,
    ) -> Result<Vec<ChatMember>, SendFailure> {
        let members: Vec<Value> =
            self.call(bot_token, "getChatAdministrators", &json!({"chat_id": chat})).await?;
        Ok(members.into_iter().filter_map(ChatMember::read).collect())
    }

    pub async fn chat_member(
        &self,
        bot_token: &str,
        chat: &str,
        user: &str,
    ) -> Result<Option<ChatMember>, SendFailure> {
        let body = json!({"chat_id": chat, "user_id": user});
        self.call(bot_token, "getChatMember", &body).await.map(ChatMember::read)
    }

    /// A link beside the others: for this many people, or (`None`) for any number who then ask to be let in.
    pub async fn create_invite_link(
        &self,
        bot_token: &str,
        chat: &str,
        people: Option<usize>,
    ) -> Result<String, SendFailure> {
        let body = match people {
            Some(people) => json!({"chat_id": chat, "member_limit": people}),
            None => json!({"chat_id": chat, "creates_join_request": true}),
        };
        let link: InviteLink = self.call(bot_token, "createChatInviteLink", &body).await?;
        Ok(link.invite_link)
    }

    /// A new primary link of the bot; the one before is void.
    pub async fn export_invite_link(&self, bot_token: &str, chat: &str) -> Result<String, SendFailure> {
        self.call(bot_token, "exportChatInviteLink", &json!({"chat_id": chat})).await
    }

    /// Puts somebody out who may come back: a ban that is lifted at once.
    pub async fn remove_chat_member(
        &self,
        bot_token: &str,
        chat: &str,
        user: &str,
    ) -> Result<(), SendFailure> {
        let body = json!({"chat_id": chat, "user_id": user});
        let _: bool = self.call(bot_token, "banChatMember", &body).await?;
        let body = json!({"chat_id": chat, "user_id": user, "only_if_banned": true});
        let _: bool = self.call(bot_token, "unbanChatMember", &body).await?;
        Ok(())
    }

    /// Makes a member an administrator with these rights.
    pub async fn promote_chat_member(
        &self,
        bot_token: &str,
        chat: &str,
        user: &str,
        rights: &[&str],
    ) -> Result<(), SendFailure> {
        let mut body = json!({"chat_id": chat, "user_id": user});
        for right in rights {
            body[*right] = json!(true);
        }
        let _: bool = self.call(bot_token, "promoteChatMember", &body).await?;
        Ok(())
    }

    pub async fn set_chat_title(&self, bot_token: &str, chat: &str, title: &str) -> Result<(), SendFailure> {
        let body = json!({"chat_id": chat, "title": title});
        let _: bool = self.call(bot_token, "setChatTitle", &body).await?;
        Ok(())
    }

    /// An empty description takes it away.
    pub async fn set_chat_description(
        &self,
        bot_token: &str,
        chat: &str,
        description: &str,
    ) -> Result<(), SendFailure> {
        let body = json!({"chat_id": chat, "description": description});
        let _: bool = self.call(bot_token, "setChatDescription", &body).await?;
        Ok(())
    }

    /// Telegram takes a JPEG or PNG.
    pub async fn set_chat_photo(
        &self,
        bot_token: &str,
        chat: &str,
        photo: Upload,
    ) -> Result<(), SendFailure> {
        let fields = json!({"chat_id": chat});
        let _: bool = self.call_with_file(bot_token, "setChatPhoto", &fields, "photo", photo).await?;
        Ok(())
    }

    pub async fn delete_chat_photo(&self, bot_token: &str, chat: &str) -> Result<(), SendFailure> {
        let _: bool = self.call(bot_token, "deleteChatPhoto", &json!({"chat_id": chat})).await?;
        Ok(())
    }

    /// Lets somebody in who asked, or not.
    pub async fn answer_join_request(
        &self,
        bot_token: &str,
        chat: &str,
        user: &str,
        approve: bool,
    ) -> Result<(), SendFailure> {
        let method = if approve { "approveChatJoinRequest" } else { "declineChatJoinRequest" };
        let _: bool = self.call(bot_token, method, &json!({"chat_id": chat, "user_id": user})).await?;
        Ok(())
    }
}
