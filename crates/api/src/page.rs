//! Pages of lists, in the query and in the answer.

use axum::extract::FromRequestParts;
use http::request::Parts;
use kabar_engine::page::{Page, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::data::{List, Meta};
use crate::error::{Error, Result};
use crate::extract::Query;

/// Which part of a list. It is an extractor by its own; a list's filters are a [`Query`] beside it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// From 1.
    #[param(minimum = 1, example = 1)]
    page: Option<i64>,
    /// Rows on a page, 1 to 100.
    #[param(minimum = 1, maximum = 100, example = 25)]
    per_page: Option<i64>,
    /// Another name of `per_page`.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `meta.next_cursor` of the page before; then `page` is not used.
    cursor: Option<String>,
}

impl PageQuery {
    /// `default` rows when the client does not say.
    pub fn request(self, default: i64) -> Result<PageRequest> {
        Ok(PageRequest::new(self.page, self.limit, self.per_page, self.cursor, default)?)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Query::from_request_parts(parts, state).await.map(|Query(page)| page)
    }
}

/// The answer a page makes.
pub(crate) fn list<T, U: From<T> + Serialize + ToSchema>(page: Page<T>) -> axum::Json<List<U>> {
    axum::Json(List {
        data: page.items.into_iter().map(U::from).collect(),
        meta: Meta {
            current_page: page.page,
            per_page: page.per_page,
            total: page.total,
            next_cursor: page.next_cursor,
        },
    })
}
