//! What is needed before anybody can sign up.

use kabar_domain::Ability;
use kabar_providers::whatsapp::{self, App};

use crate::auth::Principal;
use crate::engine::Engine;
use crate::error::Result;

/// What a page needs to open Meta's dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignupConfig {
    /// Whether codes can be exchanged, and there is a dialog to open.
    pub is_set_up: bool,
    pub app_id: Option<String>,
    pub config_id: Option<String>,
    pub graph_version: &'static str,
    /// The dialog, but for `redirect_uri` and `state`.
    pub dialog_url: Option<String>,
    /// What is missing, and how to set it.
    pub missing: Option<String>,
}

impl Engine {
    /// Meta's app that businesses sign up with.
    pub(crate) fn meta_app(&self) -> Option<App> {
        let secret = self.config.meta_app_secrets.first()?;
        Some(App { id: self.config.meta_app_id.clone()?, secret: secret.clone() })
    }

    /// What a page needs to open Meta's dialog.
    pub fn embedded_signup_config(&self, principal: &Principal) -> Result<SignupConfig> {
        principal.require(Ability::Read)?;
        let (app_id, config_id) = (self.config.meta_app_id.clone(), self.config.meta_config_id.clone());
        let wanted = [
            ("META_APP_ID", app_id.is_some()),
            ("META_APP_SECRET", !self.config.meta_app_secrets.is_empty()),
            ("META_CONFIG_ID", config_id.is_some()),
        ];
        let missing: Vec<_> = wanted.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
        let missing = (!missing.is_empty())
            .then(|| format!("Start the server with {} of your Meta app.", missing.join(" and ")));
        let dialog_url = match (&missing, &app_id, &config_id) {
            (None, Some(app_id), Some(config_id)) => Some(self.dialog_url(app_id, config_id)),
            _ => None,
        };
        Ok(SignupConfig {
            is_set_up: missing.is_none(),
            app_id,
            config_id,
            graph_version: whatsapp::VERSION,
            dialog_url,
            missing,
        })
    }

    /// Meta's dialog is on another host than its API; a simulated one is not.
    fn dialog_url(&self, app_id: &str, config_id: &str) -> String {
        let mut url = self.config.meta_base_url.clone();
        if url.host_str() == Some("graph.facebook.com") && url.set_host(Some("www.facebook.com")).is_err() {
            tracing::warn!("the address of Meta's dialog cannot be made");
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([whatsapp::VERSION, "dialog", "oauth"]);
        }
        url.query_pairs_mut()
            .append_pair("client_id", app_id)
            .append_pair("config_id", config_id)
            .append_pair("response_type", "code")
            .append_pair("override_default_response_type", "true")
            .append_pair("extras", r#"{"setup":{},"sessionInfoVersion":"3"}"#);
        url.into()
    }
}
