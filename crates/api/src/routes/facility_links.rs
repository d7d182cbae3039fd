//! Links and QR codes that open a chat about a facility.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderValue, header};
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
    /// What the person's message begins with.
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
    security(("bearer" = ["read"])), params(("id" = Ulid, Path), QrQuery),
    responses((status = 200, body = String, content_type = "text/html"),
        (status = 409, description = "There is no number or bot to link to.", body = ref("#/components/schemas/Error"))))]
async fn get_site_qr_sheet(
    State(state): State<ApiState>,
    Auth(caller): Auth,
    PathId(id): PathId<SiteId>,
    Query(query): Query<QrQuery>,
) -> Result<impl IntoResponse> {
    let sheet = state.engine.get_site_qr_sheet(&caller, id, query.link()).await?;
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    Ok((headers, page(&sheet)))
}

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:12mm}h1{font-size:18px}\
main{display:grid;grid-template-columns:repeat(3,1fr);gap:6mm}\
figure{margin:0;padding:4mm;border:1px dashed #999;text-align:center;break-inside:avoid}\
svg{width:100%;max-width:50mm}b{display:block;font-size:16px;overflow-wrap:anywhere}\
code{font-size:14px}small{display:block;color:#444}@media print{body{margin:0}@page{margin:10mm}}";

fn page(sheet: &QrSheet) -> String {
    let site = html::text(&sheet.site.name);
    let mut page = format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><title>{site}</title><style>{STYLE}</style></head>\
         <body><h1 dir=\"auto\">{site}</h1><main>"
    );
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
            "</small><small>Scan to report · Pindai untuk melapor</small>\
             <small dir=\"rtl\">امسح للإبلاغ</small></figcaption></figure>",
        ]);
    }
    page.push_str("</main></body></html>");
    page
}
