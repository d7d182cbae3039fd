//! Telegram Bot API.
