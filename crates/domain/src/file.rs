//! Files in an organisation's media library.

use serde::{Deserialize, Serialize};

use crate::message::text_enum;

text_enum! {
    /// Whether a file's bytes are here.
    FileStatus {
        /// They are being fetched.
        Pending = 1, "pending";
        Stored = 2, "stored";
        /// They could not be fetched.
        Missing = 3, "missing";
    }
}

text_enum! {
    /// Where a file came from.
    FileOrigin {
        Upload = 1, "upload";
        /// A message's, from its provider.
        Message = 2, "message";
        /// An address a user gave.
        Url = 3, "url";
    }
}
