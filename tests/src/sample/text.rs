//! Prose that looks like mail: a few languages, each with word classes and a simple sentence.

use std::fmt::Write as _;

use super::rng::Rng;

/// The words of one language by class, frequent ones first.
struct Language {
    greetings: &'static [&'static str],
    subjects: &'static [&'static str],
    verbs: &'static [&'static str],
    things: &'static [&'static str],
    places: &'static [&'static str],
    links: &'static [&'static str],
    farewells: &'static [&'static str],
    space: &'static str,
    stop: &'static str,
}

/// The given names that senders, greetings and file names share.
pub(super) const NAMES: &[&str] = &[
    "Ada", "Björn", "Chiara", "Dmitri", "Élodie", "Farid", "Gudrun", "Hanako", "Ines", "João", "Katya",
    "Łukasz", "Mireille", "Nils", "Olga", "Paloma", "Quentin", "Renata", "Søren", "Teresa", "Uwe", "Vera",
    "Wenzel", "Xenia", "Yusuf", "Zoë",
];

const EMOJI: &[&str] = &["🙂", "👍", "🎉", "❤️", "😂", "🚲", "☕", "👩🏽‍💻", "✂", "🏔️"];

const ENGLISH: Language = Language {
    greetings: &["Hi", "Hello", "Dear", "Good morning"],
    subjects: &[
        "I",
        "we",
        "you",
        "they",
        "the office",
        "my sister",
        "our landlord",
        "the bank",
        "a colleague",
        "the team",
        "the school",
        "the whole choir",
        "somebody from accounting",
        "the ferry company",
    ],
    verbs: &[
        "will send",
        "have read",
        "need",
        "forgot",
        "would like to see",
        "cannot find",
        "already paid for",
        "ordered",
        "postponed",
        "finally repaired",
        "translated",
        "are waiting for",
        "printed",
        "should discuss",
    ],
    things: &[
        "the invoice",
        "your letter",
        "the tickets",
        "some photographs",
        "the minutes",
        "a new key",
        "the contract",
        "the second draft",
        "the spreadsheet",
        "a recipe",
        "the garden fence",
        "those measurements",
        "the boarding pass",
        "last year's figures",
        "the insurance form",
        "an umbrella",
        "the piano",
        "a spare battery",
    ],
    places: &[
        "tomorrow",
        "on Friday",
        "at the station",
        "before lunch",
        "in the shared folder",
        "next week",
        "by post",
        "after the meeting",
        "without any trouble",
        "at the old address",
        "in the kitchen",
        "over the holidays",
    ],
    links: &["and", "but", "because", "so", "although", "while"],
    farewells: &["Best regards", "See you soon", "Thanks", "Yours", "Take care"],
    space: " ",
    stop: ". ",
};

const GERMAN: Language = Language {
    greetings: &["Hallo", "Liebe Grüße an dich", "Guten Tag", "Servus"],
    subjects: &[
        "ich",
        "wir",
        "die Hausverwaltung",
        "meine Tante",
        "der Verein",
        "das Finanzamt",
        "unsere Nachbarin",
        "die Werkstatt",
        "der Zahnarzt",
        "die Klasse",
    ],
    verbs: &[
        "brauche",
        "schickt",
        "findet",
        "bestellt",
        "prüft",
        "vergisst nie",
        "bringt",
        "unterschreibt",
        "übersetzt",
    ],
    things: &[
        "die Rechnung",
        "den Schlüssel",
        "das Fahrrad",
        "die Unterlagen",
        "den Vertrag",
        "die Straßenkarte",
        "zwei Fotos",
        "den Kühlschrank",
        "das Protokoll",
        "die Wanderschuhe",
        "einen Kuchen",
    ],
    places: &[
        "morgen",
        "am Bahnhof",
        "über Ostern",
        "im Büro",
        "nächste Woche",
        "per Post",
        "ohne Gewähr",
        "zu Hause",
    ],
    links: &["und", "aber", "denn", "sondern auch"],
    farewells: &["Viele Grüße", "Bis bald", "Herzlich", "Schöne Woche"],
    space: " ",
    stop: ". ",
};

const SPANISH: Language = Language {
    greetings: &["Hola", "Buenos días", "Estimada", "Querido"],
    subjects: &[
        "yo",
        "mi hermana",
        "el banco",
        "la escuela",
        "nuestro equipo",
        "el señor Núñez",
        "la vecina",
    ],
    verbs: &["envía", "necesita", "encontró", "pagó", "quiere ver", "perdió", "tradujo", "lleva"],
    things: &[
        "la factura",
        "las fotos",
        "el contrato",
        "los billetes",
        "una guitarra",
        "el informe",
        "las llaves",
        "el cumpleaños",
        "la cigüeña de cartón",
    ],
    places: &["mañana", "en la estación", "el viernes", "por correo", "después de comer", "en la oficina"],
    links: &["y", "pero", "porque", "aunque"],
    farewells: &["Un abrazo", "Saludos", "Hasta pronto", "Gracias"],
    space: " ",
    stop: ". ",
};

const FRENCH: Language = Language {
    greetings: &["Bonjour", "Salut", "Chère", "Bonsoir"],
    subjects: &["je", "on", "le propriétaire", "ma cousine", "la mairie", "l'équipe", "le facteur"],
    verbs: &["envoie", "cherche", "a reçu", "prépare", "voudrait", "oublie", "relit", "signe"],
    things: &[
        "la facture",
        "le dossier",
        "les clés",
        "le compte rendu",
        "les billets",
        "un gâteau",
        "la clé à molette",
        "l'attestation",
        "le vélo",
    ],
    places: &["demain", "à la gare", "vendredi", "par courrier", "après la réunion", "sans façon", "à côté"],
    links: &["et", "mais", "car", "donc"],
    farewells: &["Cordialement", "À bientôt", "Merci", "Bises"],
    space: " ",
    stop: ". ",
};

const RUSSIAN: Language = Language {
    greetings: &["Привет", "Здравствуйте", "Добрый день"],
    subjects: &["я", "мы", "мама", "наш сосед", "библиотека", "редакция", "учительница"],
    verbs: &["ждёт", "отправит", "нашла", "читает", "потеряет", "подпишет", "купит"],
    things: &["письмо", "билеты", "фотографии", "договор", "чайник", "велосипед", "словарь", "отчёт"],
    places: &["завтра", "на вокзале", "в пятницу", "по почте", "дома", "после обеда"],
    links: &["и", "но", "потому что", "а"],
    farewells: &["До встречи", "Спасибо", "С уважением"],
    space: " ",
    stop: ". ",
};

const JAPANESE: Language = Language {
    greetings: &["こんにちは", "お疲れ様です", "おはようございます"],
    subjects: &["私は", "会社は", "母が", "先生が", "友達は", "駅員さんが"],
    verbs: &["送りました", "探しています", "忘れました", "読みました", "注文します", "直しました"],
    things: &["写真を", "請求書を", "切符を", "手紙を", "自転車を", "傘を", "資料を"],
    places: &["明日", "駅で", "金曜日に", "来週", "会議の後", "台所で"],
    links: &["そして", "でも", "だから"],
    farewells: &["よろしくお願いします", "またね", "ありがとう"],
    space: "",
    stop: "。",
};

/// Repeated entries set the weights: half of the mail is in English.
const LANGUAGES: &[&Language] = &[
    &ENGLISH, &ENGLISH, &ENGLISH, &ENGLISH, &ENGLISH, &ENGLISH, &GERMAN, &GERMAN, &SPANISH, &FRENCH,
    &RUSSIAN, &JAPANESE,
];

/// A mail body: a greeting, paragraphs until `len` bytes are reached (as whole sentences), a farewell.
pub(super) fn body(rng: &mut Rng, len: usize) -> String {
    let language = rng.pick(LANGUAGES);
    let mut text = String::with_capacity(len.saturating_add(256));
    text.push_str(rng.pick(language.greetings));
    text.push(' ');
    text.push_str(rng.pick(NAMES));
    text.push_str(",\n\n");
    while text.len() < len {
        sentence(rng, language, &mut text);
        if rng.one_in(5) {
            text.push_str("\n\n");
        }
    }
    text.push_str("\n\n");
    text.push_str(rng.pick(language.farewells));
    text.push('\n');
    text.push_str(rng.pick(NAMES));
    text.push('\n');
    text
}

/// A subject line, short and without a line break.
pub(super) fn subject(rng: &mut Rng) -> String {
    let language = rng.pick(LANGUAGES);
    let mut text = String::new();
    text.push_str(rng.pick(language.things));
    text.push_str(language.space);
    text.push_str(rng.pick(language.places));
    if rng.one_in(4) {
        let _ = write!(text, " #{}", rng.below(100_000));
    }
    if rng.one_in(20) {
        text.push(' ');
        text.push_str(rng.pick(EMOJI));
    }
    text
}

/// A line of a chat: one sentence, often with an emoji.
pub(super) fn chat(rng: &mut Rng) -> String {
    let language = rng.pick(LANGUAGES);
    let mut text = String::new();
    sentence(rng, language, &mut text);
    if rng.one_in(3) {
        text.push_str(rng.pick(EMOJI));
    }
    text
}

/// Running text without greeting or farewell, for documents.
pub(super) fn prose(rng: &mut Rng, len: usize, into: &mut String) {
    let language = rng.pick(LANGUAGES);
    let end = into.len().saturating_add(len);
    while into.len() < end {
        sentence(rng, language, into);
        if rng.one_in(7) {
            into.push('\n');
        }
    }
}

/// clause [link clause] stop
fn sentence(rng: &mut Rng, language: &Language, text: &mut String) {
    clause(rng, language, text);
    if rng.one_in(3) {
        text.push_str(if language.space.is_empty() { "、" } else { ", " });
        text.push_str(rng.pick(language.links));
        text.push_str(language.space);
        clause(rng, language, text);
    }
    match rng.below(24) {
        0 => text.push_str("! "),
        1 => {
            text.push(' ');
            text.push_str(rng.pick(EMOJI));
            text.push(' ');
        }
        _ => text.push_str(language.stop),
    }
}

/// subject verb thing [place] [number]
fn clause(rng: &mut Rng, language: &Language, text: &mut String) {
    let space = language.space;
    if rng.one_in(9) {
        text.push_str(rng.pick(NAMES));
    } else {
        text.push_str(rng.pick_early(language.subjects));
    }
    for class in [language.verbs, language.things] {
        text.push_str(space);
        text.push_str(rng.pick_early(class));
    }
    if rng.one_in(2) {
        text.push_str(space);
        text.push_str(rng.pick_early(language.places));
    }
    if rng.one_in(10) {
        // Order numbers and amounts give the full-text index the long tail of rare words that real mail has.
        let _ = write!(text, " ({}-{})", rng.pick(&["No", "Ref", "EUR", "Nr", "PO"]), rng.below(1_000_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reaches_its_length_and_little_more() {
        let mut rng = Rng::new(3, "text");
        for len in [0, 10, 500, 20_000] {
            let text = body(&mut rng, len);
            assert!(text.len() >= len && text.len() < len + 700, "{len} gave {}", text.len());
        }
        assert!(!subject(&mut rng).contains('\n'));
        assert!(!chat(&mut rng).is_empty());
    }
}
