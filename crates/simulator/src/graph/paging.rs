//! Cursor paging as the Graph API does it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::params::Params;

fn cursor(position: usize) -> String {
    URL_SAFE_NO_PAD.encode(position.to_string())
}

fn position(cursor: &str) -> Option<usize> {
    let raw = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    std::str::from_utf8(&raw).ok()?.parse().ok()
}

/// One page of `items` and its `paging`; `url` is the list's address without a query, for `next`.
pub(super) fn page(items: Vec<Value>, params: &Params, url: &str) -> Value {
    let limit = params.int("limit").unwrap_or(25).clamp(1, 1000) as usize;
    let total = items.len();
    let start = if let Some(after) = params.text("after") {
        position(&after).map_or(0, |last| last + 1)
    } else if let Some(before) = params.text("before") {
        position(&before).unwrap_or(0).saturating_sub(limit)
    } else {
        0
    };
    let data: Vec<Value> = items.into_iter().skip(start).take(limit).collect();
    if data.is_empty() {
        return json!({"data": []});
    }
    let last = start + data.len() - 1;
    let mut paging = Map::new();
    paging.insert("cursors".into(), json!({"before": cursor(start), "after": cursor(last)}));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for key in ["fields", "status", "name", "language", "category"] {
        if let Some(value) = params.text(key) {
            query.append_pair(key, &value);
        }
    }
    let mut link = |edge: &str, at: usize| {
        let mut query = url::form_urlencoded::Serializer::new(query.finish());
        let query = query.append_pair("limit", &limit.to_string()).append_pair(edge, &cursor(at)).finish();
        json!(format!("{url}?{query}"))
    };
    if last + 1 < total {
        paging.insert("next".into(), link("after", last));
    }
    if start > 0 {
        paging.insert("previous".into(), link("before", start));
    }
    json!({"data": data, "paging": paging})
}
