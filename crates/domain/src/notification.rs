//! Notifications: one text to many people, over whatever reaches them.

use serde::{Deserialize, Serialize};

use crate::message::text_enum;

text_enum! {
    /// What carries one leg of a notification.
    NotificationChannel {
        Whatsapp = 1, "whatsapp";
        Telegram = 2, "telegram";
        Email = 3, "email";
        Sms = 4, "sms";
    }
}
