//! Which pages may use a widget.

use url::Url;

/// An origin as a widget's configuration holds it; `https://*.example.com` stands for all below `example.com`.
pub(super) fn origin(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://")?;
    let wild = rest.strip_prefix("*.");
    let url = Url::parse(&format!("{scheme}://{}", wild.unwrap_or(rest))).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        // Only the first label may stand for any.
        && !wild.unwrap_or(rest).contains('*');
    if !plain {
        return None;
    }
    let origin = url.origin().ascii_serialization();
    if wild.is_none() {
        return Some(origin);
    }
    // Below a whole top-level domain is everybody.
    let domain = url.domain().is_some_and(|domain| domain.contains('.'));
    domain.then(|| origin.replacen("://", "://*.", 1))
}

/// Whether a page of `page` may use a widget of these origins.
pub(super) fn allows(allowed: &[String], page: &str) -> bool {
    let page = page.to_ascii_lowercase();
    allowed.iter().any(|allowed| match allowed.split_once("://*.") {
        None => *allowed == page,
        Some((scheme, below)) => page
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"))
            .and_then(|host| host.strip_suffix(below))
            .is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_one_way() {
        for (given, kept) in [
            ("https://shop.example", "https://shop.example"),
            (" HTTPS://Shop.Example:443/ ", "https://shop.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://*.Example.com", "https://*.example.com"),
            ("https://tökö.example", "https://xn--tk-fkab.example"),
        ] {
            assert_eq!(origin(given).as_deref(), Some(kept), "{given}");
        }
        for wrong in [
            "",
            "*",
            "shop.example",
            "https://shop.example/path",
            "https://*",
            "https://*.com",
            "null",
            "ftp://shop.example",
            "https://a@shop.example",
            "https://shop.example?x",
            "https://a.*.example.com",
            "javascript://shop.example",
            "https://*.127.0.0.1",
        ] {
            assert_eq!(origin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_page_is_let_in_by_its_whole_origin() {
        let allowed = ["https://shop.example".to_owned(), "https://*.example.com".to_owned()];
        for page in ["https://shop.example", "https://a.example.com", "https://a.b.example.com"] {
            assert!(allows(&allowed, page), "{page}");
        }
        for page in [
            "http://shop.example",
            "https://shop.example:8443",
            "https://shop.example.evil.test",
            "https://example.com",
            "https://evilexample.com",
            "https://.example.com",
            "https://a.example.com:1",
            "null",
            "",
        ] {
            assert!(!allows(&allowed, page), "{page}");
        }
    }
}
