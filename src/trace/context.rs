//! The context of a trace as the W3C writes it (<https://www.w3.org/TR/trace-context/>): read, written, continued.

use std::fmt;

use ulid::Ulid;

/// The last bit of the flags: whoever began the trace wants it recorded.
const SAMPLED: u8 = 1;

/// `traceparent`: which trace, and which span of it is the parent of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(super) trace: u128,
    pub(super) span: u64,
    flags: u8,
}

impl TraceContext {
    /// The beginning of a trace of its own.
    pub(crate) fn root() -> Self {
        Self { trace: Ulid::generate().0, span: new_span(), flags: SAMPLED }
    }

    /// A span of the same trace.
    pub(crate) fn child(self) -> Self {
        Self { span: new_span(), ..self }
    }

    /// Whether spans of it are to be exported.
    pub(crate) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Reads `00-TRACE-SPAN-FLAGS`; later versions may have more behind it. What is none is no context, as the W3C wants it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let has_more = parts.next().is_some();
        if version.len() != 2 || version == "ff" || (version == "00" && has_more) {
            return None;
        }
        hex(version, 2)?;
        let (trace, span) = (hex(trace, 32)?, u64::try_from(hex(span, 16)?).ok()?);
        let flags = u8::try_from(hex(flags, 2)?).ok()?;
        (trace != 0 && span != 0).then_some(Self { trace, span, flags })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags & SAMPLED)
    }
}

/// Lower-case hexadecimal digits, exactly so many.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (text.len() == digits && is_hex).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The random end of a ULID; never zero, which means none.
fn new_span() -> u64 {
    let low = Ulid::generate().0 & u128::from(u64::MAX);
    u64::try_from(low).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_written_and_continued() {
        let context = TraceContext::parse(TEXT).unwrap();
        assert_eq!(context.to_string(), TEXT);
        let child = context.child();
        assert!(child.trace == context.trace && child.span != context.span && child.is_sampled());
        assert!(!TraceContext::parse(&TEXT.replace("-01", "-00")).unwrap().is_sampled());
        let root = TraceContext::root();
        assert_eq!(TraceContext::parse(&root.to_string()), Some(root));
    }

    #[test]
    fn what_is_no_context_is_none() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = TEXT.to_uppercase();
        let (long, later) = (format!("{TEXT}-x"), TEXT.replace("00-4", "ff-4"));
        for bad in ["", "00", "00-1-2-01", zeros, &upper, &long, &later, "é0-a-b-c"] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
        // A version that does not exist yet begins in the same way.
        assert!(TraceContext::parse(&format!("01{}-more", &TEXT[2..])).is_some());
    }
}
