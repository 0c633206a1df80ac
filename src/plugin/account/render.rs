//! The account as text.

use std::fmt::Write;

use jiff::Timestamp;

use super::{Account, Found, Input, Kept, Provider};
use crate::{
    api::{Condition, ConditionStatus},
    plugin::text::relative,
};

/// Column in which what belongs to a heading begins.
const INDENT: usize = 12;

impl Account {
    /// As a person reads it. Lines end with a newline.
    pub fn text(&self, now: Timestamp) -> String {
        let mut text = String::new();
        let mut part = |heading: &str, lines: Vec<String>| {
            for (number, line) in lines.iter().flat_map(|line| line.lines()).enumerate() {
                let heading = if number == 0 { format!("{heading}:") } else { String::new() };
                // A String takes whatever is written.
                let _ = writeln!(text, "{heading:<INDENT$}{line}");
            }
        };
        part("Credential", vec![format!("{}/{}", self.namespace, self.name)]);
        part("Ready", condition(self.ready.as_ref(), now));
        let mut refreshed = condition(self.refreshed.as_ref(), now);
        // The same sentence twice tells nothing.
        if self.refreshed.as_ref().map(|c| &c.message) == self.ready.as_ref().map(|c| &c.message) {
            refreshed.truncate(1);
        }
        if let Some(failed) = self.failed_attempts.filter(|&failed| failed > 1) {
            refreshed.push(format!("{failed} attempts in a row have failed."));
        }
        part("Refreshed", refreshed);
        part("Provider", provider(&self.provider));
        part("Grant", vec![self.grant.clone()]);
        part("Inputs", self.inputs.iter().map(|input| self.input(input)).collect());
        part("State", self.state.iter().map(kept).collect());
        part("Output", vec![kept(&self.output)]);
        part("Timeline", self.timeline(now));
        part("Next step", vec![self.next_step.clone()]);
        text
    }

    fn input(&self, input: &Input) -> String {
        let place = if input.namespace == self.namespace { String::new() } else { format!("{}/", input.namespace) };
        format!("Secret {place}{}, key {}: {}", input.secret, input.key, input.found.words())
    }

    fn timeline(&self, now: Timestamp) -> Vec<String> {
        let past = self.timeline.iter().filter(|moment| moment.time <= now).count();
        let mut lines: Vec<String> = self
            .timeline
            .iter()
            .map(|moment| format!("{}  {:<12}  {}", moment.time, relative(moment.time, now), moment.event))
            .collect();
        if past > 0 && past < lines.len() {
            lines.insert(past, "-- now --".to_owned());
        }
        lines
    }
}

fn condition(condition: Option<&Condition>, now: Timestamp) -> Vec<String> {
    let Some(condition) = condition else { return vec!["not known yet".to_owned()] };
    let holds = match condition.status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    };
    let since = relative(condition.last_transition_time, now);
    vec![format!("{holds}  {}  (since {since})", condition.reason), condition.message.clone()]
}

fn provider(provider: &Provider) -> Vec<String> {
    let name = provider.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    // What is part of the credential is there.
    let found = provider.name.as_ref().map_or_else(String::new, |_| format!(": {}", provider.found.words()));
    let mut lines = vec![format!("{}{name}{found}", provider.kind)];
    lines.extend(provider.server.clone());
    lines
}

fn kept(kept: &Kept) -> String {
    let mut line = format!("Secret {}: {}", kept.secret, kept.found.words());
    if kept.found == Found::There {
        if let Some(revision) = kept.revision {
            let _ = write!(line, ", revision {revision}");
        }
        if !kept.keys.is_empty() {
            let _ = write!(line, ", keys {}", kept.keys.join(", "));
        }
    }
    line
}
