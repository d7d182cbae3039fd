//! What an operation answers when it does not do what it was asked.

use std::collections::BTreeMap;
use std::time::Duration;

use kabar_domain::Ability;
use kabar_domain::message::{Platform, ProviderError};
use kabar_domain::outbound::{SendFailure, Unsendable, Verdict};

use crate::templates::Fitting;

/// An error for a client, or (for [`Error::Store`] and [`Error::Internal`]) for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Unauthenticated.")]
    Unauthenticated,
    /// A visitor's token that is not good, or not any more.
    #[error("{0}")]
    EmbedToken(&'static str),
    /// A wrong e-mail or password; deliberately the same for both.
    #[error("These credentials do not match our records.")]
    Credentials,
    #[error("This token lacks the `{0}` ability.")]
    MissingAbility(Ability),
    /// The operation is about more than the channels or sites that the token is bound to.
    #[error("This token is bound to channels or sites, and this is about more than those.")]
    OutOfReach,
    /// Whatever is wrong with an authorization code.
    #[error("Authorization code is invalid, used, or expired.")]
    InvalidGrant,
    #[error("{0}")]
    Forbidden(String),
    /// Its organisation has to be paid for first.
    #[error("{0}")]
    PaymentRequired(String),
    /// The resource's name, as in `Contact`.
    #[error("No query results for model [{0}].")]
    NotFound(&'static str),
    /// A whole sentence where a document gives one, as `Channel not found.`
    #[error("{0}")]
    NotFoundText(&'static str),
    /// No template has the name; what to do about it.
    #[error("Template not found.")]
    TemplateMissing(String),
    #[error("{0}")]
    Invalid(Invalid),
    /// The provider has no such thing, whatever is asked of it.
    #[error("{reason}")]
    CapabilityMissing { provider: Platform, field: String, reason: String },
    /// More than 24 hours after the person wrote WhatsApp takes templates only; these can be sent.
    #[error("{}", closed(.0))]
    WindowClosed(Vec<Fitting>),
    /// The provider would not do it.
    #[error("{}", .error.sentence())]
    Refused { provider: Platform, error: ProviderError },
    #[error("{0}")]
    Conflict(String),
    #[error("Too Many Attempts.")]
    TooManyAttempts { retry_after: Duration },
    /// The request broke off.
    #[error("{0}")]
    Incomplete(String),
    /// Cannot be made durable or reached now.
    #[error("{0}")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] kabar_store::Error),
    #[error("{0}")]
    Internal(String),
}

/// How to come by a template.
pub(crate) const MAKE_TEMPLATE: &str = "make one (POST /api/v1/templates) and have it approved, or read those made at \
    WhatsApp (POST /api/v1/templates/sync)";

fn closed(fitting: &[Fitting]) -> String {
    let names: Vec<_> =
        fitting.iter().map(|template| format!("{} ({})", template.name, template.language)).collect();
    let advice = if names.is_empty() {
        format!("No approved template fits: {MAKE_TEMPLATE}, or wait until the person writes.")
    } else {
        format!("Templates that fit: {}.", names.join(", "))
    };
    format!(
        "More than 24 hours have passed since the person last wrote: WhatsApp takes only approved templates now. {advice}"
    )
}

impl Error {
    /// A message its provider would refuse.
    pub(crate) fn unsendable(provider: Platform, refused: Unsendable) -> Self {
        let Unsendable { field, reason, is_capability } = refused;
        if is_capability {
            Self::CapabilityMissing { provider, field, reason }
        } else {
            Invalid::one(&field, reason)
        }
    }

    /// Its fields inside another one, as `fallback_template.variables`. Of a whole that is not there, that one.
    pub(crate) fn within(self, whole: &str) -> Self {
        let of = |field: &str| match field {
            "template_name" => format!("{whole}.name"),
            field if field.starts_with(whole) => field.to_owned(),
            field => format!("{whole}.{field}"),
        };
        match self {
            Self::Invalid(invalid) => Self::Invalid(invalid.renamed(of)),
            Self::CapabilityMissing { provider, field, reason } => {
                Self::CapabilityMissing { provider, field: of(&field), reason }
            }
            other => other,
        }
    }

    /// Of a call that may be made again. What the present state forbids is a conflict, what may pass is unavailable.
    pub(crate) fn of_provider(provider: Platform, failure: SendFailure) -> Self {
        match failure.verdict {
            // The group is suspended; the person, or their request to join, is gone.
            Verdict::Fail if matches!(failure.error.code, 131_207 | 131_212 | 131_213) => {
                Self::Conflict(failure.error.sentence())
            }
            Verdict::Fail => Self::Refused { provider, error: failure.error },
            Verdict::PauseAccount => Self::Conflict(failure.error.sentence()),
            _ => Self::Unavailable(failure.error.sentence()),
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Field errors, in the order they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    first: Option<String>,
    pub errors: BTreeMap<String, Vec<String>>,
}

impl Invalid {
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        let message = message.into();
        self.first.get_or_insert_with(|| message.clone());
        self.errors.entry(field.to_owned()).or_default().push(message);
    }

    /// `The phone number id field is required.`, where `field` is `phone_number_id`.
    pub fn require(&mut self, field: &str, present: bool) {
        if !present {
            self.add(field, format!("The {} field is required.", field.replace('_', " ")));
        }
    }

    /// With other names for its fields.
    pub(crate) fn renamed(mut self, of: impl Fn(&str) -> String) -> Self {
        self.errors = self.errors.into_iter().map(|(field, messages)| (of(&field), messages)).collect();
        self
    }

    /// Fails when anything was added.
    pub fn check(self) -> Result<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(Error::Invalid(self)) }
    }

    /// One field, one message.
    pub fn one(field: &str, message: impl Into<String>) -> Error {
        let mut invalid = Self::default();
        invalid.add(field, message);
        Error::Invalid(invalid)
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.first.as_deref().unwrap_or("The given data was invalid."))
    }
}
