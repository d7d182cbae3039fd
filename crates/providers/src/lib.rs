//! The outside world: what providers send us ([`whatsapp::parse`], [`telegram::parse`]) and how we call them.

pub mod ai;
pub mod fetch;
mod fields;
mod hex;
pub mod http;
mod markup;
pub mod neoleap;
pub mod reach;
pub mod sms;
pub mod smtp;
pub mod storage;
pub mod telegram;
pub mod webhooks;
pub mod whatsapp;
