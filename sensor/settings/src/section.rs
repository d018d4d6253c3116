//! A section of the settings file, written once: the struct, its defaults and its documentation come from the same lines.

/// One key of a section, as the default file and the list of known keys need it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key as written in the file.
    pub name: &'static str,
    /// The lines of its doc comment.
    pub doc: &'static [&'static str],
    /// TOML text shown in the default file for a key that is unset by default; empty for the others.
    pub example: &'static str,
}

/// A section of the settings file: name, doc comment, keys.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The name in brackets.
    pub name: &'static str,
    /// The lines of its doc comment.
    pub doc: &'static [&'static str],
    /// Its keys, in the order of the file.
    pub keys: &'static [Key],
}

/// Declares a section. `key: Type = default` takes part in the default file with its default;
/// `key: Option<Type> = None, shown as "…"` with the given TOML text.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $Section:ident as $name:literal {
            $( $(#[doc = $doc:literal])* pub $key:ident : $type:ty = $default:expr $(, shown as $example:literal)? ; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $Section {
            $( $(#[doc = $doc])* pub $key: $type, )*
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $( $key: $default, )* }
            }
        }

        impl $Section {
            /// What the default file and the check for unknown keys know about this section.
            pub const SECTION: $crate::section::Section = $crate::section::Section {
                name: $name,
                doc: &[$($about),*],
                keys: &[ $( $crate::section::Key {
                    name: stringify!($key),
                    doc: &[$($doc),*],
                    example: concat!("" $(, $example)?),
                }, )* ],
            };
        }
    };
}
pub(crate) use section;
