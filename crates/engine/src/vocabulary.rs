//! What an organisation calls its places, things and categories, prepared for matching and kept in memory.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kabar_domain::{CategoryId, FacilityId, OrganisationId, SiteId};
use kabar_store::{Db, categories, facilities, organisations, sites, vocabularies};
use kabar_understanding::templates::{Definition, built_in};
use kabar_understanding::{CategorySource, Context, Entry, Index, Lists};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::message_templates;
use crate::places::whole;

/// Organisations kept at a time; the one that was wanted longest ago makes room.
const KEPT: usize = 256;

/// What a location's key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Site(SiteId),
    /// A facility with others in it, as a building or a floor.
    Facility(Thing),
}

impl Place {
    pub const fn site_id(self) -> SiteId {
        match self {
            Self::Site(site) => site,
            Self::Facility(thing) => thing.site_id,
        }
    }
}

/// What a thing's key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thing {
    pub id: FacilityId,
    pub site_id: SiteId,
    pub category_id: Option<CategoryId>,
}

/// An organisation's names at one version. Keys in the indexes are ids as the API writes them.
#[derive(Debug)]
pub struct Vocabulary {
    version: i64,
    /// Sites, and facilities with others in them.
    pub locations: Index,
    /// All facilities in use.
    pub things: Index,
    pub categories: CategorySource,
    /// The forms of structured messages: the organisation's own, then those that are built in.
    pub templates: Vec<Definition>,
    places: HashMap<String, Place>,
    facilities: HashMap<String, Thing>,
    /// Positions in `things`, and the index of them once it was wanted.
    at_sites: HashMap<SiteId, (Vec<usize>, OnceLock<Index>)>,
}

impl Vocabulary {
    fn new(
        version: i64,
        sites: Vec<sites::Site>,
        facilities: Vec<facilities::Facility>,
        categories: Vec<categories::Category>,
        mut templates: Vec<Definition>,
    ) -> Self {
        let mut places = HashMap::new();
        let mut things = HashMap::new();
        let mut at_sites: HashMap<SiteId, (Vec<usize>, OnceLock<Index>)> = HashMap::new();
        let mut locations = Vec::new();
        for site in sites {
            let entry = entry(site.id.to_string(), site.name, site.code, [site.aliases, site.learned]);
            places.insert(entry.key.clone(), Place::Site(site.id));
            locations.push(entry);
        }
        let parents: HashSet<_> = facilities.iter().filter_map(|facility| facility.parent_id).collect();
        let mut entries = Vec::with_capacity(facilities.len());
        for (position, facility) in facilities.into_iter().enumerate() {
            let thing =
                Thing { id: facility.id, site_id: facility.site_id, category_id: facility.category_id };
            let names = [facility.aliases, facility.learned];
            let entry = entry(facility.id.to_string(), facility.name, facility.code, names);
            if parents.contains(&thing.id) {
                places.insert(entry.key.clone(), Place::Facility(thing));
                locations.push(entry.clone());
            }
            things.insert(entry.key.clone(), thing);
            at_sites.entry(thing.site_id).or_default().0.push(position);
            entries.push(entry);
        }
        let categories = categories.into_iter().map(|category| {
            let mut names = category.aliases;
            names.extend(category.names.iter().map(str::to_owned));
            // The key is how the understanding knows a default category that was given another name.
            entry(category.id.to_string(), category.name, category.key, [names, category.learned])
        });
        let built_in = built_in().iter();
        let others: Vec<_> =
            built_in.filter(|other| templates.iter().all(|own| own.name != other.name)).cloned().collect();
        templates.extend(others);
        Self {
            templates,
            version,
            locations: Index::new(locations),
            things: Index::new(entries),
            categories: CategorySource::new(categories),
            places,
            facilities: things,
            at_sites,
        }
    }

    /// What helps to read the organisation's messages.
    pub fn context(&self) -> Context<'_> {
        Context {
            locations: Some(&self.locations),
            things: Some(&self.things),
            categories: Some(&self.categories),
            templates: &self.templates,
        }
    }

    /// The organisation's names alone.
    pub fn lists(&self) -> Lists<'_> {
        Lists {
            locations: Some(&self.locations),
            things: Some(&self.things),
            categories: Some(&self.categories),
        }
    }

    /// What the key of a location stands for.
    pub fn place(&self, key: &str) -> Option<Place> {
        self.places.get(key).copied()
    }

    /// What the key of a thing stands for.
    pub fn thing(&self, key: &str) -> Option<Thing> {
        self.facilities.get(key).copied()
    }

    /// What the key of a category stands for.
    pub fn category(&self, key: &str) -> Option<CategoryId> {
        key.parse().ok()
    }

    /// The things at one site alone; `None` when there are none.
    pub fn things_at(&self, site: SiteId) -> Option<&Index> {
        let (positions, index) = self.at_sites.get(&site)?;
        let entries = self.things.entries();
        Some(index.get_or_init(|| Index::new(positions.iter().map(|position| entries[*position].clone()))))
    }
}

fn entry(key: String, name: String, code: Option<String>, aliases: [Vec<String>; 2]) -> Entry {
    Entry { key, name, code, aliases: aliases.into_iter().flatten().collect() }
}

/// The vocabularies in memory.
#[derive(Debug, Default)]
pub(crate) struct Vocabularies {
    kept: Mutex<HashMap<OrganisationId, (Arc<Vocabulary>, u64)>>,
    turn: AtomicU64,
}

impl Vocabularies {
    fn get(&self, organisation: OrganisationId, version: i64) -> Option<Arc<Vocabulary>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (vocabulary, wanted) = kept.get_mut(&organisation)?;
        *wanted = turn;
        (vocabulary.version == version).then(|| Arc::clone(vocabulary))
    }

    fn put(&self, organisation: OrganisationId, vocabulary: Arc<Vocabulary>) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(organisation, (vocabulary, turn));
        if kept.len() > KEPT
            && let Some(oldest) = kept.iter().min_by_key(|(_, (_, wanted))| *wanted).map(|(id, _)| *id)
        {
            kept.remove(&oldest);
        }
    }
}

impl Engine {
    /// An organisation's names as they are now.
    pub async fn vocabulary(
        &self,
        db: &mut (impl Db + Send),
        organisation: OrganisationId,
    ) -> Result<Arc<Vocabulary>> {
        // Read before the rows: if they change meanwhile, the next caller builds again.
        let version = vocabularies::version(db, organisation).await?;
        if let Some(vocabulary) = self.vocabularies.get(organisation, version) {
            return Ok(vocabulary);
        }
        let sites = sites::list(db, organisation, &sites::Filter::active(), whole()).await?;
        let facilities =
            facilities::list(db, organisation, &facilities::Filter::active(None), whole()).await?;
        let categories = categories::list(db, organisation, &categories::Filter::active(), whole()).await?;
        let settings = organisations::by_id(db, organisation).await?.map(|found| found.settings);
        let templates = settings.map(|settings| message_templates::of(&settings)).unwrap_or_default();
        let build = move || Vocabulary::new(version, sites, facilities, categories, templates);
        let built = tokio::task::spawn_blocking(build);
        let built = built.await.map_err(|error| Error::Internal(format!("a vocabulary: {error}")))?;
        let vocabulary = Arc::new(built);
        self.vocabularies.put(organisation, Arc::clone(&vocabulary));
        Ok(vocabulary)
    }
}
