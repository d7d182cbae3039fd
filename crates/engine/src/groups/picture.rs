//! A group's picture.

use kabar_domain::FileId;
use kabar_domain::message::Platform;
use kabar_store::files::{self, File};

use super::Reached;
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};
use crate::patch::Patch;

const FIELD: &str = "picture_media_id";
const MIB: i64 = 1 << 20;

/// What a group's picture is to become.
pub(super) enum Picture {
    Keep,
    Remove,
    Set(Box<File>),
}

impl Engine {
    /// What a client wants, checked by what the provider takes.
    pub(super) async fn wanted_picture(&self, reached: &Reached, wanted: Patch<String>) -> Result<Picture> {
        let id = match wanted {
            Patch::Keep => return Ok(Picture::Keep),
            Patch::Set(id) => id.filter(|id| !id.trim().is_empty()),
        };
        let is_telegram = reached.platform() == Platform::Telegram;
        let Some(id) = id else {
            if is_telegram {
                return Ok(Picture::Remove);
            }
            return reached.missing(FIELD, "WhatsApp cannot take a group's picture away: give another one.");
        };
        let unknown = || Invalid::one(FIELD, "The selected picture media id is invalid.");
        let id: FileId = id.trim().parse().map_err(|_| unknown())?;
        let mut db = self.store.reader().await?;
        let file = files::find(&mut db, reached.group.organisation_id, id).await?.ok_or_else(unknown)?;
        let (types, largest): (&[&str], i64) =
            if is_telegram { (&["image/jpeg", "image/png"], 10 * MIB) } else { (&["image/jpeg"], 5 * MIB) };
        let mime_type = file.mime_type.as_deref().unwrap_or("application/octet-stream");
        let essence = mime_type.split(';').next().unwrap_or_default().trim();
        let provider = if is_telegram { "Telegram" } else { "WhatsApp" };
        match file.size {
            None => Err(Invalid::one(FIELD, format!("The file is {}: a stored one is needed.", file.status))),
            Some(_) if !types.contains(&essence) => {
                let listed = types.join(", ");
                let reason =
                    format!("The file is {essence}; {provider} takes as a group's picture: {listed}.");
                Err(Invalid::one(FIELD, reason))
            }
            Some(size) if size > largest => {
                let reason =
                    format!("The file has {size} bytes; {provider} takes {largest} for a group's picture.");
                Err(Invalid::one(FIELD, reason))
            }
            Some(_) => Ok(Picture::Set(Box::new(file))),
        }
    }

    pub(super) async fn change_picture(&self, reached: &Reached, picture: Picture) -> Result<()> {
        let (token, id) = (reached.token(), reached.external_id.as_str());
        let is_telegram = reached.platform() == Platform::Telegram;
        let changed = match picture {
            Picture::Keep => return Ok(()),
            Picture::Remove => self.telegram.delete_chat_photo(token, id).await,
            Picture::Set(file) => {
                let bytes = self.outgoing(&file).await;
                let bytes = bytes.map_err(|failure| Error::Unavailable(failure.error.sentence()))?;
                if is_telegram {
                    self.telegram.set_chat_photo(token, id, bytes).await
                } else {
                    self.whatsapp.set_group_picture(id, token, bytes).await
                }
            }
        };
        changed.map_err(reached.refused())
    }
}
