//! The words of the server's own pages.

use http::{HeaderMap, header};
use kabar_domain::Ability;

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
        let chosen = query.get("lang");
        (Self::wanted(chosen, headers), chosen.and_then(Self::parse))
    }

    /// The one that was chosen, where it is one of ours; else the one that was chosen for the server's pages, else the
    /// browser's.
    pub fn wanted(chosen: Option<&str>, headers: &HeaderMap) -> Self {
        let kept = || cookie(headers, "lang").and_then(Self::parse);
        let accepted = || {
            let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            Self::accepted(header.unwrap_or_default())
        };
        chosen.and_then(Self::parse).or_else(kept).or_else(accepted).unwrap_or(Self::English)
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
    /// `{app}`
    pub allow_app: &'static str,
    /// `{name}`
    pub made_by: &'static str,
    /// `{organisation}`
    pub in_one: &'static str,
    pub in_several: &'static str,
    pub which: &'static str,
    pub read: &'static str,
    pub write: &'static str,
    pub send: &'static str,
    pub admin: &'static str,
    /// The names of the abilities, in the order of [`Ability::ALL`].
    pub short: [&'static str; 4],
    pub comma: &'static str,
    pub nothing: &'static str,
    pub nothing_to_give: &'static str,
    pub role_caps: &'static str,
    /// `{host}`
    pub leads_to: &'static str,
    pub allow: &'static str,
    pub refuse: &'static str,
    /// `{email}`
    pub signed_in_as: &'static str,
    pub someone_else: &'static str,
    pub bad_link: &'static str,
    pub bad_link_why: &'static str,
    pub bad_link_hint: &'static str,
}

impl Words {
    /// What an app could do, in a sentence.
    pub const fn ability(&self, ability: Ability) -> &'static str {
        match ability {
            Ability::Read => self.read,
            Ability::Write => self.write,
            Ability::Send => self.send,
            Ability::Admin => self.admin,
        }
    }

    /// The name of an ability.
    pub fn short(&self, name: &str) -> &'static str {
        let place = Ability::ALL.iter().position(|ability| ability.as_str() == name);
        place.and_then(|place| self.short.get(place)).copied().unwrap_or_default()
    }
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
    allow_app: "Allow {app} to use Kabar for you?",
    made_by: "Registered by {name}",
    in_one: "In {organisation} it will be able to:",
    in_several: "It asks to be able to:",
    which: "Choose an organisation",
    read: "Read conversations, contacts, problems and work updates",
    write: "Change contacts, conversations, problems and work updates",
    send: "Send messages in your organisation's name",
    admin: "Manage everything: accounts, channels, tokens and webhooks",
    short: ["read", "change", "send messages", "manage"],
    comma: ", ",
    nothing: "nothing: your role there does not allow it",
    nothing_to_give: "Your role allows nothing of what the app asks for. Ask an administrator to connect it.",
    role_caps: "The app asked for more than your role allows. It does not get that.",
    leads_to: "You will be sent to {host}.",
    allow: "Allow",
    refuse: "Refuse",
    signed_in_as: "Signed in as {email}",
    someone_else: "Sign in as someone else",
    bad_link: "This link does not work",
    bad_link_why: "The app that sent you here is not registered, or wants you sent to an address that it did not register. Nothing was shared with it.",
    bad_link_hint: "If you made the app: compare `app` and `redirect_uri` in the link with the app's registration, character by character.",
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
    allow_app: "Izinkan {app} memakai Kabar atas nama Anda?",
    made_by: "Didaftarkan oleh {name}",
    in_one: "Di {organisation}, aplikasi ini akan dapat:",
    in_several: "Aplikasi ini meminta izin untuk:",
    which: "Pilih organisasi",
    read: "Membaca percakapan, kontak, masalah, dan laporan kerja",
    write: "Mengubah kontak, percakapan, masalah, dan laporan kerja",
    send: "Mengirim pesan atas nama organisasi Anda",
    admin: "Mengelola semuanya: akun, kanal, token, dan webhook",
    short: ["membaca", "mengubah", "mengirim pesan", "mengelola"],
    comma: ", ",
    nothing: "tidak ada: peran Anda di sana tidak mengizinkannya",
    nothing_to_give: "Peran Anda tidak mengizinkan apa pun yang diminta aplikasi ini. Minta administrator menghubungkannya.",
    role_caps: "Aplikasi ini meminta lebih dari yang diizinkan peran Anda. Yang selebihnya tidak diberikan.",
    leads_to: "Anda akan diarahkan ke {host}.",
    allow: "Izinkan",
    refuse: "Tolak",
    signed_in_as: "Masuk sebagai {email}",
    someone_else: "Masuk sebagai orang lain",
    bad_link: "Tautan ini tidak berfungsi",
    bad_link_why: "Aplikasi yang mengarahkan Anda ke sini tidak terdaftar, atau meminta Anda diarahkan ke alamat yang tidak didaftarkannya. Tidak ada data yang dibagikan.",
    bad_link_hint: "Jika Anda pembuat aplikasinya: bandingkan `app` dan `redirect_uri` di tautan dengan pendaftaran aplikasi, huruf demi huruf.",
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
    allow_app: "هل تسمح لتطبيق {app} باستخدام Kabar نيابةً عنك؟",
    made_by: "سجّلته {name}",
    in_one: "في {organisation} سيتمكن التطبيق من:",
    in_several: "يطلب التطبيق أن يتمكن من:",
    which: "اختر مؤسسة",
    read: "قراءة المحادثات وجهات الاتصال والمشكلات وتقارير العمل",
    write: "تعديل جهات الاتصال والمحادثات والمشكلات وتقارير العمل",
    send: "إرسال الرسائل باسم مؤسستك",
    admin: "إدارة كل شيء: الحسابات والقنوات والرموز وعناوين الإشعار",
    short: ["القراءة", "التعديل", "إرسال الرسائل", "الإدارة"],
    comma: "، ",
    nothing: "لا شيء: دورك هناك لا يسمح بذلك",
    nothing_to_give: "دورك لا يسمح بأي شيء مما يطلبه التطبيق. اطلب من أحد المسؤولين ربطه.",
    role_caps: "طلب التطبيق أكثر مما يسمح به دورك، ولن يحصل على الزائد.",
    leads_to: "سيجري نقلك إلى {host}.",
    allow: "السماح",
    refuse: "الرفض",
    signed_in_as: "سجّلت الدخول باسم {email}",
    someone_else: "الدخول باسم شخص آخر",
    bad_link: "هذا الرابط لا يعمل",
    bad_link_why: "التطبيق الذي أرسلك إلى هنا غير مسجَّل، أو يريد إرسالك إلى عنوان لم يسجّله. لم تُشارَك معه أي بيانات.",
    bad_link_hint: "إن كنت صاحب التطبيق: قارن `app` و`redirect_uri` في الرابط بما سجّلته، حرفًا بحرف.",
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
