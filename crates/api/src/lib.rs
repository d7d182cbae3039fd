//! The HTTP face: routes, their request and response bodies, and what every request goes through.
//!
//! A request passes, from outside in: [`serve`] (connections), `request_id` (identity, log, figures, errors put into
//! their shape), `body` (size and time limits), `idempotency` (repeated POSTs), then its handler.

mod body;
mod data;
mod demo;
mod embed;
mod error;
mod extract;
mod html;
mod idempotency;
mod openapi;
mod page;
mod pages;
mod request_id;
mod routes;
mod server;
mod session;
mod state;
mod web;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{from_fn, from_fn_with_state};

pub use axum::Router;
pub use demo::{DemoPhone, with_demo};
pub use error::Error;
pub use openapi::openapi;
pub use server::serve;
pub use state::{ApiState, Limits};

/// Every route with all that surrounds it.
pub fn router(state: ApiState) -> axum::Router {
    let document = openapi();
    let methods = Arc::new(openapi::methods(&document));
    let not_allowed = move |request: Request| {
        let methods = Arc::clone(&methods);
        async move {
            let route = request.extensions().get::<MatchedPath>();
            let allowed = route.and_then(|route| methods.get(route.as_str()));
            Error::method_not_allowed(request.method(), request.uri().path(), allowed.map(String::as_str))
        }
    };
    axum::Router::from(routes::all())
        .merge(routes::docs::routes(&document))
        .merge(embed::routes())
        .merge(web::routes())
        .merge(pages::routes())
        .fallback(|request: Request| async move { Error::no_route(request.uri().path()) })
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(state.clone(), idempotency::answer_once))
        .layer(from_fn_with_state(state.limits, body::limit))
        // `body::limit` does it for every route.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(embed::cross_origin))
        .layer(from_fn_with_state(state.clone(), request_id::follow))
        .with_state(state)
}
