//! Links and QR codes that open a chat about a facility.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, HeaderValue, header};
use kabar_domain::message::Platform;
use kabar_domain::{AccountId, FacilityId, SiteId};
use kabar_engine::places::{self, LinkQuery, QrSheet};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data::{Data, Ulid, data};
use crate::error::Result;
use crate::extract::{Auth, PathId, Query};
use crate::html;
use crate::pages::Language;
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(get_facility_link))
        .routes(routes!(get_facility_qr_png))
        .routes(routes!(get_facility_qr_svg))
        .routes(routes!(get_site_qr_sheet))
}

#[derive(Serialize, ToSchema)]
struct ChatLink {
    /// `whatsapp` or `telegram`.
    #[schema(value_type = String, example = "whatsapp")]
    platform: Platform,
    #[schema(value_type = Ulid)]
    messaging_account_id: AccountId,
    /// The account's.
    display_name: String,
    #[schema(
        example = "https://wa.me/6281234567890?text=AC%20lantai%202%20%28AC%2D02%29%2C%20Building%20A%3A%20"
    )]
    url: String,
}

#[derive(Serialize, ToSchema)]
struct FacilityLinks {
    /// What the person's message begins with on WhatsApp. Telegram's link tells the bot of the facility instead: what is
    /// written in the hour after is about it, unless it names another.
    #[schema(example = "AC lantai 2 (AC-02), Building A: ")]
    text: String,
    /// That of the default account first.
    links: Vec<ChatLink>,
}

impl From<places::FacilityLinks> for FacilityLinks {
    fn from(found: places::FacilityLinks) -> Self {
        let links = found.links.into_iter().map(|link| ChatLink {
            platform: link.platform,
            messaging_account_id: link.account_id,
            display_name: link.display_name,
            url: link.url,
        });
        Self { text: found.text, links: links.collect() }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SheetQuery {
    /// `whatsapp` or `telegram`; else that of the default account.
    platform: Option<String>,
    messaging_account_id: Option<String>,
    /// `en`, `id` or `ar`; else what `Accept-Language` asks for.
    #[param(example = "id")]
    lang: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct QrQuery {
    /// `whatsapp` or `telegram`; else that of the default account.
    platform: Option<String>,
    messaging_account_id: Option<String>,
    /// Pixels of a PNG picture's side, 64 to 4096; 512 when left out. It may be a little larger.
    size: Option<i64>,
}

impl QrQuery {
    fn link(self) -> LinkQuery {
        LinkQuery { platform: self.platform, messaging_account_id: self.messaging_account_id }
    }
}

/// Links that open a chat with each of the organisation's numbers and bots, the facility already named.
#[utoipa::path(get, path = "/api/v1/facilities/{id}/link", tag = "Facilities",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path)),
    responses((status = 200, body = Data<FacilityLinks>)))]
async fn get_facility_link(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FacilityId>,
) -> Result<axum::Json<Data<FacilityLinks>>> {
    Ok(data(state.engine.get_facility_links(&caller, id).await?.into()))
}

/// A facility's link as a QR code, to be printed.
#[utoipa::path(get, path = "/api/v1/facilities/{id}/qr.png", tag = "Facilities", security(("bearer" = ["read"])),
    params(("id" = Ulid, Path), QrQuery),
    responses((status = 200, body = Vec<u8>, content_type = "image/png"),
        (status = 409, description = "There is no number or bot to link to.", body = ref("#/components/schemas/Error"))))]
async fn get_facility_qr_png(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FacilityId>,
    Query(query): Query<QrQuery>,
) -> Result<impl IntoResponse> {
    let size = query.size;
    let png = state.engine.get_facility_qr_png(&caller, id, query.link(), size).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png))
}

/// A facility's link as a QR code of any size.
#[utoipa::path(get, path = "/api/v1/facilities/{id}/qr.svg", tag = "Facilities", security(("bearer" = ["read"])),
    params(("id" = Ulid, Path), QrQuery),
    responses((status = 200, body = String, content_type = "image/svg+xml"),
        (status = 409, description = "There is no number or bot to link to.", body = ref("#/components/schemas/Error"))))]
async fn get_facility_qr_svg(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<FacilityId>,
    Query(query): Query<QrQuery>,
) -> Result<impl IntoResponse> {
    let qr = state.engine.get_facility_qr(&caller, id, query.link()).await?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], qr.svg()))
}

/// A page of QR codes, one for each facility in use at a site, to be printed and cut.
#[utoipa::path(get, path = "/api/v1/sites/{id}/qr-sheet", tag = "Sites",
    security(("bearer" = ["read"])), params(("id" = Ulid, Path), SheetQuery),
    responses((status = 200, body = String, content_type = "text/html"),
        (status = 409, description = "There is no number or bot to link to.", body = ref("#/components/schemas/Error"))))]
async fn get_site_qr_sheet(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<SiteId>,
    Query(query): Query<SheetQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse> {
    let language = Language::wanted(query.lang.as_deref(), &headers);
    let link = LinkQuery { platform: query.platform, messaging_account_id: query.messaging_account_id };
    let sheet = state.engine.get_site_qr_sheet(&caller, id, link).await?;
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CONTENT_LANGUAGE, HeaderValue::from_static(language.code())),
    ];
    Ok((headers, page(&sheet, language)))
}

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:12mm}h1{font-size:18px}\
main{display:grid;grid-template-columns:repeat(3,1fr);gap:6mm}\
figure{margin:0;padding:4mm;border:1px dashed #999;text-align:center;break-inside:avoid}\
svg{width:100%;max-width:50mm}b{display:block;font-size:16px;overflow-wrap:anywhere}\
code{font-size:14px}small{display:block;color:#444}@media print{body{margin:0}@page{margin:10mm}}";

/// The page's title, and what stands under a code.
const fn words(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::English => ("QR codes", "Scan to report"),
        Language::Indonesian => ("Kode QR", "Pindai untuk melapor"),
        Language::Arabic => ("رموز QR", "امسح للإبلاغ"),
    }
}

/// The reader's language comes first; who passes by may read another.
fn page(sheet: &QrSheet, language: Language) -> String {
    let site = html::text(&sheet.site.name);
    let (title, _) = words(language);
    let (lang, dir) = (language.code(), language.direction());
    let mut page = format!(
        "<!doctype html><html lang=\"{lang}\" dir=\"{dir}\"><head><meta charset=\"utf-8\"><title>{title}: \
         {site}</title><style>{STYLE}</style></head><body><h1>{title}: <bdi>{site}</bdi></h1><main>"
    );
    let others = Language::ALL.into_iter().filter(|other| *other != language);
    let call: Vec<String> = std::iter::once(language)
        .chain(others)
        .map(|each| {
            let (code, direction, (_, text)) = (each.code(), each.direction(), words(each));
            format!("<small lang=\"{code}\" dir=\"{direction}\">{text}</small>")
        })
        .collect();
    for entry in &sheet.entries {
        let code = entry.facility.code.as_deref().map(|code| format!("<code>{}</code>", html::text(code)));
        page.extend([
            "<figure><a href=\"",
            &html::text(&entry.url),
            "\">",
            &entry.qr.svg(),
            "</a><figcaption><b dir=\"auto\">",
            &html::text(&entry.facility.name),
            "</b>",
            code.as_deref().unwrap_or_default(),
            "<small dir=\"auto\">",
            &site,
            "</small>",
            &call.concat(),
            "</figcaption></figure>",
        ]);
    }
    page.push_str("</main></body></html>");
    page
}
