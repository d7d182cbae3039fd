//! What the widget says in Kabar's own words.

use std::collections::BTreeMap;

use kabar_domain::widget::{in_language, primary};

use super::Widget;

pub(super) const ENGLISH: &str = "en";

/// Languages there are words in, as the columns of [`WORDS`] after the name.
const LANGUAGES: [&str; 3] = [ENGLISH, "id", "ar"];

/// By name. `{n}`, `{size}` and `{time}` are filled in by the page.
const WORDS: &[(&str, [&str; 3])] = &[
    ("title", ["Chat with us", "Ngobrol dengan kami", "تحدث معنا"]),
    (
        "greeting",
        ["Hello! How can we help?", "Halo! Ada yang bisa kami bantu?", "مرحبًا! كيف يمكننا مساعدتك؟"],
    ),
    (
        "offline",
        [
            "We are not here right now. Write to us: we answer as soon as we are back.",
            "Kami sedang tidak di tempat. Tulis saja: kami jawab begitu kembali.",
            "لسنا متاحين الآن. اكتب لنا وسنرد فور عودتنا.",
        ],
    ),
    ("placeholder", ["Write a message…", "Tulis pesan…", "اكتب رسالة…"]),
    ("opens", ["We are back {time}.", "Kami kembali {time}.", "نعود {time}."]),
    ("open", ["Open chat", "Buka obrolan", "افتح المحادثة"]),
    ("close", ["Close chat", "Tutup obrolan", "أغلق المحادثة"]),
    ("unread", ["{n} unread messages", "{n} pesan belum dibaca", "{n} رسائل غير مقروءة"]),
    ("unread_one", ["1 unread message", "1 pesan belum dibaca", "رسالة واحدة غير مقروءة"]),
    ("message", ["Message", "Pesan", "الرسالة"]),
    ("messages", ["Messages", "Pesan-pesan", "الرسائل"]),
    ("send", ["Send", "Kirim", "إرسال"]),
    ("attach", ["Attach a file", "Lampirkan berkas", "أرفق ملفًا"]),
    ("remove", ["Remove {name}", "Hapus {name}", "أزل {name}"]),
    ("uploading", ["Uploading", "Mengunggah", "جارٍ الرفع"]),
    (
        "too_large",
        ["Files can be {size} at most.", "Ukuran berkas paling besar {size}.", "أقصى حجم للملف {size}."],
    ),
    ("upload_failed", ["The file could not be uploaded.", "Berkas tidak dapat diunggah.", "تعذر رفع الملف."]),
    ("you", ["You", "Anda", "أنت"]),
    ("agent", ["Support", "Dukungan", "الدعم"]),
    ("typing", ["is writing…", "sedang mengetik…", "يكتب الآن…"]),
    ("sending", ["Sending", "Mengirim", "جارٍ الإرسال"]),
    ("sent", ["Sent", "Terkirim", "تم الإرسال"]),
    ("failed", ["Not sent.", "Tidak terkirim.", "لم تُرسل."]),
    ("retry", ["Try again", "Coba lagi", "أعد المحاولة"]),
    (
        "slow_down",
        [
            "That was a lot at once. Please wait a moment.",
            "Terlalu banyak sekaligus. Mohon tunggu sebentar.",
            "رسائل كثيرة دفعة واحدة. انتظر قليلًا من فضلك.",
        ],
    ),
    ("edited", ["edited", "diedit", "معدّلة"]),
    ("deleted", ["This message was deleted.", "Pesan ini telah dihapus.", "حُذفت هذه الرسالة."]),
    ("download", ["Download {name}", "Unduh {name}", "نزّل {name}"]),
    ("earlier", ["Show earlier messages", "Tampilkan pesan sebelumnya", "اعرض الرسائل السابقة"]),
    (
        "offline_now",
        ["No connection. Trying again…", "Tidak ada koneksi. Mencoba lagi…", "لا يوجد اتصال. نعيد المحاولة…"],
    ),
    (
        "ended",
        [
            "This chat has ended. Reload the page to go on.",
            "Obrolan ini berakhir. Muat ulang halaman untuk melanjutkan.",
            "انتهت هذه المحادثة. أعد تحميل الصفحة للمتابعة.",
        ],
    ),
    ("whatsapp", ["Continue on WhatsApp", "Lanjutkan di WhatsApp", "تابع على واتساب"]),
    (
        "ask",
        ["Before we begin, please tell us:", "Sebelum mulai, mohon isi:", "قبل أن نبدأ، من فضلك أخبرنا:"],
    ),
    ("start", ["Start chat", "Mulai obrolan", "ابدأ المحادثة"]),
    ("optional", ["optional", "opsional", "اختياري"]),
    ("required", ["Please fill this in.", "Mohon isi bagian ini.", "يرجى ملء هذا الحقل."]),
    (
        "invalid_email",
        [
            "Please give a whole e-mail address.",
            "Mohon tulis alamat email lengkap.",
            "اكتب بريدًا إلكترونيًا صحيحًا.",
        ],
    ),
    (
        "invalid_phone",
        [
            "Please give a phone number with its country code.",
            "Mohon tulis nomor telepon dengan kode negara.",
            "اكتب رقم هاتف مع رمز البلد.",
        ],
    ),
    ("name", ["Name", "Nama", "الاسم"]),
    ("email", ["E-mail", "Email", "البريد الإلكتروني"]),
    ("phone", ["Phone", "Telepon", "الهاتف"]),
    ("today", ["Today", "Hari ini", "اليوم"]),
    ("yesterday", ["Yesterday", "Kemarin", "أمس"]),
];

fn column(language: &str) -> usize {
    LANGUAGES.iter().position(|known| *known == primary(language)).unwrap_or(0)
}

/// One of Kabar's own words.
pub(super) fn word(language: &str, name: &str) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| *known == name).map(|(_, words)| words[column(language)])
}

/// The visitor's first language that the widget or Kabar has words in.
pub(super) fn choose(wanted: &[String], widget: &Widget) -> String {
    let speaks = |tag: &&String| {
        super::fields::is_language(tag)
            && (LANGUAGES.contains(&primary(tag))
                || widget.texts.keys().any(|known| primary(known) == primary(tag)))
    };
    wanted.iter().take(20).find(speaks).unwrap_or(&widget.default_language).clone()
}

/// Everything the page says in a language: the widget's own texts over Kabar's.
pub(super) fn strings(language: &str, widget: &Widget) -> BTreeMap<&'static str, String> {
    let column = column(language);
    let mut strings: BTreeMap<&'static str, String> =
        WORDS.iter().map(|(name, words)| (*name, words[column].to_owned())).collect();
    let Some(texts) = in_language(&widget.texts, language, &widget.default_language) else { return strings };
    for (name, text) in [
        ("title", &texts.title),
        ("greeting", &texts.greeting),
        ("offline", &texts.offline),
        ("placeholder", &texts.placeholder),
    ] {
        if let Some(text) = text {
            strings.insert(name, text.clone());
        }
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_in_every_language() {
        let mut seen = std::collections::HashSet::new();
        for (name, words) in WORDS {
            assert!(seen.insert(name), "{name} twice");
            for word in words {
                assert!(!word.is_empty(), "{name}");
                for hole in ["{n}", "{size}", "{time}", "{name}"] {
                    assert_eq!(word.contains(hole), words[0].contains(hole), "{name}: {word}");
                }
            }
        }
    }
}
