//! Events on their way to apps.

use serde::{Deserialize, Serialize};

use crate::message::text_enum;

text_enum! {
    /// How far one event is on its way to one endpoint.
    DeliveryStatus {
        /// An attempt failed, or a person wants it delivered again; the next attempt has its time.
        Pending = 1, "pending";
        Delivered = 2, "delivered";
        /// No attempt is left.
        Dead = 3, "dead";
    }
}

text_enum! {
    /// Why the server switched an endpoint off.
    DisabledReason {
        /// Every attempt failed for days.
        Failing = 1, "failing";
        /// It answered 410.
        Gone = 2, "gone";
    }
}
