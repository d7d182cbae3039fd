//! Messaging accounts, channels and conversations: their states.

use crate::message::text_enum;
use serde::{Deserialize, Serialize};

text_enum! {
    /// What a channel is.
    ChannelKind {
        Direct = 1, "direct";
        Group = 2, "group";
        Widget = 3, "widget";
    }
}

text_enum! {
    /// Whether messages flow. Accounts have the first three.
    ChannelStatus {
        Connected = 1, "connected";
        /// Seen, not yet approved or verified.
        Pending = 2, "pending";
        Disconnected = 3, "disconnected";
        Archived = 4, "archived";
    }
}

text_enum! {
    ConversationStatus {
        Open = 1, "open";
        Pending = 2, "pending";
        Snoozed = 3, "snoozed";
        Closed = 4, "closed";
    }
}

text_enum! {
    Priority {
        Low = 1, "low";
        Normal = 2, "normal";
        High = 3, "high";
        Urgent = 4, "urgent";
    }
}

text_enum! {
    /// What an inbox item was understood to be.
    InboxClass {
        Unknown = 1, "unknown";
        WorkUpdate = 2, "work_update";
        Problem = 3, "problem";
    }
}

text_enum! {
    InboxStatus {
        New = 1, "new";
        NeedsReview = 2, "needs_review";
        Converted = 3, "converted";
        Dismissed = 4, "dismissed";
    }
}

text_enum! {
    /// What a person is to a group.
    MemberStatus {
        /// Was sent the link.
        Invited = 1, "invited";
        /// Asks to be let in.
        Requested = 2, "requested";
        Joined = 3, "joined";
        Left = 4, "left";
        Removed = 5, "removed";
        /// Was not let in, or no longer asks.
        Declined = 6, "declined";
    }
}

text_enum! {
    MemberRole {
        Member = 1, "member";
        Admin = 2, "admin";
        Owner = 3, "owner";
    }
}

text_enum! {
    /// How far the creation of a group got.
    GroupState {
        /// The provider is being asked.
        Asking = 1, "asking";
        /// It took the request; the group is announced by webhook.
        Requested = 2, "requested";
        /// Its answer was lost: the group may come.
        Uncertain = 3, "uncertain";
        Failed = 4, "failed";
        There = 5, "there";
        Deleted = 6, "deleted";
    }
}
