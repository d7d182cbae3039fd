//! Parameters and results: the few types both databases share.

use kabar_domain::Timestamp;
use uuid::Uuid;

use crate::error::{Error, Result};

/// A parameter or a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null(Type),
    Uuid(Uuid),
    Int(i64),
    Bool(bool),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The type of a column or of a NULL parameter (PostgreSQL wants to know).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Uuid,
    Int,
    Bool,
    Float,
    Text,
    Bytes,
}

impl Type {
    pub(crate) const fn postgres(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Int => "bigint",
            Self::Bool => "boolean",
            Self::Float => "double precision",
            Self::Text => "text",
            Self::Bytes => "bytea",
        }
    }
}

/// What can be a parameter.
pub trait Bind {
    const TYPE: Type;
    fn value(self) -> Value;
}

/// What a cell can be read as.
pub trait Read: Sized {
    fn read(value: Value) -> Result<Self, &'static str>;
}

macro_rules! cell {
    ($rust:ty, $variant:ident, $bind:expr, $read:expr) => {
        impl Bind for $rust {
            const TYPE: Type = Type::$variant;
            fn value(self) -> Value {
                Value::$variant(($bind)(self))
            }
        }
        impl Read for $rust {
            fn read(value: Value) -> Result<Self, &'static str> {
                match value {
                    Value::$variant(inner) => ($read)(inner),
                    _ => Err(concat!("not a ", stringify!($variant))),
                }
            }
        }
    };
}

cell!(i64, Int, |v| v, Ok);
cell!(f64, Float, |v| v, Ok);
cell!(String, Text, |v| v, Ok);
cell!(Timestamp, Int, Timestamp::as_micros, |v| Ok(Timestamp::from_micros(v)));

impl Bind for Vec<u8> {
    const TYPE: Type = Type::Bytes;
    fn value(self) -> Value {
        Value::Bytes(self)
    }
}
impl Read for Vec<u8> {
    fn read(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            // Sixteen bytes out of SQLite may be either.
            Value::Uuid(id) => Ok(id.as_bytes().to_vec()),
            _ => Err("not Bytes"),
        }
    }
}

impl Bind for bool {
    const TYPE: Type = Type::Bool;
    fn value(self) -> Value {
        Value::Bool(self)
    }
}
impl Read for bool {
    fn read(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Bool(value) => Ok(value),
            Value::Int(value) => Ok(value != 0),
            _ => Err("not a Bool"),
        }
    }
}

impl Bind for Uuid {
    const TYPE: Type = Type::Uuid;
    fn value(self) -> Value {
        Value::Uuid(self)
    }
}
impl Read for Uuid {
    fn read(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Uuid(id) => Ok(id),
            // SQLite has no uuid type: sixteen bytes are one.
            Value::Bytes(bytes) => Self::from_slice(&bytes).map_err(|_| "not sixteen bytes"),
            _ => Err("not a Uuid"),
        }
    }
}

impl Bind for &str {
    const TYPE: Type = Type::Text;
    fn value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl Bind for &String {
    const TYPE: Type = Type::Text;
    fn value(self) -> Value {
        Value::Text(self.clone())
    }
}

impl Bind for &serde_json::Value {
    const TYPE: Type = Type::Text;
    fn value(self) -> Value {
        Value::Text(self.to_string())
    }
}

impl Read for serde_json::Value {
    fn read(value: Value) -> Result<Self, &'static str> {
        String::read(value).and_then(|text| serde_json::from_str(&text).map_err(|_| "not JSON"))
    }
}

impl<T: Bind> Bind for Option<T> {
    const TYPE: Type = T::TYPE;
    fn value(self) -> Value {
        self.map_or(Value::Null(T::TYPE), T::value)
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Null(_) => Ok(None),
            value => T::read(value).map(Some),
        }
    }
}

macro_rules! ids {
    ($($id:ty),*) => {$(
        impl Bind for $id {
            const TYPE: Type = Type::Uuid;
            fn value(self) -> Value {
                Value::Uuid(self.uuid())
            }
        }
        impl Read for $id {
            fn read(value: Value) -> Result<Self, &'static str> {
                Uuid::read(value).map(Self::from_uuid)
            }
        }
    )*};
}
ids!(
    kabar_domain::OrganisationId,
    kabar_domain::UserId,
    kabar_domain::AccountId,
    kabar_domain::ChannelId,
    kabar_domain::ContactId,
    kabar_domain::ConversationId,
    kabar_domain::MessageId,
    kabar_domain::InboxItemId,
    kabar_domain::TemplateId,
    kabar_domain::HeldId,
    kabar_domain::SiteId,
    kabar_domain::FacilityId,
    kabar_domain::CategoryId,
    kabar_domain::RecordId,
    kabar_domain::EntryId,
    kabar_domain::JobId,
    kabar_domain::FileId,
    kabar_domain::WebhookEndpointId,
    kabar_domain::WebhookDeliveryId,
    kabar_domain::NotificationId,
    kabar_domain::SubjectId,
    kabar_domain::NotificationLegId,
    kabar_domain::NotificationTemplateId,
    kabar_domain::AppId,
    kabar_domain::SignupId,
    kabar_domain::WidgetId,
    kabar_domain::WidgetKeyId,
    kabar_domain::PlanId,
    kabar_domain::InvoiceId,
    kabar_domain::PaymentId,
    kabar_domain::ConnectionId
);

macro_rules! codes {
    ($($code:ty),*) => {$(
        impl Bind for $code {
            const TYPE: Type = Type::Int;
            fn value(self) -> Value {
                Value::Int(self.code())
            }
        }
        impl Read for $code {
            fn read(value: Value) -> Result<Self, &'static str> {
                i64::read(value).and_then(|code| Self::from_code(code).ok_or(concat!("no ", stringify!($code))))
            }
        }
    )*};
}
codes!(
    kabar_domain::message::Platform,
    kabar_domain::message::Direction,
    kabar_domain::message::MessageKind,
    kabar_domain::message::MessageStatus,
    kabar_domain::inbound::IdentityKind,
    kabar_domain::channel::ChannelKind,
    kabar_domain::channel::ChannelStatus,
    kabar_domain::channel::ConversationStatus,
    kabar_domain::channel::Priority,
    kabar_domain::channel::MemberStatus,
    kabar_domain::channel::MemberRole,
    kabar_domain::channel::GroupState,
    kabar_domain::channel::InboxClass,
    kabar_domain::channel::InboxStatus,
    kabar_domain::job::JobKind,
    kabar_domain::notification::NotificationChannel,
    kabar_domain::outbound::SendPriority,
    kabar_domain::signup::SignupStatus,
    kabar_domain::file::FileStatus,
    kabar_domain::file::FileOrigin,
    kabar_domain::webhook::DeliveryStatus,
    kabar_domain::webhook::DisabledReason,
    kabar_domain::operations::RecordKind,
    kabar_domain::operations::Severity,
    kabar_domain::operations::ProblemStatus,
    kabar_domain::operations::EvidenceStage,
    kabar_domain::TokenKind,
    kabar_domain::billing::Language,
    kabar_domain::billing::InvoiceStatus,
    kabar_domain::billing::PaymentStatus,
    kabar_domain::billing::Standing
);

/// One result row.
#[derive(Debug)]
pub struct Row(pub(crate) Vec<Value>);

impl Row {
    /// The cell in `column`, from 0; taken out, so each is read once.
    pub fn get<T: Read>(&mut self, column: usize) -> Result<T> {
        let value = self.0.get_mut(column).ok_or(Error::Decode { column, detail: "no such column" })?;
        T::read(std::mem::replace(value, Value::Null(Type::Text)))
            .map_err(|detail| Error::Decode { column, detail })
    }

    /// The JSON text in `column` as a `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self, column: usize) -> Result<Option<T>> {
        self.get::<Option<String>>(column)?
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| Error::Decode { column, detail: "not the JSON it should be" })
    }
}

/// The parameters of a statement, `$1` first.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { Vec::from([$($crate::Bind::value($value)),*]) };
}
