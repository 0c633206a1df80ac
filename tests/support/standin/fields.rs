//! The named text fields of a request body, from whichever encoding. No name comes twice.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};

#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Refuses what a lenient reader would let pass: a name given twice, a value that is no string, bytes after the object.
    pub fn from_json(body: &[u8]) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let fields = deserializer.deserialize_map(ObjectOfStrings).map_err(|error| error.to_string())?;
        deserializer.end().map_err(|error| error.to_string())?;
        Ok(fields)
    }

    pub fn insert(&mut self, name: String, value: String) -> Result<(), String> {
        if self.get(&name).is_some() {
            return Err(format!("{name} is there twice"));
        }
        self.0.push((name, value));
        Ok(())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The value of a field that has to be there, and not empty.
    pub fn required(&self, name: &str) -> Result<&str, String> {
        match self.get(name) {
            Some("") => Err(format!("{name} is empty")),
            Some(value) => Ok(value),
            None => Err(format!("{name} is missing")),
        }
    }

    /// Refuses any field that `names` doesn't list.
    pub fn only(&self, names: &[&str]) -> Result<(), String> {
        match self.0.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => Err(format!("{name} is not a field of this request")),
            None => Ok(()),
        }
    }
}

struct ObjectOfStrings;

impl<'de> Visitor<'de> for ObjectOfStrings {
    type Value = Fields;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some((name, value)) = object.next_entry()? {
            fields.insert(name, value).map_err(A::Error::custom)?;
        }
        Ok(fields)
    }
}
