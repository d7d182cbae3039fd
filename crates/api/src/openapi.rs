//! The description of the API, made from the routes.

use std::collections::BTreeMap;

use http::StatusCode;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::error::ErrorBody;
use crate::routes;

/// Answers that any operation behind a token can give: status, name of the component, description.
const COMMON: [(&str, &str, &str); 10] = [
    ("400", "BadRequest", "The body is not what its content type says."),
    ("401", "Unauthenticated", "No token, or one that is unknown, expired or revoked."),
    ("402", "PaymentRequired", "The organisation is read-only until it is paid for."),
    ("403", "Forbidden", "The token or the role lacks an ability."),
    ("404", "NotFound", "There is nothing by that id in the caller's organisation."),
    ("409", "Conflict", "Not possible in the present state, or a key used for another request."),
    ("413", "TooLarge", "The body is larger than is taken."),
    ("422", "Unprocessable", "Something in the request does not fit; `errors` says what."),
    ("429", "TooManyRequests", "Too many attempts; `Retry-After` says when to come back."),
    ("503", "Unavailable", "Not possible now; `Retry-After` says when to come back."),
];

/// The OpenAPI 3.1 document.
pub fn openapi() -> OpenApi {
    let mut document = routes::all().into_openapi();
    document.info.title = "Kabar".into();
    document.info.version = env!("CARGO_PKG_VERSION").into();
    document.info.description = Some(
        "Messaging operations: WhatsApp and Telegram in, conversations out. Lists are paged with `page` and `per_page` or with `cursor`; every error has a `message` and the `request_id` of its request.".into(),
    );
    document.info.license = Some(utoipa::openapi::License::new("Apache-2.0"));
    let components = document.components.get_or_insert_default();
    components.schemas.insert("Error".into(), ErrorBody::schema());
    let mut schemas = Vec::new();
    ErrorBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.security_schemes.extend(schemes().map(|(name, scheme)| (name, scheme.into())));
    for (_, name, description) in COMMON {
        components.responses.insert(name.to_owned(), RefOr::T(error_response(description)));
    }
    for parameter in [
        text(
            ParameterIn::Header,
            "X-Organisation-Id",
            "Organisation",
            "Id or slug of one of the caller's organisations; else the default.",
        ),
        text(
            ParameterIn::Query,
            "organisation_id",
            "OrganisationOfLink",
            "The same as `X-Organisation-Id`, for links that a signed-in person opens: they carry no header. Tokens do not \
             look at it.",
        ),
        text(
            ParameterIn::Header,
            "Idempotency-Key",
            "IdempotencyKey",
            "The same key and request within 24 hours give the first answer again.",
        ),
    ] {
        components.parameters.insert(parameter.0.to_owned(), RefOr::T(parameter.1));
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            describe_answers(operation);
            if is_behind_token(path) {
                complete(operation, method);
            } else if path.starts_with("/embed/v1/") && operation.security.is_some() {
                answer(operation, |status| match status {
                    "400" | "413" => method != "GET",
                    "404" | "409" => false,
                    _ => true,
                });
            }
        }
    }
    document
}

/// Whether a path is for callers with a token.
pub(crate) fn is_behind_token(path: &str) -> bool {
    path.starts_with("/api/v1/") || path.starts_with("/api/integrations/")
}

fn text(
    place: ParameterIn,
    name: &str,
    component: &'static str,
    description: &str,
) -> (&'static str, Parameter) {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build();
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(text))
        .build();
    (component, parameter)
}

fn error_response(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

/// OpenAPI wants every answer described; where the handler says nothing, the status does.
fn describe_answers(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let status = status.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
            let phrase = status.and_then(|status| status.canonical_reason()).unwrap_or("An answer");
            phrase.clone_into(&mut response.description);
        }
    }
}

/// The ways to sign in.
fn schemes() -> [(String, SecurityScheme); 4] {
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description = Some(
        "Issue a token from /app/integrations/api-tokens and pass it as Authorization: Bearer …. Tokens carry abilities \
         (read / write / send / admin; admin implies the others): each operation names those of which it needs one, here \
         and in `x-required-ability`, and rejects calls that lack it."
            .into(),
    );
    let key = ApiKeyValue::with_description("X-API-Key", "The same token in another header.");
    let session = ApiKeyValue::with_description(
        "kabar_session",
        "The session of a browser that signed in at /login (`__Host-kabar_session` behind https). Requests that change \
         something also need the header `X-CSRF-Token`, from `GET /api/v1/auth/session`; without it they are a 419.",
    );
    let mut embed = Http::new(HttpAuthScheme::Bearer);
    embed.bearer_format = Some("JWT".into());
    embed.description = Some("A visitor's token, from `POST /api/v1/embed-tokens`.".into());
    [
        ("bearer".into(), SecurityScheme::Http(bearer)),
        ("api_key".into(), SecurityScheme::ApiKey(ApiKey::Header(key))),
        ("embed_token".into(), SecurityScheme::Http(embed)),
        ("session".into(), SecurityScheme::ApiKey(ApiKey::Cookie(session))),
    ]
}

/// The abilities that an operation declares, any of which it needs; `None` when it is open to everybody.
///
/// `security(())` declares an open one, `security(("bearer" = ["read"]))` one that needs `read`, and
/// `security(("bearer" = []))` one that every token may call.
fn declared(operation: &Operation) -> Option<Vec<String>> {
    let declared = serde_json::to_value(&operation.security).unwrap_or_default();
    let requirements: Vec<BTreeMap<String, Vec<String>>> =
        serde_json::from_value(declared).unwrap_or_default();
    if operation.security.is_some() && requirements.iter().all(BTreeMap::is_empty) {
        return None;
    }
    Some(requirements.into_iter().flat_map(BTreeMap::into_values).flatten().collect())
}

/// What all operations of the API have in common, and so no handler repeats.
fn complete(operation: &mut Operation, method: &str) {
    let declared = declared(operation);
    let open = declared.is_none();
    if let Some(abilities) = declared {
        // One requirement for each way to sign in and each ability that is enough.
        let enough: Vec<Vec<String>> = if abilities.is_empty() {
            vec![vec![]]
        } else {
            abilities.iter().map(|one| vec![one.clone()]).collect()
        };
        let schemes = ["bearer", "api_key", "session"];
        let requirements = schemes.into_iter().flat_map(|scheme| {
            enough.iter().map(move |abilities| SecurityRequirement::new(scheme, abilities.clone()))
        });
        operation.security = Some(requirements.collect());
        let extension = ExtensionsBuilder::new().add("x-required-ability", abilities).build();
        operation.extensions.get_or_insert_default().merge(extension);
    }
    let parameters = operation.parameters.get_or_insert_default();
    if !open {
        parameters.push(RefOr::Ref(Ref::new("#/components/parameters/Organisation")));
        if method == "GET" {
            parameters.push(RefOr::Ref(Ref::new("#/components/parameters/OrganisationOfLink")));
        }
        if method == "POST" {
            parameters.push(RefOr::Ref(Ref::new("#/components/parameters/IdempotencyKey")));
        }
    }
    let has_body = method != "GET" && (method != "DELETE" || operation.request_body.is_some());
    answer(operation, |status| match status {
        "400" | "413" => has_body,
        "402" => !open && method != "GET",
        "409" => method != "GET",
        "429" => false,
        _ => !open || status == "503",
    });
}

/// Adds those of the common answers that an operation can give.
fn answer(operation: &mut Operation, wanted: impl Fn(&str) -> bool) {
    for (status, name, _) in COMMON {
        if wanted(status) {
            let response = RefOr::Ref(Ref::from_response_name(name));
            operation.responses.responses.entry(status.to_owned()).or_insert(response);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", &mut item.get),
        ("POST", &mut item.post),
        ("PUT", &mut item.put),
        ("PATCH", &mut item.patch),
        ("DELETE", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The methods of every route, as `GET, POST`.
pub(crate) fn methods(document: &OpenApi) -> BTreeMap<String, String> {
    let mut document = document.clone();
    let items = document.paths.paths.iter_mut();
    items
        .map(|(path, item)| {
            let methods: Vec<_> = operations(item).map(|(method, _)| method).collect();
            (path.clone(), methods.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_named_and_says_how_to_sign_in() {
        let mut document = openapi();
        let mut seen = std::collections::BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                let id = operation.operation_id.clone().unwrap();
                assert!(id.contains('_') || id == "login" || id == "logout", "{id}: verb_resource");
                assert!(operation.summary.is_some(), "{method} {path} has no summary");
                assert!(seen.insert(id), "{method} {path} has another's name");
            }
        }
        assert!(seen.contains("list_organisations"));
    }

    #[test]
    fn every_operation_declares_the_ability_it_needs() {
        let any_token = ["get_me", "get_user_me", "get_session", "logout"];
        let mut document = routes::all().into_openapi();
        for (path, item) in &mut document.paths.paths {
            for (_, operation) in operations(item).filter(|_| is_behind_token(path)) {
                let id = operation.operation_id.clone().unwrap();
                assert!(
                    operation.security.is_some(),
                    "{id}: declare security((\"bearer\" = [\"read\"])) or another ability"
                );
                let Some(abilities) = declared(operation) else { continue };
                assert!(
                    abilities.iter().all(|one| one.parse::<kabar_domain::Ability>().is_ok()),
                    "{id}: {abilities:?}"
                );
                assert_eq!(abilities.is_empty(), any_token.contains(&id.as_str()), "{id}");
            }
        }
    }

    fn check(value: &serde_json::Value, document: &serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(|r| r.as_str()) {
                    let pointer = reference.trim_start_matches('#');
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                fields.values().for_each(|field| check(field, document));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        check(&document, &document);
    }
}
