//! Ids in paths.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use kabar_domain::{InvalidId, RecordId};
use kabar_engine::Error as EngineError;

use crate::error::{Error, Result};

/// The id of a record in the paths of problems.
#[derive(Debug)]
pub(crate) struct ProblemId(pub RecordId);

/// The id of a record in the paths of work updates.
#[derive(Debug)]
pub(crate) struct WorkUpdateId(pub RecordId);

/// The number of a token.
#[derive(Debug)]
pub(crate) struct TokenId(pub i64);

impl FromStr for TokenId {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        // No token has the number 0: what is no number is answered as any that is not there, to whoever may ask.
        Ok(Self(text.parse().unwrap_or(0)))
    }
}

impl FromStr for ProblemId {
    type Err = InvalidId;
    fn from_str(text: &str) -> std::result::Result<Self, InvalidId> {
        text.parse().map(Self)
    }
}

impl FromStr for WorkUpdateId {
    type Err = InvalidId;
    fn from_str(text: &str) -> std::result::Result<Self, InvalidId> {
        text.parse().map(Self)
    }
}

/// An id that a path may hold, and the answer when there is nothing by it.
pub(crate) trait Model: FromStr {
    fn not_found() -> EngineError;
}

macro_rules! models {
    ($($id:ty => $error:expr;)*) => {$(
        impl Model for $id {
            fn not_found() -> EngineError {
                $error
            }
        }
    )*};
}

models! {
    kabar_domain::OrganisationId => EngineError::NotFound("Organisation");
    kabar_domain::AccountId => EngineError::NotFound("MessagingAccount");
    kabar_domain::ChannelId => EngineError::NotFound("Channel");
    kabar_domain::ContactId => EngineError::NotFound("Contact");
    kabar_domain::ConversationId => EngineError::NotFound("Conversation");
    kabar_domain::MessageId => EngineError::NotFound("Message");
    kabar_domain::InboxItemId => EngineError::NotFound("InboxItem");
    TokenId => EngineError::NotFound("Token");
    kabar_domain::AppId => EngineError::NotFound("App");
    kabar_domain::ConnectionId => EngineError::NotFound("ConnectedApp");
    ProblemId => EngineError::NotFound("Problem");
    WorkUpdateId => EngineError::NotFound("WorkUpdate");
    kabar_domain::WidgetId => EngineError::NotFound("Widget");
    kabar_domain::WidgetKeyId => EngineError::NotFound("WidgetKey");
    kabar_domain::NotificationId => EngineError::NotFound("Notification");
    kabar_domain::NotificationTemplateId => EngineError::NotFound("NotificationTemplate");
    kabar_domain::InvoiceId => EngineError::NotFound("Invoice");
    kabar_domain::PaymentId => EngineError::NotFound("Payment");
    kabar_domain::SiteId => EngineError::NotFound("Site");
    kabar_domain::FacilityId => EngineError::NotFound("Facility");
    kabar_domain::CategoryId => EngineError::NotFound("Category");
    kabar_domain::FileId => EngineError::NotFound("File");
    kabar_domain::TemplateId => EngineError::NotFoundText("Template not found.");
    kabar_engine::groups::GroupName => kabar_engine::groups::not_found();
    kabar_domain::HeldId => EngineError::NotFound("HeldUpdate");
    kabar_domain::WebhookEndpointId => EngineError::NotFound("WebhookEndpoint");
    kabar_domain::SignupId => EngineError::NotFound("EmbeddedSignup");
    kabar_domain::WebhookDeliveryId => EngineError::NotFound("WebhookDelivery");
}

/// The one id of a path. What cannot be an id is answered like an unknown one.
#[derive(Debug)]
pub(crate) struct PathId<T>(pub T);

impl<T: Model, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::from(T::not_found()))?;
        text.parse().map(Self).map_err(|_| T::not_found().into())
    }
}
