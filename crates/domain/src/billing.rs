//! What organisations pay for: invoices, payments, and what follows when nobody pays.

use serde::{Deserialize, Serialize};

use crate::message::text_enum;

text_enum! {
    /// Of a customer, at the gateway and on pages.
    Language {
        English = 1, "en";
        Indonesian = 2, "id";
        Arabic = 3, "ar";
    }
}

text_enum! {
    InvoiceStatus {
        Open = 1, "open";
        Paid = 2, "paid";
        /// Another one took its place; it need not be paid.
        Void = 3, "void";
        /// The money went back.
        Refunded = 4, "refunded";
    }
}

text_enum! {
    /// How an attempt to pay stands.
    PaymentStatus {
        /// Nobody knows yet.
        Pending = 1, "pending";
        Captured = 2, "captured";
        Failed = 3, "failed";
        /// Nobody paid in time.
        Expired = 4, "expired";
        /// The money went back.
        Reversed = 5, "reversed";
        /// The gateway says what does not fit the invoice, or nothing that can be understood: for a person to look at.
        Review = 6, "review";
    }
}

text_enum! {
    /// What an organisation may do, by what is paid for it.
    Standing {
        /// It need not pay.
        Exempt = 1, "exempt";
        Trial = 2, "trial";
        Active = 3, "active";
        /// Its time has run out, and nothing follows yet.
        PastDue = 4, "past_due";
        /// It takes messages and shows what there is; it changes and sends nothing.
        ReadOnly = 5, "read_only";
    }
}

impl Language {
    /// The first one in a header `Accept-Language` that there is.
    pub fn accepted(header: &str) -> Option<Self> {
        header.split(',').find_map(|part| Self::from_name(part.trim().get(..2)?.to_ascii_lowercase().as_str()))
    }
}
