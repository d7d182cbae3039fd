//! The envelopes of answers.

use axum::response::IntoResponse;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// One resource.
#[derive(Serialize, ToSchema)]
pub(crate) struct Data<T: ToSchema> {
    pub data: T,
}

/// Part of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T: ToSchema> {
    pub data: Vec<T>,
    pub meta: Meta,
}

/// Where a list stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Meta {
    /// From 1. With `cursor` it says nothing.
    #[schema(example = 1)]
    pub current_page: i64,
    #[schema(example = 25)]
    pub per_page: i64,
    /// Of all pages.
    pub total: i64,
    /// Goes into `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
}

/// Part of a list that is paged by place alone: nobody counts its rows.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stretch<T: ToSchema> {
    pub data: Vec<T>,
    pub meta: StretchMeta,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct StretchMeta {
    #[schema(example = 50)]
    pub per_page: i64,
    /// Goes into `cursor` for the next page; absent on the last. A page may be short, or empty, and not be the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
}

impl<T: ToSchema> Stretch<T> {
    pub fn new(data: Vec<T>, per_page: i64, next: Option<i64>) -> Self {
        Self { data, meta: StretchMeta { per_page, next_cursor: next.map(|place| place.to_string()) } }
    }
}

/// 26 characters of Crockford base 32.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$", example = "01HZK7P5R3Q6V0YH4XJ3M8CHN1")]
pub(crate) struct Ulid(#[expect(dead_code, reason = "stands for the ids in the API description")] String);

/// RFC 3339 in UTC.
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-05-06T10:21:00+00:00")]
pub(crate) struct Time(#[expect(dead_code, reason = "stands for times in the API description")] String);

/// 200 with one resource.
pub(crate) fn data<T: Serialize + ToSchema>(data: T) -> axum::Json<Data<T>> {
    axum::Json(Data { data })
}

/// 201 with the new resource.
pub(crate) fn created<T: Serialize + ToSchema>(value: T) -> impl IntoResponse {
    (StatusCode::CREATED, data(value))
}
