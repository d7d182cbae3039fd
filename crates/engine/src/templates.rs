//! Message templates.

use kabar_domain::{AccountId, OrganisationId};
use kabar_store::Tx;
use serde_json::Value;

use crate::error::{Invalid, Result};
use crate::messages::Draft;

/// The message that a template makes with what was given for it: for reading in `body`, for WhatsApp in
/// `payload` as `{name, language, components}`.
pub(crate) fn compose(
    _tx: &mut Tx,
    _organisation: OrganisationId,
    _account: AccountId,
    _given: &Value,
) -> Result<Draft> {
    Err(Invalid::one("template", "Templates cannot be sent yet."))
}
