//! The words of the server's own pages.

use http::{HeaderMap, header};

use super::look::Form;
use crate::session::cookie;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Indonesian,
    Arabic,
}

impl Language {
    pub const ALL: [Self; 3] = [Self::English, Self::Indonesian, Self::Arabic];

    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Indonesian => "id",
            Self::Arabic => "ar",
        }
    }

    /// In the language itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Indonesian => "Bahasa Indonesia",
            Self::Arabic => "العربية",
        }
    }

    pub const fn direction(self) -> &'static str {
        if matches!(self, Self::Arabic) { "rtl" } else { "ltr" }
    }

    pub const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Indonesian => &INDONESIAN,
            Self::Arabic => &ARABIC,
        }
    }

    fn parse(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        // `in` is what Indonesian was once called.
        let primary = if primary.eq_ignore_ascii_case("in") { "id" } else { primary };
        Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(primary))
    }

    /// The language of a page; and, when it was chosen just now (`?lang=`), that it was.
    pub fn of(query: &Form, headers: &HeaderMap) -> (Self, Option<Self>) {
        let chosen = query.get("lang").and_then(Self::parse);
        let kept = || cookie(headers, "lang").and_then(Self::parse);
        let accepted = || {
            let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            Self::accepted(header.unwrap_or_default())
        };
        (chosen.or_else(kept).or_else(accepted).unwrap_or(Self::English), chosen)
    }

    /// The one an `Accept-Language` likes best, the first of equals.
    fn accepted(header: &str) -> Option<Self> {
        let mut best = None;
        for part in header.split(',') {
            let (tag, parameters) = part.split_once(';').unwrap_or((part, ""));
            let weight =
                parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
            let Some(language) = Self::parse(tag.trim()) else { continue };
            let weight = weight.unwrap_or(0.0);
            if weight > best.map_or(0.0, |(_, most)| most) {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }
}

/// Each is one sentence or name. `{…}` stands for what is named there.
pub(crate) struct Words {
    /// What the choice of a language is called.
    pub language: &'static str,
    pub sign_in: &'static str,
    pub email: &'static str,
    pub password: &'static str,
    pub forgotten: &'static str,
    pub wrong: &'static str,
    pub missing: &'static str,
    pub too_many: &'static str,
    pub no_organisation: &'static str,
    pub trouble: &'static str,
    pub not_done: &'static str,
    pub stale: &'static str,
}

const ENGLISH: Words = Words {
    language: "Language",
    sign_in: "Sign in",
    email: "E-mail",
    password: "Password",
    forgotten: "Forgot your password? An administrator of this server can give you a new one.",
    wrong: "That e-mail and password do not go together. Try again.",
    missing: "Give your e-mail and your password.",
    too_many: "Too many attempts. Wait a minute and try again.",
    no_organisation: "You do not belong to an organisation. Ask an administrator to add you to one.",
    trouble: "That did not work just now. Try again in a moment.",
    not_done: "Nothing was changed",
    stale: "This page was open for too long, or the request did not come from it. Go back, reload the page and try again.",
};

const INDONESIAN: Words = Words {
    language: "Bahasa",
    sign_in: "Masuk",
    email: "Email",
    password: "Kata sandi",
    forgotten: "Lupa kata sandi? Administrator server ini dapat memberi Anda yang baru.",
    wrong: "Email dan kata sandi tidak cocok. Coba lagi.",
    missing: "Isi email dan kata sandi Anda.",
    too_many: "Terlalu banyak percobaan. Tunggu satu menit, lalu coba lagi.",
    no_organisation: "Anda belum menjadi anggota organisasi mana pun. Minta administrator menambahkan Anda.",
    trouble: "Saat ini belum berhasil. Coba lagi sebentar lagi.",
    not_done: "Tidak ada yang diubah",
    stale: "Halaman ini terlalu lama terbuka, atau permintaan tidak berasal darinya. Kembali, muat ulang halaman, lalu coba lagi.",
};

const ARABIC: Words = Words {
    language: "اللغة",
    sign_in: "تسجيل الدخول",
    email: "البريد الإلكتروني",
    password: "كلمة المرور",
    forgotten: "هل نسيت كلمة المرور؟ يستطيع مسؤول هذا الخادم أن يمنحك كلمة جديدة.",
    wrong: "البريد الإلكتروني وكلمة المرور غير متطابقين. حاول مرة أخرى.",
    missing: "أدخل بريدك الإلكتروني وكلمة المرور.",
    too_many: "محاولات كثيرة جدًا. انتظر دقيقة ثم حاول مرة أخرى.",
    no_organisation: "لست عضوًا في أي مؤسسة. اطلب من أحد المسؤولين إضافتك.",
    trouble: "تعذّر ذلك الآن. حاول مرة أخرى بعد قليل.",
    not_done: "لم يتغيّر شيء",
    stale: "ظلّت هذه الصفحة مفتوحة مدة طويلة، أو أن الطلب لم يأتِ منها. ارجع وأعد تحميل الصفحة ثم حاول مرة أخرى.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_language_it_likes_best() {
        for (header, language) in [
            ("id-ID,id;q=0.9,en;q=0.8", Some(Language::Indonesian)),
            ("fr, ar;q=0.5, en;q=0.4", Some(Language::Arabic)),
            ("en;q=0.1, AR-sa;q=0.9", Some(Language::Arabic)),
            ("in", Some(Language::Indonesian)),
            ("id;q=0", None),
            ("fr-FR, *", None),
            ("", None),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }
}
