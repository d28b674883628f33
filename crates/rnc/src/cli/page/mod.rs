//! Pages for the browser: one file that holds all it shows, and asks no network for anything.

use serde::Serialize;

use super::failure::Failure;

/// What a page has of its own; what all have stands beside this file.
pub(crate) struct Parts {
    /// Style rules.
    pub style: &'static str,
    /// Elements.
    pub body: &'static str,
    /// Scripts. They find the page's data as `page`.
    pub scripts: &'static [&'static str],
}

impl Parts {
    /// The page that shows data.
    pub fn page(&self, data: &impl Serialize) -> Result<String, Failure> {
        let data = serde_json::to_string(data)
            .map_err(|error| Failure::failed(format!("cannot write JSON (please report this): {error}")))?;
        let head = [
            include_str!("head.html"),
            "<style>\n",
            include_str!("style.css"),
            self.style,
            "</style>\n</head>\n<body>\n",
        ];
        // In a script element only this character can end it.
        let data = data.replace('<', "\\u003c");
        let data = ["<script type=\"application/json\" id=\"data\">", &data, "</script>\n"];
        let script = [
            &["<script>\n\"use strict\";\n", include_str!("common.js")],
            self.scripts,
            &["</script>\n</body>\n</html>\n"],
        ];
        Ok([head.concat(), self.body.to_owned(), data.concat(), script.concat().concat()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_element() {
        let page = Parts { style: "", body: "", scripts: &[] }.page(&"</script><script>alert(1)").unwrap();
        assert!(page.contains(r#"id="data">"\u003c/script>\u003cscript>alert(1)"</script>"#), "{page}");
    }
}
