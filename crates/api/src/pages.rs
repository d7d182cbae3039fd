//! The pages that the server writes itself: signing in, and allowing an app. They need no script and fetch nothing.

mod connect;
mod login;
mod look;
mod words;

pub(crate) use look::Form;
pub(crate) use words::Language;

use axum::Router;
use axum::routing::{get, post};

use crate::state::ApiState;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/connect", get(connect::show).post(connect::answer))
        .route("/login", get(login::show).post(login::sign_in))
        .route("/logout", post(login::sign_out))
}

/// Where to go after signing in: a path of this server, whatever anybody writes into a link.
pub(crate) fn local_path(next: Option<&str>) -> &str {
    next.filter(|next| {
        next.starts_with('/')
            && !next.starts_with("//")
            && next.len() <= 4096
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    })
    .unwrap_or("/app")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_a_path_of_this_server_only() {
        for good in ["/app", "/connect?app=crm&redirect_uri=https%3A%2F%2Fcrm.example.com%2F", "/"] {
            assert_eq!(local_path(Some(good)), good);
        }
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "",
            "javascript:x",
            "/é",
        ] {
            assert_eq!(local_path(Some(bad)), "/app", "{bad}");
        }
        assert_eq!(local_path(None), "/app");
    }
}
