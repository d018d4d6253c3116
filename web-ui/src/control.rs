//! One control of a form with its label, its help and what is wrong with it.

use askama::Template;
use settings::edit::Kind;

/// A control, which writes itself into a page.
#[derive(Template, Clone, Debug)]
#[template(path = "control.html")]
pub(crate) struct Control {
    /// Name of the field.
    pub(crate) name: String,
    label: String,
    help: String,
    placeholder: String,
    value: String,
    error: String,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    /// `type` of the input, and what browsers may fill in.
    Line(&'static str, &'static str),
    Lines(u8),
    Tick,
    Choice(Vec<(String, String)>),
    File,
}

impl Control {
    fn new(name: &str, label: &str, shape: Shape) -> Self {
        let empty = String::new;
        Self { name: name.to_owned(), label: label.to_owned(), help: empty(), placeholder: empty(), value: empty(), error: empty(), shape }
    }

    /// A line of text.
    pub(crate) fn line(name: &str, label: &str) -> Self {
        Self::new(name, label, Shape::Line("text", "off"))
    }

    /// A whole number.
    pub(crate) fn number(name: &str, label: &str) -> Self {
        Self::new(name, label, Shape::Line("number", "off"))
    }

    /// A password: never shown again. `autocomplete` is `new-password` or `current-password`, or `off`.
    pub(crate) fn password(name: &str, label: &str, autocomplete: &'static str) -> Self {
        Self::new(name, label, Shape::Line("password", autocomplete))
    }

    /// Several lines of text.
    pub(crate) fn lines(name: &str, label: &str, rows: u8) -> Self {
        Self::new(name, label, Shape::Lines(rows))
    }

    /// Yes or no; set, it is sent as `true`.
    pub(crate) fn tick(name: &str, label: &str) -> Self {
        Self::new(name, label, Shape::Tick)
    }

    /// One of several: what is sent, and what is shown.
    pub(crate) fn choice<V: Into<String>, L: Into<String>>(name: &str, label: &str, choices: impl IntoIterator<Item = (V, L)>) -> Self {
        Self::new(name, label, Shape::Choice(choices.into_iter().map(|(value, label)| (value.into(), label.into())).collect()))
    }

    /// A file to upload.
    pub(crate) fn file(name: &str, label: &str) -> Self {
        Self::new(name, label, Shape::File)
    }

    /// As the kind of a key of the settings wants it.
    pub(crate) fn of(kind: Kind, name: &str, label: &str) -> Self {
        match kind {
            Kind::Switch => Self::tick(name, label),
            Kind::Number => Self::number(name, label),
            Kind::Text => Self::line(name, label),
            Kind::Choice(words) => Self::choice(name, label, words.iter().map(|word| (*word, *word))),
            Kind::List => Self::lines(name, label, 3),
            Kind::Secret => Self::password(name, label, "off"),
        }
    }

    /// What stands below it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// What an answer looks like.
    pub(crate) fn placeholder(mut self, example: &str) -> Self {
        example.clone_into(&mut self.placeholder);
        self
    }

    /// What is in it; never for what is secret.
    pub(crate) fn value(mut self, value: impl Into<String>) -> Self {
        if !matches!(self.shape, Shape::Line("password", _) | Shape::File) {
            self.value = value.into();
        }
        self
    }

    /// What is wrong with it.
    pub(crate) fn error(mut self, error: impl Into<String>) -> Self {
        self.error = error.into();
        self
    }

    /// Tells who cannot see the page what belongs to the control. Its name is ours, so nothing needs escaping.
    fn aria(&self) -> String {
        let parts = [("help", &self.help), ("error", &self.error)];
        let ids: Vec<_> = parts.iter().filter(|(_, text)| !text.is_empty()).map(|(part, _)| format!("{}-{part}", self.name)).collect();
        let described = if ids.is_empty() { String::new() } else { format!(" aria-describedby=\"{}\"", ids.join(" ")) };
        let invalid = if self.error.is_empty() { "" } else { " aria-invalid=\"true\"" };
        described + invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_is_labelled_and_tells_what_is_wrong_to_who_cannot_see_it() {
        let html = Control::line("gateway", "Gateway").value("<x>").help("optional").error("no address").to_string();
        for part in [
            "<label for=\"gateway\">Gateway</label>",
            "aria-describedby=\"gateway-help gateway-error\"",
            "aria-invalid=\"true\"",
            "id=\"gateway-error\"",
            "&#60;x&#62;",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn a_secret_is_never_written_into_the_page() {
        assert!(!Control::password("password", "Password", "off").value("hunter2").to_string().contains("hunter2"));
        assert!(!Control::file("key_file", "Key").value("hunter2").to_string().contains("hunter2"));
    }
}
