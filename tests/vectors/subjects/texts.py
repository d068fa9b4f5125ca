"""Texts."""

from subjects.telling import Raw, case, thing, write


def tell():
    for name, shows, *texts in [
        ("text-no-normalisation", "Composed and decomposed letters stay as they are, and are two texts.",
         "caf\u00e9", "cafe\u0301", "\u212b", "\u00c5"),
        ("text-emoji", "Characters beyond U+FFFF, joined and modified.", "\U0001f600", "👩‍🚀", "👍🏽", "🇦🇹", "\U0010ffff"),
        ("text-escaped-in-event", "Escapes of the event are characters of the text.",
         *map(Raw, [
             r'"\u0041\u00e9\u20ac"', r'"\ud83d\ude00"', r'"\/"', r'"\u0022\u005c\u002f"', r'"\u2028"', r'"\u007F"'])),
        ("text-short-escapes", "Quote, backslash and five control characters have short escapes.", '"', "\\",
         "\b\t\n\f\r", "a\"b\\c\nd"),
        ("text-control-characters",
         "Other control characters are escaped in lower case; U+007F and later ones are not.",
         "\u0001", "\u000b", "\u001f", "\u007f", "\u0080", "\u009f", "a\u001bb"),
        ("text-line-separators", "U+2028, U+2029, no-break spaces and byte order marks stand unescaped.",
         "a\u2028b", "a\u2029b", "\u00a0", "\ufeff", "\u200b"),
        ("text-private-and-unassigned", "Private and unassigned characters and noncharacters are texts as well.",
         "\ue000", "\uffff", "\ufdd0", "\U000e0001", "\U000f0000"),
        ("text-white-space", "White space stays, inside and outside; the empty text is a text.", "", " ", "  a  b ",
         "\t"),
        ("text-like-json", "A text that looks like something else is a text.", "null", "1e3", "{\"a\":1}",
         "$timestamp", "</script>"),
        ("text-right-to-left", "Scripts of every direction.", "שלום", "مرحبا", "你好", "สวัสดี", "नमस्ते"),
        ("text-long", "A long text with characters of one to four bytes.", "aé€😀" * 500),
    ]:
        writes = (write(f"10:{n:02}", value=text, set={"add": [text]}) for n, text in enumerate(texts))
        case(name, shows, thing(value="string list", set="string set"), *writes)
