//! What may be shown to people: in a condition, an Event, a log, a page.

/// Stands for every secret and for every text of a server's own. It is planted in the input and may come out nowhere.
pub const CANARY: &str = "s3cr3t-canary";

/// The longest sentence there is, in bytes, with room for words of the spec.
const LONGEST: usize = 1024;

/// Asserts that a text of our own is short and plain, and holds no canary.
pub fn assert_sentence(text: &str) {
    assert!(text.len() <= LONGEST, "{} bytes: {text}", text.len());
    assert_plain(text);
    assert!(!text.contains(CANARY), "it tells a secret: {text}");
}

/// Asserts that nothing in a text moves a terminal's cursor or turns the direction of what is read.
pub fn assert_plain(text: &str) {
    let odd = text.chars().find(|character| character.is_control() || is_direction(*character));
    assert_eq!(odd, None, "{text:?}");
}

/// Unicode's Bidi_Control, and its line and paragraph separators.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
