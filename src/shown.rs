//! Which text of somebody else's can be shown to people, in a condition, a page or a terminal.

/// Whether a character does something to what stands around it: a control character, one that turns the direction of text (Unicode's
/// Bidi_Control, UAX #9), or a line or paragraph separator.
pub fn is_disruptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
}
