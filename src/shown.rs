//! Which text of somebody else's can be shown to people, in a condition, a page or a terminal.

use std::borrow::Cow;

/// Whether a character does something to what stands around it: a control character, one that turns the direction of text (Unicode's
/// Bidi_Control, UAX #9), or a line or paragraph separator.
pub fn is_disruptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same lines and columns, with a mark in place of each character that would do something to a terminal.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |character: char| !matches!(character, '\n' | '\t') && is_disruptive(character);
    match text.contains(is_harmful) {
        true => text.replace(is_harmful, "\u{fffd}").into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_every_script_can_be_shown() {
        assert!(!"a é ж ع 漢 😀 \u{a0}".contains(is_disruptive));
    }

    #[test]
    fn what_moves_the_cursor_or_turns_text_cannot() {
        for character in "\0\n\r\t\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200f}\u{2028}\u{202e}\u{2066}\u{2069}".chars() {
            assert!(is_disruptive(character), "{character:?}");
        }
    }

    #[test]
    fn lines_are_kept_and_what_is_harmful_is_marked() {
        assert_eq!(harmless("a\tb\n\u{1b}]0;é\u{7}\r\n"), "a\tb\n\u{fffd}]0;é\u{fffd}\u{fffd}\n");
        assert!(matches!(harmless("as it is\n"), Cow::Borrowed(_)));
    }
}
