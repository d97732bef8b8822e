//! What a terminal may be told by a program that somebody else ran.

/// Lets text and colours through, and nothing that moves the cursor, sets titles or answers questions. Keeps its state
/// over the borders of chunks. Where the reader is no terminal every byte passes.
pub(crate) struct LogFilter {
    terminal: bool,
    escape: Vec<u8>,
}

/// `ESC [ 38;2;255;255;255;48;2;255;255;255 m`, and then some.
const ESCAPE_BYTES_MAX: usize = 48;

impl LogFilter {
    pub(crate) fn new(terminal: bool) -> Self {
        Self { terminal, escape: Vec::new() }
    }

    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        if !self.terminal {
            return bytes.to_vec();
        }
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.step(*byte, &mut passed);
        }
        passed
    }

    fn step(&mut self, byte: u8, passed: &mut Vec<u8>) {
        match (self.escape.len(), byte) {
            (0, 0x1b) => self.escape.push(byte),
            (0, b'\n' | b'\r' | b'\t') => passed.push(byte),
            (0, 0..0x20 | 0x7f) => passed.push(b'?'),
            // Bytes above 0x9f, and those of UTF-8. A lone C1 control is no valid UTF-8, and terminals in UTF-8 mode show
            // it as a replacement character.
            (0, _) => passed.push(byte),
            (1, b'[') => self.escape.push(byte),
            (2.., b'0'..=b'9' | b';') if self.escape.len() < ESCAPE_BYTES_MAX => {
                self.escape.push(byte)
            }
            (2.., b'm') => {
                passed.append(&mut self.escape);
                passed.push(byte);
            }
            _ => {
                // Not a colour: its bytes are shown, without the one that makes it a command.
                passed.push(b'?');
                passed.extend_from_slice(&self.escape[1..]);
                self.escape.clear();
                self.step(byte, passed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filtered(text: &str) -> String {
        String::from_utf8(LogFilter::new(true).pass(text.as_bytes())).unwrap()
    }

    #[test]
    fn text_and_colours_pass() {
        for text in
            ["plain\tand\r\nsimple", "\x1b[31mred\x1b[0m", "\x1b[38;2;1;2;3mx\x1b[m", "grüße 🌾"]
        {
            assert_eq!(filtered(text), text);
        }
    }

    #[test]
    fn commands_do_not() {
        assert_eq!(filtered("\x1b[2Jgone"), "?[2Jgone");
        assert_eq!(filtered("\x1b]0;title\x07"), "?]0;title?");
        assert_eq!(filtered("\x08\x7f"), "??");
        assert_eq!(filtered("\x1b\x1b[31m"), "?\x1b[31m");
        let long = format!("\x1b[{}m", "1;".repeat(100));
        assert!(!filtered(&long).contains('\x1b'));
    }

    #[test]
    fn a_file_gets_every_byte() {
        assert_eq!(LogFilter::new(false).pass(b"\x1b[2J\x00"), b"\x1b[2J\x00");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(bytes: Vec<u8>, cut in 0usize..100) {
            let cut = cut.min(bytes.len());
            let mut filter = LogFilter::new(true);
            let mut parts = filter.pass(&bytes[..cut]);
            parts.extend(filter.pass(&bytes[cut..]));
            prop_assert_eq!(parts, LogFilter::new(true).pass(&bytes));
        }

        #[test]
        fn every_escape_that_passes_is_a_colour(text in "[\u{1b}\\[0-9;mJH\n]{0,60}") {
            let passed = filtered(&text);
            for sequence in passed.split('\u{1b}').skip(1) {
                let end = sequence.find(|c: char| !matches!(c, '[' | '0'..='9' | ';'));
                prop_assert_eq!(end.map(|end| sequence.as_bytes()[end]), Some(b'm'));
            }
        }
    }
}
