//! Understanding for apps that only ask.

use std::collections::BTreeMap;

use axum::extract::State;
use kabar_domain::SiteId;
use kabar_domain::operations::Severity;
use kabar_engine::services::{self, Answers, Entity, Extracted, MatchRequest, NameList, Texts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, Json};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(classify_messages))
        .routes(routes!(parse_messages))
        .routes(routes!(validate_message_structure))
        .routes(routes!(match_locations))
        .routes(routes!(match_things))
        .routes(routes!(match_categories))
        .routes(routes!(extract_entities))
        .routes(routes!(detect_severity))
        .routes(routes!(suggest_categories))
}

/// One answer, or a list of them, one for each of `texts` or `queries`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum OneOrMany<T: ToSchema> {
    One(T),
    Many(Vec<T>),
}

type Answer<T> = Result<axum::Json<Data<OneOrMany<T>>>>;

fn answer<T, U: Serialize + ToSchema>(
    answers: kabar_engine::Result<Answers<T>>,
    make: impl Fn(T) -> U,
) -> Answer<U> {
    Ok(data(match answers?.map(make) {
        Answers::One(answer) => OneOrMany::One(answer),
        Answers::Many(answers) => OneOrMany::Many(answers),
    }))
}

#[derive(Deserialize, ToSchema)]
struct TextRequest {
    /// One text; or else `texts`.
    #[schema(max_length = 65536, example = "AC bocor lagi di gd A lt 2, udah 2x minggu ini")]
    text: Option<String>,
    /// Many texts; the answer is a list in their order.
    #[schema(max_items = 1000)]
    texts: Option<Vec<String>>,
}

impl From<TextRequest> for Texts {
    fn from(request: TextRequest) -> Self {
        Self { one: request.text, many: request.texts }
    }
}

#[derive(Deserialize, ToSchema)]
struct StructureRequest {
    /// One text; or else `texts`.
    #[schema(max_length = 65536, example = "#problem\nLocation: Building A\nDescription: AC leaks")]
    text: Option<String>,
    /// Many texts; the answer is a list in their order.
    #[schema(max_items = 1000)]
    texts: Option<Vec<String>>,
    /// The one template to read by; all of them when left out.
    template: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ClassifiedMessage {
    /// `work_update`, `problem` or `general`.
    #[schema(example = "problem")]
    class: &'static str,
    /// The probability of `class`, 0 to 1.
    confidence: f64,
    /// The words that decided it, with what they speak of.
    #[schema(example = json!(["fault: bocor"]))]
    reasons: Vec<String>,
    /// `en`, `id` (with Malay), `ar`, `mixed` or `unknown`.
    #[schema(example = "id")]
    language: &'static str,
    /// What decided, and its version.
    engine: &'static str,
}

#[derive(Serialize, ToSchema)]
struct ParsedMessage {
    /// Whether the text has the form of a template.
    matched: bool,
    template: Option<String>,
    fields: BTreeMap<String, String>,
    /// By field: `missing`, `not_a_number`, `not_a_date`, `not_an_option` or `not_a_severity`.
    #[schema(value_type = BTreeMap<String, String>)]
    errors: BTreeMap<String, &'static str>,
}

#[derive(Serialize, ToSchema)]
struct StructureValidity {
    valid: bool,
    /// The template whose form the text has; null for free text.
    template: Option<String>,
    /// Required fields that are not there.
    missing: Vec<String>,
    /// By field: `missing`, `not_a_number`, `not_a_date`, `not_an_option` or `not_a_severity`.
    #[schema(value_type = BTreeMap<String, String>)]
    errors: BTreeMap<String, &'static str>,
}

#[derive(Deserialize, ToSchema)]
struct MatchNameRequest {
    /// One name; or else `queries`.
    #[serde(alias = "text")]
    #[schema(example = "Bilding A")]
    query: Option<String>,
    /// Many names; the answer is a list in their order.
    #[serde(alias = "texts")]
    #[schema(max_items = 1000)]
    queries: Option<Vec<String>>,
    /// Candidates to give back, 5 when left out.
    #[schema(minimum = 1, maximum = 50)]
    limit: Option<i64>,
    /// Names to match against instead of the organisation's own.
    #[schema(max_items = 10000)]
    candidates: Option<Vec<String>>,
}

#[derive(Deserialize, ToSchema)]
struct MatchThingRequest {
    /// One name; or else `queries`.
    #[serde(alias = "text")]
    #[schema(example = "Genset 2")]
    query: Option<String>,
    /// Many names; the answer is a list in their order.
    #[serde(alias = "texts")]
    #[schema(max_items = 1000)]
    queries: Option<Vec<String>>,
    /// Candidates to give back, 5 when left out.
    #[schema(minimum = 1, maximum = 50)]
    limit: Option<i64>,
    /// Things at this site alone.
    #[schema(value_type = Option<Ulid>)]
    site_id: Option<String>,
    /// Names to match against instead of the organisation's own.
    #[schema(max_items = 10000)]
    candidates: Option<Vec<String>>,
}

/// A name and how well it fits.
#[derive(Serialize, ToSchema)]
struct NameMatch {
    /// Absent for names that were sent as `candidates`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Ulid, required = false)]
    id: Option<String>,
    /// `site`, `facility` or `category`; absent for names that were sent.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    kind: Option<&'static str>,
    /// Where a facility is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Ulid, required = false)]
    site_id: Option<SiteId>,
    #[schema(example = "Building A")]
    name: String,
    /// 0 to 1, 1 for the very name.
    score: f64,
}

impl From<services::NameMatch> for NameMatch {
    fn from(found: services::NameMatch) -> Self {
        Self { id: found.id, kind: found.kind, site_id: found.site_id, name: found.name, score: found.score }
    }
}

#[derive(Serialize, ToSchema)]
struct NameMatches {
    /// The one that is meant; null where none is likely enough, or several are as likely.
    #[serde(rename = "match")]
    #[schema(value_type = Option<NameMatch>)]
    best: Option<NameMatch>,
    /// The likeliest, best first, whether or not one is meant.
    candidates: Vec<NameMatch>,
}

impl From<services::Matched> for NameMatches {
    fn from(found: services::Matched) -> Self {
        Self {
            best: found.best.map(NameMatch::from),
            candidates: found.candidates.into_iter().map(NameMatch::from).collect(),
        }
    }
}

/// Something that a text names.
#[derive(Serialize, ToSchema)]
struct NamedEntity {
    /// As it was written.
    #[schema(example = "gd A lt 2")]
    text: String,
    /// Unicode scalar values from the start of the text.
    start: usize,
    /// One past its last.
    end: usize,
    /// The organisation's name that is meant.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = NameMatch, required = false)]
    found: Option<NameMatch>,
}

#[derive(Serialize, ToSchema)]
struct ExtractedEntities {
    locations: Vec<NamedEntity>,
    things: Vec<NamedEntity>,
    categories: Vec<NamedEntity>,
    persons: Vec<NamedEntity>,
    times: Vec<NamedEntity>,
    quantities: Vec<NamedEntity>,
}

impl From<Extracted> for ExtractedEntities {
    fn from(found: Extracted) -> Self {
        let shown = |entities: Vec<Entity>| entities.into_iter().map(NamedEntity::from).collect();
        Self {
            locations: shown(found.locations),
            things: shown(found.things),
            categories: shown(found.categories),
            persons: shown(found.persons),
            times: shown(found.times),
            quantities: shown(found.quantities),
        }
    }
}

impl From<Entity> for NamedEntity {
    fn from(entity: Entity) -> Self {
        let found = entity.found.map(NameMatch::from);
        Self { text: entity.text, start: entity.start, end: entity.end, found }
    }
}

impl From<MatchNameRequest> for MatchRequest {
    fn from(request: MatchNameRequest) -> Self {
        Self {
            queries: Texts { one: request.query, many: request.queries },
            limit: request.limit,
            site_id: None,
            candidates: request.candidates,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct DetectedSeverity {
    /// `low`, `medium`, `high` or `critical`.
    #[schema(value_type = String, example = "high")]
    severity: Severity,
    /// The probability of `severity`, 0 to 1.
    confidence: f64,
    /// The words that decided it, with what they speak of.
    reasons: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
struct SuggestCategoryRequest {
    /// One text; or else `texts`.
    #[schema(max_length = 65536, example = "AC bocor lagi")]
    text: Option<String>,
    /// Many texts; the answer is a list in their order.
    #[schema(max_items = 1000)]
    texts: Option<Vec<String>>,
    /// Suggestions to give back, 3 when left out.
    #[schema(minimum = 1, maximum = 50)]
    limit: Option<i64>,
    /// Names to choose from instead of the organisation's own categories.
    #[schema(max_items = 10000)]
    candidates: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
struct SuggestedCategories {
    /// Best first; their scores sum to 1 at most.
    suggestions: Vec<NameMatch>,
}

/// Says whether messages are work updates, problems or neither.
#[utoipa::path(post, path = "/api/v1/messages/classify", tag = "Understanding",
    security(("bearer" = ["write"])), request_body = TextRequest,
    responses((status = 200, body = Data<OneOrMany<ClassifiedMessage>>)))]
async fn classify_messages(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<TextRequest>,
) -> Answer<ClassifiedMessage> {
    answer(state.engine.classify_messages(&caller, request.into()).await, |found| ClassifiedMessage {
        class: found.class,
        confidence: found.confidence,
        reasons: found.reasons,
        language: found.language,
        engine: found.engine,
    })
}

/// Takes structured messages apart.
///
/// Templates are those that are built in, and the organisation's own (`message_templates` in its settings). Free text
/// does not match; that is no error.
#[utoipa::path(post, path = "/api/v1/messages/parse", tag = "Understanding",
    security(("bearer" = ["write"])), request_body = StructureRequest,
    responses((status = 200, body = Data<OneOrMany<ParsedMessage>>)))]
async fn parse_messages(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<StructureRequest>,
) -> Answer<ParsedMessage> {
    let texts = Texts { one: request.text, many: request.texts };
    answer(state.engine.parse_messages(&caller, texts, request.template).await, |found| ParsedMessage {
        matched: found.template.is_some(),
        template: found.template,
        fields: found.fields,
        errors: found.errors,
    })
}

/// Says whether structured messages are well formed, and what is missing.
#[utoipa::path(post, path = "/api/v1/messages/validate-structure", tag = "Understanding",
    security(("bearer" = ["write"])),
    request_body = StructureRequest, responses((status = 200, body = Data<OneOrMany<StructureValidity>>)))]
async fn validate_message_structure(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<StructureRequest>,
) -> Answer<StructureValidity> {
    let texts = Texts { one: request.text, many: request.texts };
    answer(state.engine.validate_messages(&caller, texts, request.template).await, |found| {
        StructureValidity {
            valid: found.valid,
            template: found.template,
            missing: found.missing,
            errors: found.errors,
        }
    })
}

/// Finds the site, or the place in one, that a name means.
#[utoipa::path(post, path = "/api/v1/matching/location", tag = "Understanding", security(("bearer" = ["write"])),
    request_body = MatchNameRequest, responses((status = 200, body = Data<OneOrMany<NameMatches>>)))]
async fn match_locations(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<MatchNameRequest>,
) -> Answer<NameMatches> {
    let found = state.engine.match_names(&caller, NameList::Locations, request.into()).await;
    answer(found, NameMatches::from)
}

/// Finds the facility that a name means.
#[utoipa::path(post, path = "/api/v1/matching/things", tag = "Understanding", security(("bearer" = ["write"])),
    request_body = MatchThingRequest, responses((status = 200, body = Data<OneOrMany<NameMatches>>)))]
async fn match_things(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<MatchThingRequest>,
) -> Answer<NameMatches> {
    let request = MatchRequest {
        queries: Texts { one: request.query, many: request.queries },
        limit: request.limit,
        site_id: request.site_id,
        candidates: request.candidates,
    };
    answer(state.engine.match_names(&caller, NameList::Things, request).await, NameMatches::from)
}

/// Finds the category that a name means.
#[utoipa::path(post, path = "/api/v1/matching/category", tag = "Understanding", security(("bearer" = ["write"])),
    request_body = MatchNameRequest, responses((status = 200, body = Data<OneOrMany<NameMatches>>)))]
async fn match_categories(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<MatchNameRequest>,
) -> Answer<NameMatches> {
    let found = state.engine.match_names(&caller, NameList::Categories, request.into()).await;
    answer(found, NameMatches::from)
}

/// Finds what messages name: places, things, categories, people, times and quantities.
#[utoipa::path(post, path = "/api/v1/ai/extract-entities", tag = "Understanding",
    security(("bearer" = ["write"])), request_body = TextRequest,
    responses((status = 200, body = Data<OneOrMany<ExtractedEntities>>)))]
async fn extract_entities(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<TextRequest>,
) -> Answer<ExtractedEntities> {
    answer(state.engine.extract_entities(&caller, request.into()).await, ExtractedEntities::from)
}

/// Says how bad the problems are that messages tell of.
#[utoipa::path(post, path = "/api/v1/ai/detect-severity", tag = "Understanding",
    security(("bearer" = ["write"])), request_body = TextRequest,
    responses((status = 200, body = Data<OneOrMany<DetectedSeverity>>)))]
async fn detect_severity(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<TextRequest>,
) -> Answer<DetectedSeverity> {
    answer(state.engine.detect_severity(&caller, request.into()).await, |found| DetectedSeverity {
        severity: found.severity,
        confidence: found.confidence,
        reasons: found.reasons,
    })
}

/// Suggests categories out of the organisation's own.
#[utoipa::path(post, path = "/api/v1/ai/suggest-category", tag = "Understanding", security(("bearer" = ["write"])),
    request_body = SuggestCategoryRequest, responses((status = 200, body = Data<OneOrMany<SuggestedCategories>>)))]
async fn suggest_categories(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    Json(request): Json<SuggestCategoryRequest>,
) -> Answer<SuggestedCategories> {
    let texts = Texts { one: request.text, many: request.texts };
    let found = state.engine.suggest_categories(&caller, texts, request.limit, request.candidates).await;
    answer(found, |found| SuggestedCategories {
        suggestions: found.into_iter().map(NameMatch::from).collect(),
    })
}
