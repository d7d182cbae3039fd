//! Pages of lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kabar_store::Window;
use uuid::Uuid;

use crate::error::{Error, Invalid};

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1.
    pub page: i64,
    /// 1 to 100.
    pub per_page: i64,
    /// An opaque place to go on from, out of an earlier answer; then `page` is not used.
    pub cursor: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub page: i64,
    pub per_page: i64,
    pub total: i64,
    pub next_cursor: Option<String>,
}

/// Where a row stands in an ordered list: what the list is ordered by (0 when by id alone), then its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub at: i64,
    pub id: Uuid,
}

impl From<Uuid> for Place {
    fn from(id: Uuid) -> Self {
        Self { at: 0, id }
    }
}

impl Place {
    fn encode(self) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.at.to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (at, id) = bytes.split_first_chunk::<8>()?;
        Some(Self { at: i64::from_be_bytes(*at), id: Uuid::from_slice(id).ok()? })
    }
}

impl PageRequest {
    /// Checks what a client gave. `limit` and `per_page` are two names of one parameter.
    pub fn new(
        page: Option<i64>,
        limit: Option<i64>,
        per_page: Option<i64>,
        cursor: Option<String>,
        default: i64,
    ) -> Result<Self, Error> {
        let mut invalid = Invalid::default();
        let name = if per_page.is_none() && limit.is_some() { "limit" } else { "per_page" };
        let size = per_page.or(limit).unwrap_or(default);
        if !(1..=100).contains(&size) {
            invalid.add(name, format!("The {} field must be between 1 and 100.", name.replace('_', " ")));
        }
        let number = page.unwrap_or(1);
        if !(1..=1_000_000_000).contains(&number) {
            invalid.add("page", "The page field must be at least 1.");
        }
        invalid.check()?;
        Ok(Self { page: number, per_page: size, cursor })
    }

    /// Rows to pass over: none when there is a cursor.
    pub const fn offset(&self) -> i64 {
        if self.cursor.is_some() { 0 } else { (self.page - 1) * self.per_page }
    }

    /// One row more than fits the page: it tells whether there is a next one.
    pub const fn fetch(&self) -> i64 {
        self.per_page + 1
    }

    /// What the cursor says.
    pub fn after(&self) -> Result<Option<Place>, Error> {
        self.cursor
            .as_deref()
            .map(|text| {
                Place::decode(text).ok_or_else(|| Invalid::one("cursor", "The cursor field is invalid."))
            })
            .transpose()
    }

    /// The rows that make this page of a list that is ordered by id.
    pub(crate) fn window<I>(&self, id: impl Fn(Uuid) -> I) -> Result<Window<I>, Error> {
        let after = self.after()?.map(|place| id(place.id));
        Ok(Window { after, offset: self.offset(), limit: self.fetch() })
    }

    /// The page that [`PageRequest::fetch`] rows make.
    pub fn page_of<T>(&self, mut items: Vec<T>, total: i64, place: impl Fn(&T) -> Place) -> Page<T> {
        let more = items.len() as i64 > self.per_page;
        items.truncate(self.per_page as usize);
        let next_cursor = items.last().filter(|_| more).map(|last| place(last).encode());
        Page { items, page: self.page, per_page: self.per_page, total, next_cursor }
    }
}

impl<T> Page<T> {
    /// The same page of something made of each row.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(make).collect(),
            page: self.page,
            per_page: self.per_page,
            total: self.total,
            next_cursor: self.next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cursor: Option<String>) -> PageRequest {
        PageRequest::new(Some(3), None, Some(2), cursor, 25).unwrap()
    }

    #[test]
    fn a_cursor_comes_back_as_the_place_it_was_made_of() {
        let place = |n: &u128| Place { at: -7, id: Uuid::from_u128(*n) };
        let page = request(None).page_of(vec![1, 2, 3], 9, place);
        assert_eq!(page.items, [1, 2]);
        let next = request(page.next_cursor);
        assert_eq!(next.after().unwrap(), Some(place(&2)));
        assert_eq!(next.offset(), 0);
        assert_eq!(request(None).page_of(vec![1, 2], 9, place).next_cursor, None);
    }

    #[test]
    fn anything_else_is_no_cursor() {
        for text in ["", "AAAA", "nonsense", "💥", &"A".repeat(33)] {
            assert!(request(Some(text.to_owned())).after().is_err(), "{text}");
        }
    }
}
