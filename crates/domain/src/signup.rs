//! The signup of a WhatsApp business account over Meta's dialog: its steps and their states.

use serde::{Deserialize, Serialize};

use crate::message::text_enum;

text_enum! {
    /// How a signup stands.
    SignupStatus {
        Running = 1, "running";
        Completed = 2, "completed";
        /// A step failed, and waits for a person.
        Failed = 3, "failed";
    }
}

text_enum! {
    /// What is done with Meta, in this order.
    SignupStep {
        /// The dialog's code against an access token.
        ExchangeCode = 1, "exchange_code";
        /// Whose token it is, what it may do and where.
        DebugToken = 2, "debug_token";
        /// Webhooks of the business account come to the app.
        SubscribeApp = 3, "subscribe_app";
        /// The business account's numbers become messaging accounts.
        PhoneNumbers = 4, "phone_numbers";
        /// The numbers are put on the Cloud API.
        Register = 5, "register";
        SyncTemplates = 6, "sync_templates";
        /// Of numbers that stay in the WhatsApp Business app: their contacts and chats.
        SyncHistory = 7, "sync_history";
    }
}

text_enum! {
    StepStatus {
        Pending = 1, "pending";
        Running = 2, "running";
        Completed = 3, "completed";
        /// Not needed here.
        Skipped = 4, "skipped";
        Failed = 5, "failed";
    }
}
