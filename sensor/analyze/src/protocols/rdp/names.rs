//! Names of numbers in RDP (scripts/base/protocols/rdp/consts.zeek; keyboards: Microsoft's locale identifiers).

use std::borrow::Cow;

fn named(name: Option<&'static str>, kind: &str, number: u32) -> Cow<'static, str> {
    name.map_or_else(|| Cow::Owned(format!("{kind}-{number}")), Cow::Borrowed)
}

pub(super) fn protocol(number: u32) -> Cow<'static, str> {
    let name = match number {
        0 => Some("RDP"),
        1 => Some("SSL"),
        2 => Some("HYBRID"),
        8 => Some("HYBRID_EX"),
        _ => None,
    };
    named(name, "security_protocol", number)
}

pub(super) fn failure(number: u32) -> Cow<'static, str> {
    let name = match number {
        1 => Some("SSL_REQUIRED_BY_SERVER"),
        2 => Some("SSL_NOT_ALLOWED_BY_SERVER"),
        3 => Some("SSL_CERT_NOT_ON_SERVER"),
        4 => Some("INCONSISTENT_FLAGS"),
        5 => Some("HYBRID_REQUIRED_BY_SERVER"),
        6 => Some("SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER"),
        _ => None,
    };
    named(name, "failure_code", number)
}

pub(super) fn certificate(number: u32) -> Cow<'static, str> {
    let name = match number {
        1 => Some("RSA"),
        2 => Some("X.509"),
        _ => None,
    };
    named(name, "cert_type", number)
}

pub(super) fn method(number: u32) -> Cow<'static, str> {
    let name = match number {
        0 => Some("None"),
        1 => Some("40bit"),
        2 => Some("128bit"),
        8 => Some("56bit"),
        10 => Some("FIPS"),
        _ => None,
    };
    named(name, "encryption_method", number)
}

pub(super) fn level(number: u32) -> Cow<'static, str> {
    let name = match number {
        0 => Some("None"),
        1 => Some("Low"),
        2 => Some("Client compatible"),
        3 => Some("High"),
        4 => Some("FIPS"),
        _ => None,
    };
    named(name, "encryption_level", number)
}

pub(super) fn colors(number: u16) -> Cow<'static, str> {
    let name = match number {
        4 => Some("4bit"),
        8 => Some("8bit"),
        15 => Some("15bit"),
        16 => Some("16bit"),
        24 => Some("24bit"),
        _ => None,
    };
    named(name, "high_color_depth", u32::from(number))
}

pub(super) fn result(number: u8) -> Cow<'static, str> {
    let name = match number {
        0 => Some("Success"),
        1 => Some("User rejected"),
        2 => Some("Resources not available"),
        3 => Some("Rejected for symmetry breaking"),
        4 => Some("Locked conference"),
        _ => None,
    };
    named(name, "result", u32::from(number))
}

pub(super) fn build(number: u32) -> Cow<'static, str> {
    let name = match number {
        419 => Some("RDP 4.0"),
        2195 | 2221 => Some("RDP 5.0"),
        2600 => Some("RDP 5.1"),
        3790 => Some("RDP 5.2"),
        6000 => Some("RDP 6.0"),
        6001 => Some("RDP 6.1"),
        6002 => Some("RDP 6.2"),
        7600 => Some("RDP 7.0"),
        7601 => Some("RDP 7.1"),
        9200 => Some("RDP 8.0"),
        9600 => Some("RDP 8.1"),
        25189 | 25282 => Some("RDP 8.0 (Mac)"),
        _ => None,
    };
    named(name, "client_build", number)
}

pub(super) fn keyboard(number: u32) -> Cow<'static, str> {
    if let Some(name) = language(number) {
        return Cow::Borrowed(name);
    }
    match language(number & 0xffff) {
        Some(name) => Cow::Owned(format!("{name} (Best Guess for {number})")),
        None => Cow::Owned(format!("keyboard-{number}")),
    }
}

fn language(number: u32) -> Option<&'static str> {
    LANGUAGES.binary_search_by_key(&number, |(number, _)| *number).ok().and_then(|at| LANGUAGES.get(at)).map(|(_, name)| *name)
}

/// Languages of keyboards, without the rare layouts of each.
const LANGUAGES: &[(u32, &str)] = &[
    (1025, "Arabic - Saudi Arabia"),
    (1026, "Bulgarian"),
    (1027, "Catalan"),
    (1028, "Chinese - Taiwan"),
    (1029, "Czech"),
    (1030, "Danish"),
    (1031, "German - Germany"),
    (1032, "Greek"),
    (1033, "English - United States"),
    (1034, "Spanish - Spain (Traditional Sort)"),
    (1035, "Finnish"),
    (1036, "French - France"),
    (1037, "Hebrew"),
    (1038, "Hungarian"),
    (1039, "Icelandic"),
    (1040, "Italian - Italy"),
    (1041, "Japanese"),
    (1042, "Korean"),
    (1043, "Dutch - Netherlands"),
    (1044, "Norwegian (Bokmal)"),
    (1045, "Polish"),
    (1046, "Portuguese - Brazil"),
    (1047, "Rhaeto-Romanic"),
    (1048, "Romanian"),
    (1049, "Russian"),
    (1050, "Croatian"),
    (1051, "Slovak"),
    (1052, "Albanian - Albania"),
    (1053, "Swedish"),
    (1054, "Thai"),
    (1055, "Turkish"),
    (1056, "Urdu"),
    (1057, "Indonesian"),
    (1058, "Ukrainian"),
    (1059, "Belarusian"),
    (1060, "Slovenian"),
    (1061, "Estonian"),
    (1062, "Latvian"),
    (1063, "Lithuanian"),
    (1064, "Tajik"),
    (1065, "Farsi"),
    (1066, "Vietnamese"),
    (1067, "Armenian - Armenia"),
    (1068, "Azeri (Latin)"),
    (1069, "Basque"),
    (1070, "Sorbian"),
    (1071, "FYRO Macedonian"),
    (1074, "Tswana"),
    (1076, "Xhosa"),
    (1077, "Zulu"),
    (1078, "Afrikaans - South Africa"),
    (1079, "Georgian"),
    (1080, "Faroese"),
    (1081, "Hindi"),
    (1082, "Maltese"),
    (1083, "Sami (Lappish)"),
    (1085, "Yiddish"),
    (1086, "Malay - Malaysia"),
    (1087, "Kazakh"),
    (1088, "Kyrgyz (Cyrillic)"),
    (1089, "Swahili"),
    (1090, "Turkmen"),
    (1091, "Uzbek (Latin)"),
    (1092, "Tatar"),
    (1093, "Bengali (India)"),
    (1094, "Punjabi"),
    (1095, "Gujarati"),
    (1096, "Oriya"),
    (1097, "Tamil"),
    (1098, "Telugu"),
    (1099, "Kannada"),
    (1100, "Malayalam"),
    (1101, "Assamese"),
    (1102, "Marathi"),
    (1103, "Sanskrit"),
    (1104, "Mongolian (Cyrillic)"),
    (1105, "Tibetan - People's Republic of China"),
    (1106, "Welsh"),
    (1107, "Khmer"),
    (1108, "Lao"),
    (1109, "Burmese"),
    (1110, "Galician"),
    (1111, "Konkani"),
    (1121, "Nepali"),
    (1123, "Pashto"),
    (1124, "Filipino"),
    (1134, "Luxembourgish"),
    (2049, "Arabic - Iraq"),
    (2052, "Chinese - People's Republic of China"),
    (2055, "German - Switzerland"),
    (2057, "English - United Kingdom"),
    (2058, "Spanish - Mexico"),
    (2060, "French - Belgium"),
    (2064, "Italian - Switzerland"),
    (2067, "Dutch - Belgium"),
    (2068, "Norwegian (Nynorsk)"),
    (2070, "Portuguese - Portugal"),
    (2074, "Serbian (Latin)"),
    (2077, "Swedish - Finland"),
    (2108, "Irish"),
    (2110, "Malay - Brunei Darussalam"),
    (3073, "Arabic - Egypt"),
    (3076, "Chinese - Hong Kong SAR"),
    (3079, "German - Austria"),
    (3081, "English - Australia"),
    (3082, "Spanish - Spain (Modern Sort)"),
    (3084, "French - Canada"),
    (3098, "Serbian (Cyrillic)"),
    (4097, "Arabic - Libya"),
    (4100, "Chinese - Singapore"),
    (4103, "German - Luxembourg"),
    (4105, "English - Canada"),
    (4108, "French - Switzerland"),
    (5121, "Arabic - Algeria"),
    (5124, "Chinese - Macao SAR"),
    (5127, "German - Liechtenstein"),
    (5129, "English - New Zealand"),
    (5132, "French - Luxembourg"),
    (6145, "Arabic - Morocco"),
    (6153, "English - Ireland"),
    (6156, "French - Monaco"),
    (7169, "Arabic - Tunisia"),
    (7177, "English - South Africa"),
    (8202, "Spanish - Venezuela"),
    (9226, "Spanish - Colombia"),
    (10250, "Spanish - Peru"),
    (11274, "Spanish - Argentina"),
    (13321, "English - Philippines"),
    (13322, "Spanish - Chile"),
    (14337, "Arabic - U.A.E."),
    (16393, "English - India"),
    (18441, "English - Singapore"),
    (66567, "German (IBM)"),
    (66569, "English - United States (Dvorak)"),
    (132105, "English - United States (International)"),
];

#[cfg(test)]
mod tests {
    #[test]
    fn languages_are_sorted() {
        assert!(super::LANGUAGES.is_sorted_by_key(|(number, _)| *number));
        assert_eq!(super::keyboard(0xd_0409), "English - United States (Best Guess for 853001)");
    }
}
