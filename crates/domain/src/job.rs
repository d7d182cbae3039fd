//! Work that waits in the database for its time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::text_enum;

text_enum! {
    /// What a job does. Each is done at least once: whoever does it finds out what a lost attempt achieved.
    JobKind {
        /// Fetches the bytes of a message's file from its provider.
        FetchMedia = 1, "fetch_media";
        /// Reads a business account's templates from WhatsApp.
        SyncTemplates = 2, "sync_templates";
        /// Sends one leg of a notification.
        NotifyLeg = 3, "notify_leg";
        /// Removes an object that no file refers to.
        RemoveObject = 4, "remove_object";
        /// Has an inbox item read again by a model service.
        RefineItem = 5, "refine_item";
        /// Takes the steps of a signup.
        Signup = 8, "signup";
        /// Asks the gateway how a payment stands.
        InquirePayment = 14, "inquire_payment";
        /// Greets who has opened the chat with a bot.
        Greet = 15, "greet";
    }
}

impl JobKind {
    /// How many of this kind one server works on at once.
    pub const fn concurrency(self) -> usize {
        match self {
            Self::FetchMedia | Self::RefineItem => 8,
            Self::SyncTemplates => 2,
            Self::NotifyLeg => 16,
            Self::RemoveObject | Self::Signup | Self::InquirePayment | Self::Greet => 4,
        }
    }

    /// How long a server that is told to stop lets a job of this kind go on. What is cut off is done again, but for
    /// a leg: nobody knows then what became of it.
    pub const fn grace(self) -> Duration {
        match self {
            // What is under way then is done again, but a code is good for one exchange.
            Self::Signup => Duration::from_secs(10),
            Self::FetchMedia
            | Self::SyncTemplates
            | Self::RemoveObject
            | Self::RefineItem
            | Self::InquirePayment
            | Self::Greet => Duration::ZERO,
            Self::NotifyLeg => Duration::from_secs(30),
        }
    }
}
