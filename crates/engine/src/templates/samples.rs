//! Samples of headers with a file: a file of the library in place of a handle of Meta's, `example.media_id`.

use std::collections::HashMap;

use kabar_domain::message::Platform;
use kabar_domain::{FileId, OrganisationId};
use kabar_store::files::{self, File};
use kabar_store::{Db, templates::Template};
use serde_json::{Value as Json, json};

use super::form::{string, upper};
use crate::engine::Engine;
use crate::error::{Error, Invalid, Result};

const MIB: i64 = 1 << 20;

/// A header that names a file as its sample.
struct Sample {
    /// Where its `example` is in the components, a JSON pointer.
    place: String,
    /// In upper case, as `IMAGE`.
    format: String,
    file: FileId,
}

impl Sample {
    fn field(&self) -> String {
        format!("components{}.media_id", self.place.replace('/', "."))
    }

    /// Refuses a file that Meta would not take for the header's format.
    fn check(&self, file: Option<&File>) -> Result<()> {
        let refuse = |reason: String| Err(Invalid::one(&self.field(), reason));
        let Some(file) = file else { return refuse("The selected media id is invalid.".into()) };
        let Some(size) = file.size else {
            return refuse(format!("The file is {}: only a stored file can be a sample.", file.status));
        };
        let (types, largest): (&[&str], i64) = match self.format.as_str() {
            "IMAGE" => (&["image/jpeg", "image/png"], 5 * MIB),
            "DOCUMENT" => (&["application/pdf"], 100 * MIB),
            _ => (&["video/mp4"], 16 * MIB),
        };
        let mime_type = file.mime_type.as_deref().unwrap_or("application/octet-stream");
        let essence = mime_type.split(';').next().unwrap_or_default().trim();
        if !types.contains(&essence) {
            let listed = types.join(", ");
            return refuse(format!("The file is {essence}; Meta takes as a sample here: {listed}."));
        }
        if size > largest {
            return refuse(format!("The file has {size} bytes; Meta takes {largest} here."));
        }
        Ok(())
    }
}

fn find(components: &Json, at: &str, found: &mut Vec<Sample>) {
    for (index, part) in components.as_array().into_iter().flatten().enumerate() {
        let example = &part["example"];
        if let Some(file) = string(&example["media_id"]).and_then(|id| id.parse().ok()) {
            let place = format!("{at}/{index}/example");
            found.push(Sample { place, format: upper(&part["format"]), file });
        }
        for (card, inner) in part["cards"].as_array().into_iter().flatten().enumerate() {
            find(&inner["components"], &format!("{at}/{index}/cards/{card}/components"), found);
        }
    }
}

async fn with_files(
    db: &mut impl Db,
    organisation: OrganisationId,
    components: &Json,
) -> Result<(Vec<Sample>, HashMap<FileId, File>)> {
    let mut samples = Vec::new();
    find(components, "", &mut samples);
    let ids = samples.iter().map(|sample| sample.file).collect();
    let files = files::find_all(db, organisation, ids).await?;
    for sample in &samples {
        sample.check(files.get(&sample.file))?;
    }
    Ok((samples, files))
}

/// Refuses samples that are not in the library, or that Meta would not take.
pub(super) async fn check_samples(db: &mut impl Db, template: &Template) -> Result<()> {
    let Some(components) = &template.components else { return Ok(()) };
    with_files(db, template.organisation_id, components).await.map(drop)
}

impl Engine {
    /// Components with a handle of Meta's in the place of each file, which Meta is given for it.
    pub(super) async fn with_handles(
        &self,
        organisation: OrganisationId,
        token: &str,
        components: &Json,
    ) -> Result<Json> {
        let mut components = components.clone();
        let (samples, files) = with_files(&mut self.store.reader().await?, organisation, &components).await?;
        let mut handles: HashMap<FileId, String> = HashMap::new();
        for sample in samples {
            let Some(app_id) = &self.config.meta_app_id else {
                return Err(Error::Conflict(
                    "A file is given to Meta as a sample in the name of an app, and this server does not know its \
                     app's id: set META_APP_ID, or give example.header_handle."
                        .to_owned(),
                ));
            };
            if !handles.contains_key(&sample.file)
                && let Some(file) = files.get(&sample.file)
            {
                let refused = |failure| Error::of_provider(Platform::Whatsapp, failure);
                let bytes = self.outgoing(file).await.map_err(refused)?;
                let given = self.whatsapp.upload_sample(app_id, token, bytes).await.map_err(refused)?;
                handles.insert(sample.file, given);
            }
            if let Some(example) = components.pointer_mut(&sample.place) {
                *example = json!({ "header_handle": [handles.get(&sample.file)] });
            }
        }
        Ok(components)
    }
}
