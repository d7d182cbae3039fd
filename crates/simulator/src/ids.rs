//! Time and identifiers, in the forms the two providers use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Milliseconds since the Unix epoch: the crate's one look at the wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a provider has its own clock; the simulator stands outside the server whose time tests own"
)]
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

pub(crate) fn now_seconds() -> u64 {
    now_ms() / 1000
}

/// Hands out identifiers that are unique for the process and, because each starts from a random number,
/// between two runs against the same database.
pub(crate) struct Ids {
    base: u64,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { base: random_u64(), next: AtomicU64::new(1) }
    }

    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A message id as Meta writes them: the phone and a hexadecimal key, wrapped in Thrift's compact encoding
    /// and base64.
    pub(crate) fn wamid(&self, phone: &str, outbound: bool) -> String {
        let key = format!("{:08X}{:010X}", self.base as u32, self.next() & 0xff_ffff_ffff);
        let mut raw = Vec::with_capacity(48);
        raw.extend([0x1c, 0x18, phone.len() as u8]);
        raw.extend(phone.as_bytes());
        raw.extend([0x15, 0x02, 0x00, if outbound { 0x11 } else { 0x12 }, 0x18, key.len() as u8]);
        raw.extend(key.as_bytes());
        raw.push(0x00);
        format!("wamid.{}", STANDARD.encode(raw))
    }

    /// A 16-digit object id, as media, templates and groups have.
    pub(crate) fn object(&self) -> String {
        format!("{}", 1_000_000_000_000_000 + (self.base % 8_000_000) * 1_000_000_000 + self.next())
    }

    pub(crate) fn fbtrace(&self) -> String {
        let mut raw = [0u8; 16];
        raw[..8].copy_from_slice(&self.base.rotate_left(17).to_be_bytes());
        raw[8..].copy_from_slice(&self.next().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        format!("A{}", URL_SAFE_NO_PAD.encode(raw))
    }

    /// A Telegram `file_id`, and the `file_unique_id` that goes with it.
    pub(crate) fn file(&self) -> (String, String) {
        let next = self.next().to_be_bytes();
        let mut raw = Vec::with_capacity(40);
        raw.extend([2, 0]);
        raw.extend(next);
        raw.extend(self.base.to_be_bytes());
        raw.extend(self.base.rotate_left(29).to_be_bytes());
        raw.extend(self.base.rotate_left(43).to_be_bytes());
        (format!("AgAC{}", URL_SAFE_NO_PAD.encode(&raw)), format!("AQAD{}", URL_SAFE_NO_PAD.encode(next)))
    }
}

/// Calling codes that the simulator gives a country to; everyone else is American.
const COUNTRIES: &[(&str, &str)] = &[
    ("20", "EG"),
    ("33", "FR"),
    ("44", "GB"),
    ("49", "DE"),
    ("52", "MX"),
    ("55", "BR"),
    ("60", "MY"),
    ("62", "ID"),
    ("63", "PH"),
    ("65", "SG"),
    ("91", "IN"),
    ("962", "JO"),
    ("965", "KW"),
    ("966", "SA"),
    ("971", "AE"),
    ("973", "BH"),
    ("974", "QA"),
];

/// The business-scoped user id that an account sees for a phone: always the same for the same two.
pub(crate) fn user_id(waba_id: &str, phone: &str) -> String {
    let country = COUNTRIES.iter().rfind(|(code, _)| phone.starts_with(code)).map_or("US", |(_, name)| name);
    let hash = digest::digest(&digest::SHA256, format!("{waba_id}/{phone}").as_bytes());
    let number = hash.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{country}.{:016}", number % 10_000_000_000_000_000)
}

fn random_u64() -> u64 {
    // Without a system source of randomness ids still need to differ between runs.
    getrandom::u64().unwrap_or_else(|_| now_ms().wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wamid_wraps_the_phone_and_a_key() {
        let ids = Ids::new();
        let (first, second) = (ids.wamid("16467043595", true), ids.wamid("16467043595", true));
        assert_ne!(first, second);
        let raw = STANDARD.decode(first.strip_prefix("wamid.").unwrap()).unwrap();
        assert_eq!(&raw[3..14], b"16467043595");
        assert_eq!(first.len(), "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA".len());
    }

    #[test]
    fn object_ids_are_sixteen_digits() {
        assert_eq!(Ids::new().object().len(), 16);
    }
}
