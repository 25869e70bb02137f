//! JSON as text: shown to people in lines, with each number, string and order of keys exactly as it came.

/// The same JSON with line breaks and indents of two spaces; only white space between tokens is changed.
pub(crate) fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    // Set after an opening bracket or a comma: the line breaks before what comes next.
    let mut is_due = false;
    for c in text.chars() {
        if in_string {
            out.push(c);
            (in_string, is_escaped) = match c {
                _ if is_escaped => (true, false),
                '\\' => (true, true),
                other => (other != '"', false),
            };
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let is_close = matches!(c, '}' | ']');
        if is_close {
            depth = depth.saturating_sub(1);
        }
        // An empty object or list stays on its line.
        if is_close != is_due {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
        is_due = matches!(c, '{' | '[' | ',');
        if matches!(c, '{' | '[') {
            depth += 1;
        }
        in_string = c == '"';
        out.push(c);
        if c == ':' {
            out.push(' ');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn every_token_stays_as_it_is() {
        let text = r#"{"z":1.10,"a":[123456789012345678901,{"x":"a \"b\", {c}: [\\"}],"e":{},"l":[ ]}"#;
        let wanted = r#"{
  "z": 1.10,
  "a": [
    123456789012345678901,
    {
      "x": "a \"b\", {c}: [\\"
    }
  ],
  "e": {},
  "l": []
}"#;
        assert_eq!(indented(text), wanted);
        assert_eq!(indented(wanted), wanted);
    }
}
