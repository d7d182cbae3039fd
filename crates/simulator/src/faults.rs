//! Faults programmed through the control plane and used up in the order they were given.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::state::Provider;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answers `code` (and `http_status`, else the one that goes with the code) without accepting.
    Error,
    /// Answers 130429 with HTTP 400 (WhatsApp) or 429 with `retry_after` (Telegram) without accepting.
    Throttle,
    /// Holds the request for `delay_ms` (default two minutes) without accepting, then drops the connection.
    Timeout,
    /// Accepts, records, lets the statuses follow, and closes the connection without an answer.
    DropAnswer,
    /// Answers `http_status` (default 500) with a body that is not JSON, without accepting.
    ServerError,
    /// Accepts; each status is called back twice.
    DuplicateStatus,
    /// Accepts; `read` is called back before `delivered`, and that before `sent`.
    ReorderStatuses,
    /// Accepts; the only status is `failed` with `code` (default 131026).
    FailStatus,
}

/// One programmed fault. Absent filters match everything, except that a fault without `method` waits for a
/// message being sent: `GET`s, uploads and read receipts do not use it up. `method: "*"` matches any call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default)]
    pub provider: Option<Provider>,
    /// As in the request log: `messages`, `read`, `media`, `sendMessage`, … Compared without case.
    #[serde(default)]
    pub method: Option<String>,
    pub kind: FaultKind,
    #[serde(default)]
    pub code: Option<i64>,
    #[serde(default)]
    pub http_status: Option<u16>,
    /// The error's text in place of the usual one of its code.
    #[serde(default)]
    pub description: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// For a Telegram `error`: the supergroup that the chat became.
    #[serde(default)]
    pub migrate_to_chat_id: Option<i64>,
    /// How many requests it meets. Default 1.
    #[serde(default = "once")]
    pub times: u32,
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// The recipient, in digits or as a chat id.
    #[serde(default)]
    pub to: Option<String>,
}

const fn once() -> u32 {
    1
}

/// The parts of a request that a fault is matched against.
pub(crate) struct Target<'a> {
    pub provider: Provider,
    pub method: &'a str,
    pub to: Option<&'a str>,
    pub is_send: bool,
}

impl Fault {
    fn matches(&self, target: &Target<'_>) -> bool {
        self.provider.is_none_or(|provider| provider == target.provider)
            && match self.method.as_deref() {
                None => target.is_send,
                Some("*") => true,
                Some(method) => method.eq_ignore_ascii_case(target.method),
            }
            && self.to.as_deref().is_none_or(|to| Some(to.trim_start_matches('+')) == target.to)
    }
}

#[derive(Default)]
pub(crate) struct Faults(VecDeque<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push_back(fault);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.0.iter().cloned().collect()
    }

    /// The first fault that matches, with one use taken off it.
    pub(crate) fn take(&mut self, target: &Target<'_>) -> Option<Fault> {
        let index = self.0.iter().position(|fault| fault.matches(target))?;
        let fault = self.0.get_mut(index)?;
        fault.times -= 1;
        let taken = fault.clone();
        if taken.times == 0 {
            self.0.remove(index);
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: serde_json::Value) -> Fault {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn consumed_in_order_and_by_filter() {
        let mut faults = Faults::default();
        faults.push(fault(serde_json::json!({"kind": "throttle", "times": 2})));
        faults.push(fault(serde_json::json!({"kind": "error", "provider": "telegram", "code": 403})));
        faults.push(fault(serde_json::json!({"kind": "timeout", "to": "+6281"})));
        let send = |to| Target { provider: Provider::Whatsapp, method: "messages", to, is_send: true };
        let read = Target { provider: Provider::Whatsapp, method: "read", to: None, is_send: false };
        assert!(faults.take(&read).is_none());
        assert_eq!(faults.take(&send(None)).unwrap().kind, FaultKind::Throttle);
        assert_eq!(faults.take(&send(None)).unwrap().kind, FaultKind::Throttle);
        assert!(faults.take(&send(None)).is_none());
        assert_eq!(faults.take(&send(Some("6281"))).unwrap().kind, FaultKind::Timeout);
        assert_eq!(faults.list().len(), 1);
    }
}
