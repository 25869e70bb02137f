//! Where values come from, and how texts become values.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use yardmaster_topologies::time::Millis;

use super::ConfigError;

/// A TOML file's values under their dotted names.
pub(super) fn file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let fail = |cause: String| ConfigError::File { path: path.display().to_string(), cause };
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| fail(error.to_string()))?;
    let mut values = BTreeMap::new();
    flatten("", &table, &mut values);
    Ok(values)
}

fn flatten(prefix: &str, table: &toml::Table, values: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        if let toml::Value::Table(inner) = value {
            flatten(&format!("{name}."), inner, values);
        } else if let toml::Value::Array(items) = value {
            let items: Vec<String> = items.iter().map(plain).collect();
            values.insert(name, items.join(","));
        } else {
            values.insert(name, plain(value));
        }
    }
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A length of time: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub(super) fn millis(text: &str) -> Result<Millis, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a length of time is a whole number and one of ms, s, m, h, d: `15s`".into()),
    };
    let number: u64 =
        number.parse().map_err(|_| "a length of time starts with a whole number: `15s`".to_owned())?;
    let millis = number.checked_mul(factor).ok_or("that is longer than can be counted")?;
    if millis == 0 { Err("must be longer than nothing".into()) } else { Ok(Millis(millis)) }
}

/// A number in a range.
pub(super) fn number<N: FromStr + PartialOrd + std::fmt::Display>(
    text: &str,
    min: N,
    max: N,
) -> Result<N, String> {
    let number: N =
        text.replace('_', "").parse().map_err(|_| format!("must be a whole number from {min} to {max}"))?;
    if number < min || number > max { Err(format!("must be from {min} to {max}")) } else { Ok(number) }
}
