"""Numbers: how doubles are read and written."""

from subjects.telling import Raw, case, thing, write


def tell():
    rfc_8785 = """0 -0 5e-324 -5e-324 1.7976931348623157e308 -1.7976931348623157e308 9007199254740992.0
        -9007199254740992.0 295147905179352825856.0 9.999999999999997e22 1e23 1.0000000000000001e23
        999999999999999700000.0 999999999999999900000.0 1e21 9.999999999999997e-7 0.000001 333333333.3333332
        333333333.33333325 333333333.3333333 333333333.3333334 333333333.33333343 -0.0000033333333333333333
        1424953923781206.25"""
    for name, shows, texts in [
        ("number-rfc-8785", "The numbers of RFC 8785, appendix B.", rfc_8785),
        ("number-forms", "One number in many forms.", "1 1.0 1e0 1E0 1e+0 10e-1 0.1e1 100e-2 1.000000000000000000000"),
        ("number-zeros", "Every zero is 0, and so is what is nearer to 0 than to any other double.",
         "0 -0 0.0 -0.0 0e9 -0e-9 1e-400 -1e-400"),
        ("number-exponents", "Exponents begin at 1e21 and below 1e-6.",
         "1e20 1e21 1e22 123456789012345680000.0 1234567890123456800000.0 0.000001 0.0000001 1e-7 1.5e-7 0.00000123"
         " -1e21"),
        ("number-long-integers", "Whole numbers beyond 2^53 become the nearest double.",
         "9007199254740993.0 12345678901234567890.0 -12345678901234567890.0 18446744073709551616.0"
         " 100000000000000000000000.0"),
        ("number-halfway", "Of two doubles the nearer one is taken, or right between them the even one.",
         "9007199254740993.0 9007199254740995.0 9007199254740993.0000000000000000000001"
         " 1.00000000000000011102230246251565404 1.000000000000000111022302462515654042363166809082031250001"
         " 2.4703282292062328e-324 2.4703282292062327e-324"),
        ("number-nearest", "Decimals with many digits become the nearest double.",
         "0.1 0.30000000000000004 0.1000000000000000055511151231257827 333333333.33333329 4.50 2e-3"
         " 0.000000000000000000000000001 2.2250738585072011e-308 2.2250738585072014e-308 1.7976931348623158e308"
         " 8.988465674311579e307 123456.789e3 6.02214076e23"),
    ]:
        writes = (write(f"10:{n:02}", value=Raw(text)) for n, text in enumerate(texts.split()))
        case(name, shows, thing(value="number list"), *writes)
    case("number-integer-in-number", "An integer is a number; a whole number shows no fraction.",
         thing(value="number"), write("10:00", value=7), write("10:01", value=Raw("8.0")))
